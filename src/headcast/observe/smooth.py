"""Smooth curves over a whole clip without lag; real edges such as blinks stay."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["noise_of", "smooth_curves", "whittaker"]

EDGE = 3.0
ROUNDS = 6


def noise_of(curves: Float[np.ndarray, "t c"]) -> Float[np.ndarray, " c"]:
    """Estimate the white noise (standard deviation) of each curve by the median of its fourth differences.

    In second differences the lips' movement in speech counts as noise, and would be smoothed away.
    """
    if len(curves) < 5:
        return np.zeros(curves.shape[1])
    return np.median(np.abs(np.diff(curves, 4, axis=0)), 0) / (0.6745 * np.sqrt(70.0))


def smooth_curves(
    curves: Float[np.ndarray, "t c"], strength: float = 0.4, noise: Float[np.ndarray, " c"] | None = None
) -> Float[np.ndarray, "t c"]:
    """Smooth by penalised least squares over the whole clip, each curve by its own noise.

    Second differences are penalised ``strength`` times; where they are clearly larger than noise can make
    them the penalty fades, and so a blink keeps its depth and its time.

    Args:
        noise: standard deviation of each curve's noise; None estimates it.
    """
    if len(curves) < 5:
        return curves.copy()
    noise = noise_of(curves) if noise is None else noise
    scale = EDGE * np.maximum(noise, 1e-9)
    bend = np.diff(curves, 2, axis=0)
    out = curves
    for _ in range(ROUNDS):
        # edges are looked for in the raw curve, and in the smooth one: the larger bend of the two decides
        size = np.maximum(np.abs(np.diff(out, 2, axis=0)), np.abs(bend) / 2.5) / scale
        out = whittaker(curves, strength / (1 + size**4))
    return out


def whittaker(
    curves: Float[np.ndarray, "t c"],
    penalty: Float[np.ndarray, "u c"],
    weight: Float[np.ndarray, "t c"] | None = None,
) -> Float[np.ndarray, "t c"]:
    """Minimise sum w (x - y)² + sum p (second difference of x)² for every curve; u = t - 2.

    A pentadiagonal LDLᵀ recursion over time, all curves at once.
    """
    t = len(curves)
    weight = np.ones_like(curves) if weight is None else weight
    d, e = weight.copy(), np.zeros((t - 1, curves.shape[1]))
    d[:-2] += penalty
    d[1:-1] += 4 * penalty
    d[2:] += penalty
    e[:-1] -= 2 * penalty
    e[1:] -= 2 * penalty
    D, L1, L2 = np.empty_like(d), np.zeros_like(d), np.zeros_like(d)
    x = weight * curves
    for i in range(t):
        D[i] = d[i]
        if i > 1:
            L2[i] = penalty[i - 2] / D[i - 2]
            D[i] -= L2[i] ** 2 * D[i - 2]
            x[i] -= L2[i] * x[i - 2]
        if i > 0:
            off = e[i - 1] - (L2[i] * D[i - 2] * L1[i - 1] if i > 1 else 0.0)
            L1[i] = off / D[i - 1]
            D[i] -= L1[i] ** 2 * D[i - 1]
            x[i] -= L1[i] * x[i - 1]
    _substitute_back(D, L1, L2, x)
    return x


def _substitute_back(D: np.ndarray, L1: np.ndarray, L2: np.ndarray, x: np.ndarray) -> None:
    """Solve D Lᵀ x = y backwards in time, in place; L1 and L2 are L's lower diagonals."""
    t = len(x)
    x /= D
    for i in range(t - 2, -1, -1):
        x[i] -= L1[i + 1] * x[i + 1]
        if i + 2 < t:
            x[i] -= L2[i + 2] * x[i + 2]
