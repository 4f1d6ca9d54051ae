"""A coordinate frame of the face from its landmarks, in units of the face's height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from headcast.observe.landmark_points import (
    EAR_LEFT,
    EAR_RIGHT,
    IRIS_LEFT,
    IRIS_RIGHT,
    OVAL,
)

__all__ = ["FaceFrame", "face_frame", "polygon"]

Plane = Float[np.ndarray, "h w"]


@dataclass(frozen=True)
class FaceFrame:
    """A grid over an image in units of the face.

    Attributes:
        x: to the subject's left and y: up, from the point between the irises; 1 is the height of the face.
        depth: distance inside the face's outline, negative outside, in the same unit.
        chin, top: y of the outline's lowest and highest point. ear_left, ear_right: x of the ears.
        unit: pixels of the height of the face.
    """

    x: Plane
    y: Plane
    depth: Plane
    chin: float
    top: float
    ear_left: float
    ear_right: float
    unit: float


class _FaceAxes(NamedTuple):
    """The point between the irises and unit vectors to the subject's left and up, in pixels."""

    middle: np.ndarray
    along: np.ndarray
    up: np.ndarray


def face_frame(points: Float[np.ndarray, "478 2"], height: int, width: int) -> FaceFrame:
    """Build the frame of a face over an image of a given size."""

    middle, along, up = _face_axes(points)
    local = (points - middle) @ np.stack([along, up], 1)
    wide = abs(local[EAR_LEFT, 0] - local[EAR_RIGHT, 0])
    unit = float(max(local[list(OVAL), 1].max() - local[list(OVAL), 1].min(), 1.1 * wide))
    py, px = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    dx, dy = px - middle[0], py - middle[1]
    depth, outside = _distances(points, height, width)
    return FaceFrame(
        x=((dx * along[0] + dy * along[1]) / unit).astype(np.float32),
        y=((dx * up[0] + dy * up[1]) / unit).astype(np.float32),
        depth=((depth - outside) / unit).astype(np.float32),
        chin=float(local[list(OVAL), 1].min() / unit),
        top=float(local[list(OVAL), 1].max() / unit),
        ear_left=float(local[EAR_LEFT, 0] / unit),
        ear_right=float(local[EAR_RIGHT, 0] / unit),
        unit=unit,
    )


def _distances(points: Float[np.ndarray, "478 2"], height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel distances to the outline of points inside and outside of it."""
    import cv2

    inside = polygon(points[list(OVAL)], height, width)
    depth = cv2.distanceTransform((inside > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((inside <= 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    return depth, outside


def _face_axes(points: Float[np.ndarray, "478 2"]) -> _FaceAxes:
    """Return the axes of a face from its irises."""
    middle = (points[IRIS_LEFT] + points[IRIS_RIGHT]) / 2
    along = points[IRIS_LEFT] - points[IRIS_RIGHT]
    along = along / np.linalg.norm(along)
    up = np.array([along[1], -along[0]])
    return _FaceAxes(middle, along, up)


def polygon(points: Float[np.ndarray, "n 2"] | Sequence[Sequence[float]], height: int, width: int) -> Plane:
    """Rasterize a closed outline as antialiased coverage, half a pixel generous."""
    import cv2

    out = np.zeros((height, width), np.uint8)
    fixed = np.round((np.asarray(points, np.float64) - 0.5) * 256).astype(np.int32)
    cv2.fillPoly(out, [fixed], (255,), lineType=cv2.LINE_AA, shift=8)
    return out.astype(np.float32) / 255
