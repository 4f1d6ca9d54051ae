"""Smooth curves over a whole clip without lag; real edges such as blinks stay."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["CALM", "noise_of", "reject_spikes", "smooth_curves", "whittaker"]

EDGE = 3.0
ROUNDS = 6
CALM = 10.0  # penalty of second differences where a curve holds nothing but noise
CALM_WINDOW = 9  # frames over which that is decided
CALM_EXCESS = (2.5, 4.5)  # of the residual's mean square over the noise: calm below, moving above
SPIKE = 3.5  # noise's standard deviations by which a single frame stands out


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
    them the penalty fades, and so a blink keeps its depth and its time. Where a curve holds nothing but noise
    for some frames the penalty is ``CALM`` instead.

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
    calm = whittaker(curves, np.full_like(bend, CALM))
    return calm + movement_weight(curves - calm, noise) * (out - calm)


def movement_weight(
    residual: Float[np.ndarray, "t c"], noise: Float[np.ndarray, " c"]
) -> Float[np.ndarray, "t c"]:
    """Return 1 where a curve moves faster than the calm one it left this residual of, 0 where it is noise."""
    import cv2

    power = cv2.blur(residual**2, (1, CALM_WINDOW), borderType=cv2.BORDER_REFLECT_101)
    excess = power / np.maximum(noise, 1e-9) ** 2
    return np.clip((excess - CALM_EXCESS[0]) / (CALM_EXCESS[1] - CALM_EXCESS[0]), 0, 1)


def reject_spikes(
    curves: Float[np.ndarray, "t c"], noise: Float[np.ndarray, " c"]
) -> Float[np.ndarray, "t c"]:
    """Replace single frames that stand out from both neighbours, which agree, by the neighbours' mean."""
    before, now, after = curves[:-2], curves[1:-1], curves[2:]
    middle = (before + after) / 2
    limit = SPIKE * np.maximum(noise, 1e-9)
    stands_out = (np.abs(now - middle) > limit) & (np.abs(after - before) < limit)
    out = curves.copy()
    out[1:-1] = np.where(stands_out, middle, now)
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
