"""The report of the protocol ``multiview``: figures, groups, sheets by angle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headcast.evaluate.people import TUNING, group_people, split_note, typology_angles
from headcast.evaluate.report import Report
from headcast.evaluate.report_files import write_sheet
from headcast.evaluate.setting import Setting
from headcast.evaluate.store import Measured, Store, add_measured
from headcast.metrics.figure import Figure

__all__ = ["REAL_PHOTO", "RIM", "TYPOLOGY", "report_multiview"]

REAL_PHOTO = "real photo"
SHEETS = {
    "sheet_45.png": ("+045", "-045"),
    "sheet_90.png": ("+090", "-090"),
    "sheet_135.png": ("+135", "-135"),
}
"""Files of side-by-side images, and the names of the images on each."""

BOX = "head's box, 384 px"
BOTH = "person over mid grey on both sides"
RIM = (
    "pixels within 2 cm of the outline, above the chin, nearer (CIELAB) to the front photo's background than "
    "to the person's own hair and skin"
)
TYPOLOGY = Figure(
    key="typology",
    title="skin tone",
    unit="degrees ITA",
    better="neither",
    mask="face oval of the source photo",
    span="CIELAB medians",
    note="light and exposure count: compare within one set only",
)


def multiview_figures(setting: Setting) -> list[Figure]:
    """Describe what the keys of rows mean."""
    names = setting.networks.names()
    hull = "convex hull of the face's outline in the real photo; " + BOTH
    made = [
        Figure(
            key="lpips",
            title="LPIPS",
            unit="",
            better="low",
            network=names.get("lpips", ""),
            crop=BOX,
            mask=BOTH,
            span="sRGB display values -1..1",
            note="version 0.1",
        ),
        Figure(
            key="psnr",
            title="PSNR face",
            unit="dB",
            mask=hull,
            note="one mean squared error over all channels",
        ),
        Figure(
            key="sface",
            title="SFace",
            unit="cosine",
            better="high",
            network=names.get("sface", ""),
            mask="rendering over mid grey",
            note="to the real photo of this side; an undetected rendering counts as 0",
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
            key="sface_front",
            title="SFace of the real front photo",
            unit="cosine",
            better="neither",
            network=names.get("sface", ""),
            note="to the real photo of this side: what the network sees of another angle",
        ),
        Figure(
            key="iou",
            title="silhouette IoU",
            crop="head's box above the chin",
            mask="alpha over half",
            span="alpha 0..1",
            note="against the selfie matte: uncertain in dark hair, reported only",
        ),
        Figure(
            key="rim",
            title="rim colour, front",
            unit="share",
            better="low",
            mask=RIM,
            note="rendered by the front photo's camera",
        ),
        Figure(
            key="rim_side",
            title="rim colour, ±45°",
            unit="share",
            better="low",
            mask=RIM,
            note="the view that is compared",
        ),
        Figure(
            key="fit",
            title="landmark fit",
            unit="% of face height",
            better="low",
            note="18 inner points after a similarity",
        ),
        TYPOLOGY,
        Figure(
            key="lost",
            title="views lost",
            unit="share",
            better="low",
            note="no avatar, or no face in any of 15 views",
        ),
    ]
    absent = {key for key in ("lpips", "sface", "identity") if key not in names}
    return [f for f in made if f.key.split("_")[0] not in absent]


def report_multiview(
    found: Mapping[str, Mapping[str, Measured]],
    columns: Sequence[str],
    store: Store,
    setting: Setting,
    skipped: Mapping[str, str],
) -> Report:
    """Build the report: rows by method and person, groups of people; also write the sheets."""
    report = Report(
        protocol="multiview", figures={f.key: f for f in multiview_figures(setting)}, skipped=dict(skipped)
    )
    report.main = ("lpips", "psnr", "sface", "sface_front", "identity", "iou", "rim", "rim_side")
    for name, by_subject in found.items():
        add_measured(report, name, by_subject)
    people = list(found)
    report.groups = group_people(setting.data, people, TUNING["multiview"], typology_angles(report))
    lines = {
        name: image_lines(store, people, [REAL_PHOTO, *columns], shown) for name, shown in SHEETS.items()
    }
    for name, sheet in lines.items():
        write_sheet(sheet, setting.out / name)
    report.sheet = lines["sheet_45.png"]
    report.notes += [
        "one front photo in (--sources adds 22 and 42); n counts photos at ±45°, groups count people; "
        "'input held still' is the front photo laid over the side by a 2-D similarity",
        split_note(people, TUNING["multiview"]),
        "look at sheet_45.png, sheet_90.png and sheet_135.png: beyond 45° nothing is measured",
    ]
    return report


def image_lines(
    store: Store, people: Sequence[str], columns: Sequence[str], shown: Sequence[str]
) -> list[list]:
    """Collect a line of labelled images for each person and angle: the real photo, then the methods."""
    lines = []
    for name in people:
        kept = {c: store.kept(c, name) for c in columns}
        for angle in shown:
            line = [(f"{name} {angle} {c}", kept[c][angle]) for c in columns if angle in kept[c]]
            lines += [line] if line else []
    return lines
