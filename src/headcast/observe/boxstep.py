"""One Gauss-Newton step under box constraints for unknowns shared by frames and unknowns of each frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["NormalEquations", "box_step"]

ROUNDS = 8


@dataclass(frozen=True)
class NormalEquations:
    """Block-arrow normal equations: gradient g and Hessian H of s shared and F x p frame unknowns.

    ``bounds`` are the lowest and highest *step* allowed: current bounds minus current values.
    """

    H_ss: Float[np.ndarray, "s s"]
    g_s: Float[np.ndarray, " s"]
    H_sf: Float[np.ndarray, "f s p"]
    H_ff: Float[np.ndarray, "f p p"]
    g_f: Float[np.ndarray, "f p"]
    low_s: Float[np.ndarray, " s"]
    high_s: Float[np.ndarray, " s"]
    low_f: Float[np.ndarray, "f p"]
    high_f: Float[np.ndarray, "f p"]


def box_step(n: NormalEquations) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, "f p"]]:
    """Minimise the quadratic model within the box by an active set over Schur-complement solves.

    Unknowns at a bound that the gradient pushes outwards start pinned; those that a solve moves over a
    bound are pinned there and the rest is solved again. Releasing is left to the next outer iteration.
    """
    pin_s = _is_pinned(n.low_s, n.high_s, n.g_s)
    pin_f = _is_pinned(n.low_f, n.high_f, n.g_f)
    at_s, at_f = np.zeros_like(n.g_s), np.zeros_like(n.g_f)
    step_s, step_f = at_s, at_f
    for _ in range(ROUNDS):
        step_s, step_f = _solve(n, pin_s, at_s, pin_f, at_f)
        over_s = ~pin_s & ((step_s < n.low_s - 1e-9) | (step_s > n.high_s + 1e-9))
        over_f = ~pin_f & ((step_f < n.low_f - 1e-9) | (step_f > n.high_f + 1e-9))
        if not over_s.any() and not over_f.any():
            break
        at_s = np.where(over_s, step_s.clip(n.low_s, n.high_s), at_s)
        at_f = np.where(over_f, step_f.clip(n.low_f, n.high_f), at_f)
        pin_s, pin_f = pin_s | over_s, pin_f | over_f
    return step_s.clip(n.low_s, n.high_s), step_f.clip(n.low_f, n.high_f)


def _is_pinned(low: np.ndarray, high: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Mark unknowns at a bound that the gradient pushes outwards, and those without room between bounds."""
    return ((low > -1e-9) & (gradient > 0)) | ((high < 1e-9) & (gradient < 0)) | (high - low < 1e-12)


def _solve(
    n: NormalEquations, pin_s: np.ndarray, at_s: np.ndarray, pin_f: np.ndarray, at_f: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Solve for the step with some unknowns pinned at given values."""
    m_s, m_f = (~pin_s).astype(float), (~pin_f).astype(float)
    H_ff = n.H_ff * m_f[:, :, None] * m_f[:, None] + np.eye(n.g_f.shape[1]) * pin_f[:, None]
    H_sf = n.H_sf * m_s[None, :, None] * m_f[:, None]
    b_f = m_f * (-n.g_f - (n.H_ff @ at_f[..., None])[..., 0] - np.einsum("fsp,s->fp", n.H_sf, at_s)) + at_f
    both = np.linalg.solve(H_ff, np.concatenate([np.swapaxes(H_sf, 1, 2), b_f[..., None]], -1))
    if not m_s.any():
        return at_s, both[..., -1]
    step_s = _solve_shared(n, pin_s, at_s, at_f, m_s, H_sf, both)
    return step_s, both[..., -1] - both[..., :-1] @ step_s


def _solve_shared(
    n: NormalEquations,
    pin_s: np.ndarray,
    at_s: np.ndarray,
    at_f: np.ndarray,
    m_s: np.ndarray,
    H_sf: np.ndarray,
    both: np.ndarray,
) -> np.ndarray:
    """Solve for the shared unknowns by the Schur complement; ``both``: H_ff's solutions of H_fs and b_f."""
    b_s = -n.g_s - n.H_ss @ at_s - np.einsum("fsp,fp->s", n.H_sf, at_f)
    S = (
        n.H_ss * m_s[:, None] * m_s
        + np.diag(pin_s.astype(float))
        - np.einsum("fsp,fpt->st", H_sf, both[..., :-1])
    )
    r = m_s * (b_s - np.einsum("fsp,fp->s", H_sf, both[..., -1])) + at_s
    return np.linalg.solve(S, r)
