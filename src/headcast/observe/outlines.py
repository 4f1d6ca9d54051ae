"""Outlines of landmarks as masks of an image, and lengths relative to the face."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headcast.interpolation import smoothstep
from headcast.observe.types import Observation

__all__ = [
    "CHIN",
    "FOREHEAD",
    "eroded",
    "height_above_chin",
    "observed_face_height",
    "pixel_grid",
    "soft_outline",
]

FOREHEAD, CHIN = 10, 152  # of the face mesh


def observed_face_height(observation: Observation) -> float:
    """Return the pixels from the top of the forehead to the chin."""
    points = observation.detection.points
    return float(np.linalg.norm(points[CHIN] - points[FOREHEAD]))


def height_above_chin(observation: Observation, pixel: Float[np.ndarray, "*s 2"]) -> Float[np.ndarray, "*s"]:
    """Return how high pixels lie above the chin along the face's vertical axis, in face heights."""
    points = observation.detection.points
    up = points[FOREHEAD] - points[CHIN]
    return (pixel - points[CHIN]) @ (up / (up @ up))


def pixel_grid(observation: Observation) -> Float[np.ndarray, "h w 2"]:
    """Return the middles (x, y) of an image's pixels."""
    y, x = np.mgrid[: observation.image.shape[0], : observation.image.shape[1]] + 0.5
    return np.stack([x, y], -1)


def eroded(
    observation: Observation, mask: Float[np.ndarray, "h w"], share: float
) -> Float[np.ndarray, "h w"]:
    """Erode a mask by a share of the face's height, at least a pixel."""
    import cv2

    size = 2 * max(1, round(share * observed_face_height(observation))) + 1
    return cv2.erode(mask.astype(np.float32), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))


def _outline_mask(
    observation: Observation, outline: tuple[int, ...], grow: float
) -> Float[np.ndarray, "h w"]:
    """Return 1 inside a closed outline of landmarks, scaled about its middle."""
    import cv2

    p = observation.detection.points[list(outline)]
    p = (p - p.mean(0)) * grow + p.mean(0)
    mask = np.zeros(observation.image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round((p - 0.5) * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def soft_outline(
    observation: Observation, outline: tuple[int, ...], grow: float, width: float
) -> Float[np.ndarray, "h w"]:
    """Return 0 at a scaled closed outline of landmarks rising to 1 at ``width`` pixels inside of it."""
    import cv2

    inside = (_outline_mask(observation, outline, grow) > 0.5).astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    return smoothstep(distance, 0.0, width).astype(np.float32)
