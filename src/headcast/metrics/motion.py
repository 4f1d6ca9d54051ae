"""How far two tracked performances lie apart; coefficients of two trackers are not comparable."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["average_expression_distance", "pose_distance"]


def average_expression_distance(
    a: Float[np.ndarray, "t 52"], b: Float[np.ndarray, "t 52"]
) -> Float[np.ndarray, " t"]:
    """Return AED: mean absolute difference over the 52 ARKit weights (0..1) of each frame."""
    return np.abs(a.astype(np.float64) - b).mean(1)


def pose_distance(a: Float[np.ndarray, "t 3 3"], b: Float[np.ndarray, "t 3 3"]) -> Float[np.ndarray, " t"]:
    """Return APD: angle in degrees between two head rotations of each frame; positions don't count.

    2 asin(|A - B| / √8), which is exact for rotations and keeps its digits near zero, unlike acos of a
    trace.
    """
    chord = np.linalg.norm(a.astype(np.float64) - b, axis=(1, 2)) / np.sqrt(8)
    return np.degrees(2 * np.arcsin(np.clip(chord, 0, 1)))
