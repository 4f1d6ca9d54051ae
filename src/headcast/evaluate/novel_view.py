"""Novel views: an avatar of the most frontal image, rendered from the other cameras of the same moment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.avatar.base import Avatar
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.evaluate.align import camera_for, fit_similarity_3d, triangulate
from headcast.evaluate.compare import Comparer, Truth
from headcast.evaluate.driven import step_progress
from headcast.evaluate.landmarks import apparent_turn
from headcast.evaluate.report import Report, Row
from headcast.evaluate.scenes import Scene, Shot, read_scene, scene_folders
from headcast.evaluate.setting import Setting
from headcast.evaluate.store import Measured, Store
from headcast.evaluate.subjects import Subject, find_subjects
from headcast.metrics.figure import Figure
from headcast.metrics.image import over_grey
from headcast.progress import Progress
from headcast.view import source_view, to_rgba

__all__ = ["aligned_camera", "measure", "most_frontal"]

TRUE = "truth"
ANGLE = Figure(
    key="angle",
    title="angle off the source view",
    unit="degrees",
    better="neither",
    span="cameras, about the head",
    crop="none",
    mask="none",
    note="between the two cameras' directions from the head",
)
BANDS = ((15, "within 15° of the source"), (45, "15° to 45°"), (181, "beyond 45°"))


@dataclass(frozen=True)
class Staged:
    """A scene with its source shot, its landmarks in 3D and what is known of every shot."""

    scene: Scene
    source: Shot
    points: Float[np.ndarray, "n 3"]
    truths: dict[str, Truth]


def measure(setting: Setting) -> Report:
    """Measure every method on every person; a row for each camera but the source's."""
    folders = {p.name: p for p in scene_folders(setting.data)}
    who = find_subjects(setting.subjects, setting.seed)
    store = Store(setting.out, {"protocol": "novel-view", **setting.facts()})
    masks = {
        "face": "",
        "foreground": "the person in the true image (alpha over .5); both sides over mid grey",
        "hair": "hair in the true labels; both sides over mid grey",
    }
    names = setting.chosen(list(folders))
    with Comparer(setting.networks, masks) as comparer:
        report = Report(protocol="novel-view", figures={f.key: f for f in [ANGLE, *comparer.figures]})
        for n, name in enumerate(names):
            say = step_progress(setting.say, n, len(names))
            try:
                found = _person(folders[name], who, store, comparer, setting, say)
            except HeadcastError as e:
                report.skipped[name] = str(e)
                continue
            _add_person(found, name, report, who, store)
    report.groups = group_by_angle(report)
    report.notes += [
        "one image in, the most frontal; cameras are brought into each avatar's world by the similarity "
        "between its landmarks and the true ones: its scale and pose don't count, its shape does",
    ]
    return report


def _add_person(
    found: dict[str, Measured], name: str, report: Report, who: list[Subject], store: Store
) -> None:
    """Add a person's rows and images to the report."""
    for subject, measured in found.items():
        for row in measured.rows:
            item = f"{name} {int(row.pop('view')):02d}"
            report.add(subject, item, [row])
    columns = [TRUE, *(c.name for c in who)]
    kept = {c: store.kept(c, name) for c in columns}
    for shown in list(kept[TRUE]):
        line = [(f"{name} {shown} {c}", kept[c][shown]) for c in columns if shown in kept[c]]
        report.sheet.append(line)


def group_by_angle(report: Report) -> dict[str, list[str]]:
    """Group items by the angle between their camera and the source's."""
    groups: dict[str, list[str]] = {}
    for items in report.rows.values():
        for item, rows in items.items():
            band = next(name for limit, name in BANDS if rows[0]["angle"] < limit)
            if item not in groups.setdefault(band, []):
                groups[band].append(item)
    return {name: groups[name] for _, name in BANDS if name in groups}


def _person(
    folder: Path, who: list[Subject], store: Store, comparer: Comparer, setting: Setting, say: Progress
) -> dict[str, Measured]:
    name = folder.name
    found: dict[str, Measured] = {}
    missing = []
    for c in who:
        measured = store.get(c.name, name, c.facts)
        if measured is None:
            missing.append(c)
        else:
            found[c.name] = measured
    if not missing:
        return found
    say(0.0, f"{name}: truth")
    staged = stage(read_scene(folder), comparer)
    store.forget_images(TRUE, name)
    for shot in other_shots(staged):
        store.keep(TRUE, name, shot.name, staged.truths[shot.name].cut)
    for k, c in enumerate(missing):
        found[c.name] = _views(c, staged, store, comparer, step_progress(say, k + 1, len(missing) + 1))
        store.put(c.name, name, found[c.name], c.facts)
    return found


def stage(scene: Scene, comparer: Comparer) -> Staged:
    """Find the source image and the landmarks' positions.

    Raises:
        HeadcastError: no face in any image, or in only one where the landmarks must be triangulated.
    """
    truths = {
        s.name: comparer.truth(s.rgb, f"{scene.name} {s.name}", s.alpha, s.regions, need_face=False)
        for s in scene.shots
    }
    faces = [s for s in scene.shots if truths[s.name].points is not None]
    if not faces:
        raise HeadcastError(f"{scene.name}: no face found in any view")
    points = scene.points
    if points is None:
        if len(faces) < 2:
            raise HeadcastError(
                f"{scene.name}: a face in only one view; its landmarks have no place in space"
            )
        landmarks = [truths[s.name].points for s in faces]
        points = triangulate(
            [s.camera for s in faces], [p.astype(np.float64) for p in landmarks if p is not None]
        )
    return Staged(scene, most_frontal(faces, truths), points, truths)


def most_frontal(faces: list[Shot], truths: dict[str, Truth]) -> Shot:
    """Return the shot in which the face is turned least."""

    def turned(s: Shot) -> float:
        at = truths[s.name].points
        return np.inf if at is None else apparent_turn(at)

    return min(faces, key=turned)


def other_shots(staged: Staged) -> list[Shot]:
    """Return all shots but the source."""
    return [s for s in staged.scene.shots if s.name != staged.source.name]


def angle_between(a: Camera, b: Camera, at: Float[np.ndarray, "3"]) -> float:
    """Return degrees between two cameras' directions from a point."""
    u, v = (c.center.double().numpy() - at for c in (a, b))
    return float(np.degrees(np.arccos(np.clip(u @ v / np.linalg.norm(u) / np.linalg.norm(v), -1, 1))))


def _views(who: Subject, staged: Staged, store: Store, comparer: Comparer, say: Progress) -> Measured:
    """Measure one method in every other view."""
    name = staged.scene.name
    avatar = None
    if who.make is not None:
        avatar = who.make([staged.source.path], lambda s, what: say(0.6 * s, f"{name}: {who.name}: {what}"))
    rows: list[Row] = []
    shots = other_shots(staged)
    store.forget_images(who.name, name)
    for k, shot in enumerate(shots):
        say(0.6 + 0.4 * k / len(shots), f"{name}: {who.name}: {shot.name}")
        if avatar is None:
            alpha = np.round(staged.source.alpha * 255).astype(np.uint8)
            image = resize_to_shot(np.dstack([staged.source.rgb, alpha]), shot)
        else:
            image = render_from(avatar, aligned_camera(avatar, staged.points, shot.camera))
        row = comparer.compare(staged.truths[shot.name], image)
        row["angle"] = angle_between(staged.source.camera, shot.camera, staged.points.mean(0))
        rows.append({"view": float(staged.scene.shots.index(shot)), **row})
        store.keep(who.name, name, shot.name, over_grey(image))
    return Measured(rows)


def resize_to_shot(image: UInt8[np.ndarray, "h w 4"], shot: Shot) -> UInt8[np.ndarray, "h2 w2 4"]:
    """Resize the source image to the size of a shot."""
    import cv2

    height, width = shot.rgb.shape[:2]
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def aligned_camera(avatar: Avatar, points: Float[np.ndarray, "n 3"], camera: Camera) -> Camera:
    """Move a true camera to the avatar's world, by its own landmarks (68 or 478) in the source's pose."""
    params = source_view(avatar).params
    with torch.no_grad():
        own = avatar.head.landmarks(avatar.head(params), len(points)).double().numpy()
    return camera_for(camera, fit_similarity_3d(own, points))


@torch.no_grad()
def render_from(avatar: Avatar, camera: Camera) -> UInt8[np.ndarray, "h w 4"]:
    """Render the avatar in the source's pose and expression from another camera."""
    return to_rgba(avatar.render(source_view(avatar).params, camera))
