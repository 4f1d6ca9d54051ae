"""MediaPipe's face landmarks of single images, detected alike on both sides of every comparison."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from headcast.errors import HeadcastError
from headcast.observe.models import quiet_mediapipe

if TYPE_CHECKING:
    from typing import Self

__all__ = ["LARGE_TURN", "StaticLandmarks", "apparent_turn"]

LARGE_TURN = 0.15
"""``apparent_turn`` above which a face counts as turned far, iris distances."""
MIN_DETECTION_CONFIDENCE = 0.3
"""Confidence threshold of MediaPipe's face detector, 0..1; its default .5 misses soft renderings."""


class StaticLandmarks:
    """Detect 478 landmarks in one image at a time (static mode: no state from image to image).

    Use it in a ``with`` statement.
    """

    def __init__(self) -> None:
        with quiet_mediapipe() as solutions:
            self.mesh: Any = solutions.face_mesh.FaceMesh(
                static_image_mode=True,
                refine_landmarks=True,
                max_num_faces=1,
                min_detection_confidence=MIN_DETECTION_CONFIDENCE,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mesh.close()

    def points(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "478 2"] | None:
        """Return the landmarks in pixels, or None when no face is found."""
        found = self.mesh.process(np.ascontiguousarray(rgb)).multi_face_landmarks
        if not found:
            return None
        h, w = rgb.shape[:2]
        return np.array([[p.x * w, p.y * h] for p in found[0].landmark], np.float32)

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
