"""The clip protocol: an avatar of the first frame, driven by the rest (self-reenactment)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from headcast import api
from headcast.evaluate.judge import LOST, Judge, Row
from headcast.image import atomic_path, save_png
from headcast.metrics.face import face_mask
from headcast.metrics.image import psnr
from headcast.video import LazyFrames, read_video

__all__ = ["LARGE_YAW", "clip_rows"]

Frames = np.ndarray | LazyFrames

FRAMES = 30
LARGE_YAW = 0.15
"""Nose tip off the middle of the eyes by more than this share of the iris distance: a large-yaw frame."""


def clip_rows(video: Path, out: Path, progress: Callable[[float, str], None]) -> list[Row]:
    """A row for each of about thirty frames after the first, which made the avatar."""
    stored = out / "rows" / f"{video.stem}.json"
    if stored.is_file():
        return json.loads(stored.read_text())
    for folder in ("rows", "first", "driven"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    real = read_video(video).frames
    first, driven = out / "first" / f"{video.stem}.png", out / "driven" / f"{video.stem}.mp4"
    save_png(first, real[0])
    progress(0.0, f"{video.stem}: first frame")
    avatar = api.create(first, options={"representation": "mesh"})
    api.animate(
        avatar, video, driven, camera="driver",
        progress=lambda share, what: progress(0.8 * share, f"{video.stem}: {what}"),
    )  # fmt: skip
    rows = measured(real, read_video(driven).frames, video.stem)
    with atomic_path(stored) as tmp:
        tmp.write_text(json.dumps(rows))
    progress(1.0, video.stem)
    return rows


def measured(real: Frames, fake: Frames, name: str) -> list[Row]:
    """Rows of frames spread over the clip."""
    step = max(1, len(real) // FRAMES)
    rows: list[Row] = []
    with Judge() as judge:
        for t in range(step, len(real), step):
            row = (
                judge.compare(real[t], fake[t], name)
                if t < len(fake)
                else {k: v for k, v in LOST.items() if k != "holes"}
            )
            at = judge.real_points(real[t], name)
            row["gain"] = row["psnr"] - psnr(real[t], real[0], face_mask(at, *real[t].shape[:2]))
            row["turn"] = turn(at)
            rows.append(row)
    return rows


def turn(points: np.ndarray) -> float:
    """How far the nose tip lies off the middle of the irises, along their line, in iris distances."""
    across = points[473] - points[468]
    middle = (points[473] + points[468]) / 2
    return float(abs((points[1] - middle) @ across) / (across @ across))
