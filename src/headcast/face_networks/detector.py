"""Find faces by MediaPipe's detectors (BlazeFace): boxes from brow to chin with six points each."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from headcast.crops.square import Box, squared
from headcast.face_networks.network import TfliteNetwork

__all__ = ["BoxDetector", "FoundFace", "merge_overlapping", "sigmoid"]

MIN_OVERLAP = 0.3  # intersection over union from which boxes are one face
MAX_LOGIT = 80.0
DETECTORS: dict[str, tuple[str, int, tuple[tuple[int, int], ...]]] = {
    "near": ("face_detector", 128, ((8, 2), (16, 6))),
    "far": ("face_detector_far", 192, ((4, 1),)),
}
"""File, pixels a side, and layers of (stride, anchors a cell), by range."""


class FoundFace(NamedTuple):
    """One face as a detector finds it, in pixels of the image.

    Attributes:
        box: x0, y0, x1, y1 from brow to chin.
        points: subject's right eye, left eye, nose tip, mouth, before the right ear, before the left ear.
        score: 0 to 1.
    """

    box: Box
    points: Float[np.ndarray, "6 2"]
    score: float

    @property
    def roll(self) -> float:
        """Radians by which the line of the eyes is turned clockwise in the image."""
        x, y = self.points[1] - self.points[0]
        return float(np.arctan2(y, x))


class BoxDetector:
    """Detect faces that are about upright; ``near``: large in the image, ``far``: small ones as well."""

    def __init__(self, reach: str) -> None:
        name, self.side, layers = DETECTORS[reach]
        self.network = TfliteNetwork(name, 1 / 127.5, -1.0)
        self.anchors = anchor_centres(self.side, layers)

    def __call__(self, rgb: UInt8[np.ndarray, "h w 3"], least: float = 0.5) -> list[FoundFace]:
        """Return the faces that score at least ``least``, the surest first."""
        import cv2

        square, (left, top) = squared(rgb)
        k = self.side / square.shape[0]
        method = cv2.INTER_AREA if k < 1 else cv2.INTER_LINEAR
        small = cv2.resize(square, (self.side, self.side), interpolation=method) if k != 1 else square
        coordinates, logits = self.network(small)
        scores = sigmoid(logits[0, :, 0])
        rows = scores >= least
        pairs = self.place(coordinates[0, rows], self.anchors[rows])
        kept, surest = merge_overlapping(pairs, scores[rows])
        kept = kept * square.shape[0] - (left, top)
        return [
            FoundFace((*p[0].tolist(), *p[1].tolist()), p[2:], float(s))
            for p, s in zip(kept, surest, strict=True)
        ]

    def place(
        self, raw: Float[np.ndarray, "n 16"], anchors: Float[np.ndarray, "n 2"]
    ) -> Float[np.ndarray, "n 8 2"]:
        """Return upper left and lower right corner and six points, as fractions of the square."""
        pairs = raw.reshape(-1, 8, 2).astype(np.float64) / self.side
        middle, half = pairs[:, 0] + anchors, pairs[:, 1] / 2
        return np.concatenate(
            [np.stack([middle - half, middle + half], 1), pairs[:, 2:] + anchors[:, None]], 1
        )


def sigmoid(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the logistic function of logits, which are clipped to +-``MAX_LOGIT``."""
    return 1 / (1 + np.exp(-np.clip(x, -MAX_LOGIT, MAX_LOGIT)))


@cache
def anchor_centres(side: int, layers: tuple[tuple[int, int], ...]) -> Float[np.ndarray, "n 2"]:
    """Return the centres (x, y) of a detector's anchors as fractions of the square, row by row."""
    centres = []
    for stride, count in layers:
        n = side // stride
        grid = (np.arange(n) + 0.5) / n
        x, y = np.meshgrid(grid, grid)
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), count, 0))
    return np.concatenate(centres)


def merge_overlapping(
    pairs: Float[np.ndarray, "n 8 2"], scores: Float[np.ndarray, "n"]
) -> tuple[Float[np.ndarray, "m 8 2"], Float[np.ndarray, "m"]]:
    """Merge boxes that overlap the surest of them into their mean, weighted by score.

    Args:
        pairs: upper left and lower right corner of each box, then its points.

    Returns:
        Merged boxes with their points, the surest first, and the highest score of each.
    """
    left = np.argsort(-scores, kind="stable")
    kept, surest = [], []
    while len(left):
        first = left[0]
        same = overlap_over_union(pairs[first, :2], pairs[left, :2]) > MIN_OVERLAP
        same[0] = True
        members = left[same]
        kept.append(np.average(pairs[members], axis=0, weights=scores[members]))
        surest.append(scores[first])
        left = left[~same]
    return np.array(kept).reshape(-1, 8, 2), np.array(surest)


def overlap_over_union(
    box: Float[np.ndarray, "2 2"], others: Float[np.ndarray, "n 2 2"]
) -> Float[np.ndarray, "n"]:
    """Return the intersection over union of one box with others, each as two corners."""
    shared = np.minimum(box[1], others[:, 1]) - np.maximum(box[0], others[:, 0])
    inside = np.clip(shared, 0, None).prod(1)
    union = np.prod(box[1] - box[0]) + (others[:, 1] - others[:, 0]).prod(1) - inside
    return inside / np.maximum(union, 1e-12)
