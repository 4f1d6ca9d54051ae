"""Outlines of landmarks as masks of an image."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headcast.interpolation import smoothstep
from headcast.observe.types import Observation

__all__ = ["soft_outline"]


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
