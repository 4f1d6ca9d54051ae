"""Landmarks and expression scores of single images, found alike on both sides of every comparison."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from headcast.errors import HeadcastError
from headcast.observe.landmarks import FaceDetector

if TYPE_CHECKING:
    from typing import Self

__all__ = ["BLENDSHAPES", "LARGE_TURN", "MESH", "StaticLandmarks", "apparent_turn"]

MESH = "MediaPipe's 478 landmarks (face_landmarker.task), mean of four crops, every image by itself"
BLENDSHAPES = "MediaPipe's blendshape network (face_landmarker.task), from the same landmarks"
LARGE_TURN = 0.15
"""``apparent_turn`` above which a face counts as turned far, iris distances."""
LEAST_SCORE = 0.3
"""Score from which a face detector's find is looked at, 0..1; its usual .5 misses soft renderings."""


class StaticLandmarks:
    """Detect the largest face of one image at a time: no state goes from image to image.

    Use it in a ``with`` statement.
    """

    def __init__(self) -> None:
        self.detector = FaceDetector(least_score=LEAST_SCORE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the networks' memory."""
        self.detector.close()

    def points(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "478 2"] | None:
        """Return the landmarks of the largest face in pixels, or None when no face is found."""
        found = self.detector.detect(np.ascontiguousarray(rgb), turned=False)
        return found[0].points if found else None

    def scores(self, points: Float[np.ndarray, "478 2"]) -> Float[np.ndarray, "52"]:
        """Return the expression scores of landmarks, 0 to 1, in the order of ``EXPRESSIONS``."""
        return self.detector.blendshape_scores(points)

    def real_points(self, rgb: UInt8[np.ndarray, "h w 3"], name: str) -> Float[np.ndarray, "478 2"]:
        """Return the landmarks of a real image, in pixels.

        Raises:
            HeadcastError: no face is found in it.
        """
        points = self.points(rgb)
        if points is None:
            raise HeadcastError(f"{name}: no face found by the evaluator; leave the image out")
        return points


def apparent_turn(points: Float[np.ndarray, "478 2"]) -> float:
    """Measure how far the nose tip lies off the middle of the irises, along their line, in iris distances."""
    across = points[473] - points[468]
    middle = (points[473] + points[468]) / 2
    return float(abs((points[1] - middle) @ across) / (across @ across))
