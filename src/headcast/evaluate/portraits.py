"""Portraits: an avatar of one photo against that photo, turned to both sides and with expressions.

The photos are those of the split ``evaluation`` where the folder has ``splits.json`` and ``portraits``, else
all photos of the folder. The column ``observation`` has no avatar: it says how well the fitted head's
landmarks lie on the detector's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from headcast import api
from headcast.errors import HeadcastError
from headcast.evaluate.compare import Comparer, Truth
from headcast.evaluate.data import groups_of, photos_in, skin_thirds, stamp_of
from headcast.evaluate.driven import step_progress
from headcast.evaluate.landmark_errors import landmark_errors, landmark_figures
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting, option_facts
from headcast.evaluate.store import Measured, Store, add_measured
from headcast.evaluate.subjects import Subject, find_subjects
from headcast.evaluate.turned import turned_figures, turned_row
from headcast.head.model import HeadModel
from headcast.metrics.face import face_mask
from headcast.metrics.figure import Figure
from headcast.metrics.foreground import speckle_share
from headcast.metrics.image import over_grey
from headcast.metrics.skin_tone import typology_angle
from headcast.observe.types import Observation
from headcast.progress import Progress

__all__ = ["OBSERVED", "Options", "measure", "truth_of"]

OBSERVED = "observation"
PHOTO, SAME = "photo", "same-view"
SHOWN = 6
"""Photos on the sheet."""
ON_SHEET = (SAME, "yaw-30", "yaw+30")
MAIN = (
    "landmarks",
    "face_psnr",
    "face_ssim",
    "akd",
    "identity",
    "foreground_psnr",
    "iou",
    "hair_psnr",
    "identity_30",
    "consistency",
    "holes_turned",
)
"""Figures of the tables by group and by photo."""
SPECKLE = Figure(
    key="speckle",
    title="speckle",
    unit="share",
    better="low",
    mask="covered at least half",
    note="pixels off their 3x3 median by more than .2 of full scale",
)
TONE = Figure(
    key="tone",
    title="skin tone",
    unit="degrees ITA",
    better="neither",
    mask="the face oval",
    span="CIELAB medians",
    note="individual typology angle: larger is lighter; thirds of these people make groups",
)


@dataclass(frozen=True)
class Options:
    """Options of the protocol ``portraits``."""

    same_view: bool = False
    """The photo's view alone: no turned views, no expressions."""


def measure(setting: Setting) -> Report:
    """Measure every method on every photo: one row each.

    Raises:
        HeadcastError: no photos, or no such method.
    """
    options = setting.options or Options()
    photos = photos_in(setting.data)
    who = find_subjects(setting.subjects, setting.seed, baselines=False)
    store = Store(setting.out, {"protocol": "portraits", **setting.facts(), **option_facts(options)})
    names = setting.chosen(list(photos))
    with Comparer(setting.networks, {"face": "", "foreground": "", "hair": ""}) as comparer:
        figures = [*landmark_figures(), *comparer.figures, SPECKLE, *turned_figures(comparer), TONE]
        report = Report(protocol="portraits", figures={f.key: f for f in figures}, main=MAIN)
        head = HeadModel.load()
        for n, name in enumerate(names):
            say = step_progress(setting.say, n, len(names))
            try:
                found = _photo(photos[name], who, store, comparer, head, options, say)
            except HeadcastError as e:
                report.skipped[name] = str(e)
                continue
            add_measured(report, name, found)
            if len(report.sheet) < SHOWN:
                report.sheet.append(sheet_line(store, name, [c.name for c in who]))
    tones = {i: rows[0]["tone"] for i, rows in report.rows.get(OBSERVED, {}).items()}
    report.groups = groups_of(setting.data, report.items()) | (skin_thirds(tones) if len(tones) >= 3 else {})
    return report


def _photo(
    photo: Path,
    who: list[Subject],
    store: Store,
    comparer: Comparer,
    head: HeadModel,
    options: Options,
    say: Progress,
) -> dict[str, Measured]:
    """Measure what is missing of one photo."""
    name = photo.stem
    stamp = stamp_of(photo)
    facts = {OBSERVED: stamp, **{c.name: [*stamp, c.facts] for c in who}}
    kept = {c: store.get(c, name, f) for c, f in facts.items()}
    if all(kept.values()):
        return {c: m for c, m in kept.items() if m is not None}
    say(0.0, name)
    observation = api.observe(photo)[0]
    truth = truth_of(observation, comparer)
    store.keep(OBSERVED, name, PHOTO, observation.image)
    kept[OBSERVED] = store.once(OBSERVED, name, lambda: Measured([observation_row(observation, head)]), stamp)
    for k, c in enumerate(who):
        if kept[c.name] is None:
            step = step_progress(say, k + 1, len(who) + 1)
            row = avatar_row(c, photo, truth, comparer, store, options, step)
            kept[c.name] = Measured([row])
            store.put(c.name, name, Measured([row]), facts[c.name])
    return {c: m for c, m in kept.items() if m is not None}


def truth_of(observation: Observation, comparer: Comparer) -> Truth:
    """Prepare a photo for comparison, with its own matte and hair mask.

    Raises:
        HeadcastError: the evaluator finds no face in it.
    """
    assert observation.masks is not None
    matte = observation.masks.person
    person = matte > 0.5
    regions = {"foreground": person, "hair": (observation.masks.hair > 0.5) & person}
    return comparer.truth(observation.image, observation.name, matte, regions)


def observation_row(observation: Observation, head: HeadModel) -> Row:
    """Measure what holds of the photo whatever the method: landmark errors of the fit, skin tone."""
    face = face_mask(observation.detection.points, *observation.image.shape[:2])
    return landmark_errors(observation, head) | {"tone": typology_angle(observation.image, face)}


def avatar_row(
    who: Subject,
    photo: Path,
    truth: Truth,
    comparer: Comparer,
    store: Store,
    options: Options,
    say: Progress,
) -> Row:
    """Make an avatar of a photo and measure it."""
    assert who.make is not None
    words = f"{photo.stem}: {who.name}"
    avatar = who.make([photo], lambda fraction, what: say(0.7 * fraction, f"{words}: {what}"))
    store.forget_images(who.name, photo.stem)

    def keep(name: str, image: UInt8[np.ndarray, "h w 4"]) -> None:
        store.keep(who.name, photo.stem, name, over_grey(image))

    image = api.render(avatar, view="source")
    keep(SAME, image)
    row = comparer.compare(truth, image) | {"speckle": speckle_share(image)}
    if options.same_view:
        return row
    say(0.8, f"{words}: turned")
    return row | turned_row(avatar, truth, comparer, keep)


def sheet_line(store: Store, name: str, columns: list[str]) -> list[tuple[str, UInt8[np.ndarray, "h w 3"]]]:
    """Collect the photo, and every method's photo view and both sides."""
    line = [(f"{name} {PHOTO}", x) for x in store.kept(OBSERVED, name).values()]
    for c in columns:
        kept = store.kept(c, name)
        line += [(f"{c} {view}", kept[view]) for view in ON_SHEET if view in kept]
    return line
