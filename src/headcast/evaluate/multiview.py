"""Real people from the sides: an avatar of the front photo against real photos at ±45°; sheets to ±135°.

``data`` holds a folder a person with ``XY.jpg``: X is azimuth, 0 to 6 for -135° to 135°, Y is elevation
(3: level), as FRMDB has them (P. Contardo et al., Sensors 2023, 23, 1939).
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from headcast import api
from headcast.avatar.base import Avatar
from headcast.errors import HeadcastError
from headcast.evaluate.aligned import CHIN, apply_similarity, face_height
from headcast.evaluate.data import people_in
from headcast.evaluate.driven import step_progress
from headcast.evaluate.landmarks import StaticLandmarks
from headcast.evaluate.multiview_people import (
    COMPARED,
    FRONT,
    SHOWN,
    FrontPhoto,
    MultiviewPerson,
    photo_of,
    read_person,
)
from headcast.evaluate.multiview_report import REAL_PHOTO, report_multiview
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting
from headcast.evaluate.side_views import best_view, dlib_distance, score_view
from headcast.evaluate.store import Measured, Store
from headcast.evaluate.subjects import Subject, find_subjects
from headcast.metrics.image import over_grey
from headcast.metrics.rim import background_fraction
from headcast.progress import Progress

__all__ = ["measure", "rim_figures"]

YAWS, PITCHES = (25, 32, 39, 46, 53), (-8, 0, 8)
"""Degrees of the views among which the one nearest to the photo is searched."""
RENDER_SIDE = 640  # pixels

Rgba = UInt8[np.ndarray, "_ _ 4"]


def measure(setting: Setting) -> Report:
    """Measure every method on every person; a row for each photo at ±45°."""
    folders = {p.name: p for p in people_in(setting.data, f"{FRONT}.jpg")}
    who = find_subjects(setting.subjects, setting.seed)
    store = Store(setting.out, {"protocol": "multiview", **setting.facts()})
    names = setting.chosen(list(folders))
    found: dict[str, dict[str, Measured]] = {}
    skipped: dict[str, str] = {}
    with StaticLandmarks() as detector:
        for k, name in enumerate(names):
            say = step_progress(setting.say, k, len(names))
            try:
                found[name] = _person(folders[name], who, store, detector, setting, say)
            except HeadcastError as e:
                skipped[name] = str(e)
    return report_multiview(found, [c.name for c in who], store, setting, skipped)


def _person(
    folder: Path,
    who: list[Subject],
    store: Store,
    detector: StaticLandmarks,
    setting: Setting,
    say: Progress,
) -> dict[str, Measured]:
    name = folder.name
    kept = {c.name: m for c in who if (m := store.get(c.name, name, c.facts)) is not None}
    missing = [c for c in who if c.name not in kept]
    if not missing:
        return kept
    say(0.0, f"{name}: photos")
    person = read_person(folder, setting.out / "sources", setting.sources, detector, setting.networks)
    keep_photos(person, folder, store)
    for k, c in enumerate(missing):
        kept[c.name] = subject_rows(c, person, store, detector, setting, step_progress(say, k, len(missing)))
        store.put(c.name, name, kept[c.name], c.facts)
    return {c.name: kept[c.name] for c in who}


def subject_rows(
    who: Subject,
    person: MultiviewPerson,
    store: Store,
    detector: StaticLandmarks,
    setting: Setting,
    say: Progress,
) -> Measured:
    """Measure one method; a single row ``lost`` where no avatar can be made."""
    front, words = person.front, f"{person.name}: {who.name}"
    store.forget_images(who.name, person.name)
    if who.make is None:  # the front photo itself, laid over each side
        sides = {view: {(0, 0): front.rgba} for view in person.sides}
        at_source, shown = front.rgba, {}
    else:
        try:
            avatar = who.make(person.sources, lambda fraction, what: say(0.7 * fraction, f"{words}: {what}"))
        except HeadcastError:
            return Measured([{"lost": 1.0, "typology": front.typology}])
        say(0.7, f"{words}: views")
        sides = {view: render_side_views(avatar, COMPARED[view]) for view in person.sides}
        at_source = api.render(avatar, view="source")
        shown = {yaw: render_upright(avatar, yaw, 0) for yaw in SHOWN.values()}
    same = {"typology": front.typology, **rim_figures("rim", at_source, front, front.scale, front.chin)}
    rows = []
    for view, views in sides.items():
        row, image = side_row(person, view, views, detector, setting)
        rows.append({"side": 45.0 * COMPARED[view], **same, **row})
        if image is not None:
            store.keep(who.name, person.name, sheet_name(45 * COMPARED[view]), image)
    for yaw, image in shown.items():
        store.keep(who.name, person.name, sheet_name(yaw), over_grey(image))
    return Measured(rows)


def side_row(
    person: MultiviewPerson,
    view: str,
    views: dict[tuple[int, int], Rgba],
    detector: StaticLandmarks,
    setting: Setting,
) -> tuple[Row, UInt8[np.ndarray, "_ _ 3"] | None]:
    """Compute figures of the view that fits a photo best, and its head's box; ``lost`` where none fits."""
    photo, front = person.sides[view], person.front
    detected = {v: detector.points(over_grey(image)) for v, image in views.items()}
    found = {v: p for v, p in detected.items() if p is not None}
    fitted = best_view(photo, found)
    if fitted is None:
        return {"lost": 1.0}, None
    scored = score_view(photo, views[fitted.view], fitted, front.embedding, setting.networks)
    scale = front.scale * face_height(photo.points) / face_height(front.points)
    rim = rim_figures("rim_side", scored.aligned, front, scale, int(photo.points[CHIN, 1]))
    points = apply_similarity(found[fitted.view], fitted.similarity).astype(np.float32)
    same = dlib_distance(photo.rgb, photo.points, over_grey(scored.aligned), points, setting.networks)
    return {**scored.row, **same, **rim, "lost": 0.0}, scored.rendered_box


def rim_figures(key: str, rgba: Rgba, front: FrontPhoto, scale: float, chin: int) -> Row:
    """Compute an image's rim colour (pixels per cm, row of the chin) by the front photo's palettes."""
    if front.palettes is None:
        return {}
    fraction = background_fraction(rgba, front.palettes, scale, chin)
    return {key: fraction} if np.isfinite(fraction) else {}


def render_side_views(avatar: Avatar, sign: int) -> dict[tuple[int, int], Rgba]:
    """Render the views searched at one side, by yaw and pitch."""
    return {(sign * y, p): render_upright(avatar, sign * y, p) for y, p in itertools.product(YAWS, PITCHES)}


def render_upright(avatar: Avatar, yaw: int, pitch: int) -> Rgba:
    """Render the upright head at rest with straight alpha."""
    return api.render(avatar, yaw=yaw, pitch=pitch, size=(RENDER_SIDE, RENDER_SIDE))


def keep_photos(person: MultiviewPerson, folder: Path, store: Store) -> None:
    """Put the real photos of the sheets into the store."""
    store.forget_images(REAL_PHOTO, person.name)
    for view, photo in person.sides.items():
        x0, y0, x1, y1 = photo.box
        store.keep(REAL_PHOTO, person.name, sheet_name(45 * COMPARED[view]), photo.matted[y0:y1, x0:x1])
    for view, yaw in SHOWN.items():
        store.keep(REAL_PHOTO, person.name, sheet_name(yaw), photo_of(folder, view))


def sheet_name(yaw: int) -> str:
    """Name an image on the sheets by its yaw."""
    return f"{yaw:+04d}"
