"""Rows of the Gaussians' protocol: the photo's view, turned views and expressions, clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from headcast import api
from headcast.avatar.base import Avatar
from headcast.evaluate.clips import FRAMES, turn
from headcast.evaluate.judge import LOST, Judge, Row
from headcast.evaluate.portraits import skin_tone
from headcast.image import save_png
from headcast.metrics.face import face_mask
from headcast.metrics.foreground import (
    cut_out,
    flicker,
    foreground_psnr,
    hole_share,
    region_psnr,
    silhouette_iou,
    speckle_share,
)
from headcast.metrics.image import over_grey, psnr
from headcast.motion.presets import EXPRESSION_ROUND
from headcast.motion.visemes import both_sides
from headcast.observe.matte import person_matte
from headcast.observe.types import Observation
from headcast.video import read_video
from headcast.view import View, head_center, source_view

__all__ = ["VIEWS", "Rows", "avatars_of", "clip_rows", "same_view", "turned_views"]

Picture = UInt8[np.ndarray, "h w 4"]

VIEWS: dict[str, tuple[float, float, str]] = {
    "yaw-45": (-45, 0, ""), "yaw-30": (-30, 0, ""), "yaw+30": (30, 0, ""), "yaw+45": (45, 0, ""),
    "pitch-15": (0, -15, ""), "pitch+15": (0, 15, ""),
    **{n: (0, 0, n) for n in (
        "smile", "jaw open", "blink", "surprise", "disgust", "pucker", "cheeks", "wink",
    )},
}  # fmt: skip
"""Yaw and pitch in degrees and an expression of ``EXPRESSION_ROUND``, on the photo's view."""


class Rows:
    """Measured rows, or lists of them, in a file of JSON lines, each with its key.

    A line that was cut short is measured again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in path.read_text().splitlines() if path.is_file() else []:
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            self.found[entry["key"]] = entry["row"]

    def __contains__(self, key: str) -> bool:
        return key in self.found

    def add(self, key: str, row: Row | list[Row]) -> None:
        """Keeps it, on disk too."""
        self.found[key] = row
        with self.path.open("a") as f:
            f.write(json.dumps({"key": key, "row": row}) + "\n")


def avatars_of(photo: Path, kinds: Sequence[str]) -> dict[str, Avatar]:
    """One reconstruction, as the representations asked for."""
    made: dict[str, Avatar] = {}
    for kind in sorted(kinds):  # Gaussians carry the mesh that they were made from
        mesh = getattr(made.get("gaussians"), "mesh", None)
        made[kind] = (
            mesh
            if kind == "mesh" and mesh is not None
            else api.create(photo, options={"representation": kind})
        )
    return made


def same_view(real: Observation, avatar: Avatar, judge: Judge, keep: Path | None = None) -> Row:
    """The photo's view: face as in the main job, foreground, outline, hair."""
    assert real.masks is not None
    picture = api.render(avatar, view="source")
    store(keep, picture)
    row = judge.compare(real.image, picture, real.name)
    matte = real.masks.person
    hair = region_psnr(real.image, matte, picture, (real.masks.hair > 0.5) & (matte > 0.5))
    return row | {
        "foreground": foreground_psnr(real.image, matte, picture),
        "iou": silhouette_iou(matte, picture[..., 3] / np.float32(255)),
        **({} if np.isnan(hair) else {"hair": hair}),
        "speckle": speckle_share(picture),
        "itaDegrees": skin_tone(real.image, face_mask(real.detection.points, *real.image.shape[:2])),
    }


def turned_views(
    real: Observation, avatars: dict[str, Avatar], judge: Judge, keep: Path | None = None
) -> dict[str, Row]:
    """For each representation, its means over ``VIEWS``; the mesh stands for the truth inside of the face."""
    rows: dict[str, list[Row]] = {kind: [] for kind in avatars}
    mesh = avatars["mesh"]
    for name, (yaw, pitch, expression) in VIEWS.items():
        weights = both_sides(EXPRESSION_ROUND[expression]) if expression else {}
        shown = {
            k: api.render(a, view="source", yaw=yaw, pitch=pitch, expression=weights)
            for k, a in avatars.items()
        }
        base = shown["mesh"]
        face, inside = face_in_view(mesh, yaw, pitch, weights, base), within(base)
        for kind, picture in shown.items():
            store(keep and keep / f"{kind} {name}", picture)
            row = {"holes": hole_share(picture[..., 3] / np.float32(255), inside)}
            row["speckle"] = speckle_share(picture)
            if abs(yaw) == 30:
                row["iddist30"] = judge.identity(real.image, picture, real.name)
                row["lost30"] = float(row["iddist30"] == LOST["iddist"])
            if kind != "mesh":
                row["consistency"] = psnr(over_grey(picture), over_grey(base), face)
            rows[kind].append(row)
    return {kind: means(each) for kind, each in rows.items()}


def means(rows: list[Row]) -> Row:
    """Of every figure over the views that have it; for consistency also the worst view."""
    out: Row = {
        k: float(np.mean([r[k] for r in rows if k in r])) for k in sorted({k for r in rows for k in r})
    }
    if "consistency" in out:
        out["consistencyWorst"] = float(min(r["consistency"] for r in rows))
    return out


def face_in_view(
    mesh: Avatar, yaw: float, pitch: float, weights: dict[str, float], picture: Picture
) -> Bool[np.ndarray, "h w"]:
    """The face's oval on the mesh in a view."""
    seen = source_view(mesh)
    seen = View(seen.camera, seen.params.with_expression(weights))
    seen = seen.orbited(head_center(mesh, seen.params), yaw, pitch)
    points = mesh.head.landmarks(mesh.head(seen.params))
    mask = face_mask(seen.camera.project(points).numpy(), *picture.shape[:2])
    return mask & (picture[..., 3] > 229)


def within(picture: Picture) -> Bool[np.ndarray, "h w"]:
    """Inside of the silhouette, two pixels off its rim."""
    import cv2

    solid = (picture[..., 3] > 127).astype(np.uint8)
    return cv2.erode(solid, np.ones((5, 5), np.uint8), borderValue=(1.0,)) > 0


def store(path: Path | None, picture: Picture) -> None:
    """Keeps a rendering for looking at."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(path.with_suffix(".png"), picture)


def clip_rows(real: Path, driven: Path, name: str) -> list[Row]:
    """Rows of frames spread over a clip and its rendering by an avatar of the first frame (over grey)."""
    truth, fake = read_video(real).frames, read_video(driven).frames
    step = max(1, len(truth) // FRAMES)
    rows: list[Row] = []
    with Judge() as judge:
        first = cut_out(truth[0], matte_of(truth[0], judge, name))
        for t in range(step, min(len(truth), len(fake)) - 1, step):
            row = judge.compare(truth[t], fake[t], name)
            at = judge.real_points(truth[t], name)
            face = face_mask(at, *truth[t].shape[:2])
            matte = matte_of(truth[t], judge, name)
            region = matte > 0.5
            frozen = psnr(cut_out(truth[t], matte), first, region)
            row |= {
                "gain": row["psnr"] - psnr(truth[t], truth[0], face), "turn": turn(at),
                "foreground": foreground_psnr(truth[t], matte, fake[t]),
                "flicker": flicker(fake[t - 1], fake[t], fake[t + 1], region),
                "flickerReal": flicker(truth[t - 1], truth[t], truth[t + 1], region),
            }  # fmt: skip
            rows.append(row | {"foregroundGain": row["foreground"] - frozen})
    return rows


def matte_of(rgb: UInt8[np.ndarray, "h w 3"], judge: Judge, name: str) -> Float[np.ndarray, "h w"]:
    """Our own matte of a real frame."""
    from headcast.observe.types import Detection

    points = judge.real_points(rgb, name)
    (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
    return person_matte(rgb, Detection(points, (x0, y0, x1, y1), 1.0))
