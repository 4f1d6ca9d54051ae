"""Distances of two sets of images or clips by their features.

M. Heusel et al., GANs trained by a two time-scale update rule, 2017 (FID, Eq. 6); M. Bińkowski et al.,
Demystifying MMD GANs, 2018 (KID, Eq. 3 and section 4); T. Unterthiner et al., 2018 (FVD: the same on
clips).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["frechet_distance", "kernel_distance"]


def frechet_distance(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Return the Fréchet distance of the Gaussians fitted to two sets of features.

    |μa - μb|² + tr(A + B - 2 (A½ B A½)½), covariances with n - 1. Biased upwards by small sets: with fewer
    images than features only sets of equal size are comparable.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    cov_a, cov_b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    values, vectors = np.linalg.eigh(np.atleast_2d(cov_a))
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ np.atleast_2d(cov_b) @ root)
    away = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return float(
        away
        + np.trace(np.atleast_2d(cov_a))
        + np.trace(np.atleast_2d(cov_b))
        - 2 * np.sqrt(cross.clip(0)).sum()
    )


def kernel_distance(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Return the squared maximum mean discrepancy with the kernel (x·y / d + 1)³, unbiased (may be negative).

    All images at once, not the mean over random subsets, which estimates the same number.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    n, m, d = len(x), len(y), x.shape[1]

    def kernel(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return (p @ q.T / d + 1) ** 3

    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within - 2 * xy.mean())
