"""The report of the protocol ``smile``: figures, groups, sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headcast.evaluate.multiview_report import RIM, TYPOLOGY, image_lines
from headcast.evaluate.people import TUNING, group_people, split_note, typology_angles
from headcast.evaluate.report import Report
from headcast.evaluate.setting import Setting
from headcast.evaluate.store import Measured, Store, add_measured
from headcast.metrics.figure import Figure

__all__ = ["NEUTRAL_PHOTO", "SMILING_PHOTO", "report_smile"]

NEUTRAL_PHOTO, SMILING_PHOTO = "neutral photo", "smiling photo"


def smile_figures(setting: Setting) -> list[Figure]:
    """Describe what the keys of rows mean."""
    names = setting.networks.names()
    background = "the photo's background against the grey of renderings; both photos share theirs"
    display = "sRGB display values -1..1"
    made = [
        Figure(
            key="lpips",
            title="LPIPS",
            unit="",
            better="low",
            network=names.get("lpips", ""),
            crop="box of the face's outline, 256 px",
            mask=background,
            span=display,
            note="version 0.1",
        ),
        Figure(
            key="mouth",
            title="LPIPS mouth",
            unit="",
            better="low",
            network=names.get("lpips", ""),
            crop="box around the mouth, 256 px",
            mask=background,
            span=display,
            note="version 0.1",
        ),
        Figure(
            key="lpips_hull",
            title="LPIPS inside the face",
            unit="",
            better="low",
            network=names.get("lpips", ""),
            crop="box of the face's outline, 256 px",
            mask="both sides mid grey outside the face's hull",
            span=display,
            note="version 0.1; without the background that the neutral photo shares with the smiling one",
        ),
        Figure(
            key="psnr",
            title="PSNR face",
            unit="dB",
            mask="convex hull of the face's outline in the smiling photo",
        ),
        Figure(
            key="sface",
            title="SFace",
            unit="cosine",
            better="high",
            network=names.get("sface", ""),
            note="to the smiling photo; an undetected face counts as 0",
        ),
        Figure(
            key="identity",
            title="identity distance",
            unit="",
            better="low",
            network=names.get("identity", ""),
            note="to the real photo; other people: median .80, of frontal faces",
            lost=1.2,
        ),
        Figure(
            key="expression",
            title="expression distance",
            unit="",
            better="low",
            network=names.get("expression", ""),
            span="scores 0..1",
            note="mean absolute difference of 51 scores to the smiling photo's; undetected counts as 1",
        ),
        Figure(
            key="rim",
            title="rim colour",
            unit="share",
            better="low",
            mask=RIM,
            note="rendered by the neutral photo's camera",
        ),
        TYPOLOGY,
        Figure(
            key="lost",
            title="people lost",
            unit="share",
            better="low",
            note="no avatar could be made or driven",
        ),
    ]
    needed = {
        "lpips": "lpips",
        "mouth": "lpips",
        "lpips_hull": "lpips",
        "sface": "sface",
        "identity": "identity",
        "expression": "expression",
    }
    return [f for f in made if needed.get(f.key, "") in {"", *names}]


def report_smile(
    found: Mapping[str, Mapping[str, Measured]],
    columns: Sequence[str],
    store: Store,
    setting: Setting,
    skipped: Mapping[str, str],
) -> Report:
    """Build the report: rows by method and person, groups of people, and the sheet."""
    report = Report(
        protocol="smile", figures={f.key: f for f in smile_figures(setting)}, skipped=dict(skipped)
    )
    report.main = ("lpips", "lpips_hull", "mouth", "psnr", "sface", "identity", "expression", "rim")
    for name, by_subject in found.items():
        add_measured(report, name, by_subject)
    people = list(found)
    report.groups = group_people(setting.data, people, TUNING["smile"], typology_angles(report))
    report.sheet = image_lines(store, people, [NEUTRAL_PHOTO, SMILING_PHOTO, *columns], ("smile",))
    report.notes += [
        "the neutral photo becomes an avatar; the smiling photo, held for six frames, drives it in its own "
        "camera; 'input held still' is the neutral photo laid over the smiling one by a 2-D similarity",
        split_note(people, TUNING["smile"]),
    ]
    return report
