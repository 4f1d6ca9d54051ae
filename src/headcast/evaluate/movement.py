"""What moves in a clip: tracked expression and pose, flicker, warping error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from headcast.errors import HeadcastError
from headcast.evaluate.report import Row
from headcast.metrics.foreground import flicker
from headcast.metrics.motion import average_expression_distance, pose_distance
from headcast.metrics.temporal import warping_error
from headcast.video import Clip

__all__ = [
    "Performance",
    "clip_of",
    "measure_performance",
    "movement_rows",
    "steadiness",
    "track_performance",
]


@dataclass(frozen=True)
class Performance:
    """What the tracker estimates: (T, 52) ARKit weights, (T, 3, 3) head rotations."""

    expression: Float[np.ndarray, "t 52"]
    rotation: Float[np.ndarray, "t 3 3"]


def clip_of(frames: UInt8[np.ndarray, "t h w 3"], fps: float, name: str) -> Clip:
    """Wrap frames as a clip."""
    return Clip(frames=frames, fps=fps, times=np.arange(len(frames)) / fps, audio=None, name=name)


def measure_performance(clip: Clip) -> Performance:
    """Track expression and pose of every frame, with an identity of the clip's own.

    Raises:
        HeadcastError: no face in most frames.
    """
    import torch

    from headcast.head.model import HeadModel
    from headcast.observe.track import track_clip
    from headcast.rotation import axis_angle_to_matrix

    with torch.no_grad():
        params = track_clip(clip, HeadModel.load()).params
    return Performance(params.expression.numpy(), axis_angle_to_matrix(params.rotation).numpy())


def movement_rows(real: Performance, fake: Performance | None, at: Sequence[int], lost: Row) -> list[Row]:
    """Compute AED and APD at some frames; ``lost`` where no face could be tracked."""
    if fake is None:
        return [{k: lost[k] for k in ("aed", "apd")} for _ in at]
    index = list(at)
    aed = average_expression_distance(real.expression[index], fake.expression[index])
    apd = pose_distance(real.rotation[index], fake.rotation[index])
    return [{"aed": float(a), "apd": float(p)} for a, p in zip(aed, apd, strict=True)]


def track_performance(frames: UInt8[np.ndarray, "t h w 3"], fps: float, name: str) -> Performance | None:
    """Track a clip; None where the face cannot be tracked."""
    try:
        return measure_performance(clip_of(frames, fps, name))
    except HeadcastError:
        return None


def steadiness(frames: UInt8[np.ndarray, "t h w 3"], t: int, region: Bool[np.ndarray, "h w"]) -> Row:
    """Compute flicker and warping error of frame ``t``."""
    row = {
        "flicker": flicker(frames[t - 1], frames[t], frames[t + 1], region),
        "warping": warping_error(frames[t], frames[t + 1], region),
    }
    return {k: v for k, v in row.items() if np.isfinite(v)}
