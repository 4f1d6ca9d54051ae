"""Small image filters on floats, edges repeated outside."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped

__all__ = ["blur", "box", "guided", "local_colour", "resized"]

Plane = Float[np.ndarray, "h w"]


def box(x: Shaped[np.ndarray, "h w *c"], radius: int) -> Shaped[np.ndarray, "h w *c"]:
    """Average over a square of 2 radius + 1 pixels."""
    import cv2

    k = 2 * max(0, radius) + 1
    return cv2.blur(x, (k, k), borderType=cv2.BORDER_REPLICATE)


def blur(x: Shaped[np.ndarray, "h w *c"], sigma: float) -> Shaped[np.ndarray, "h w *c"]:
    """Blur by a Gaussian of ``sigma`` pixels."""
    import cv2

    return cv2.GaussianBlur(x, (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REPLICATE)


def guided(
    guide: Float[np.ndarray, "h w 3"], x: Float[np.ndarray, "h w *k"], radius: int, eps: float
) -> Float[np.ndarray, "h w *k"]:
    """Filter by the colour guided filter (He, Sun, Tang 2013): x as local linear functions of the guide.

    Args:
        guide: colours in 0..1. eps: variance of the guide below which edges are smoothed away.
    """
    mean = box(guide, radius)
    inverse = inverse_covariance(guide, mean, radius, eps)
    planes = [x] if x.ndim == 2 else [x[..., k] for k in range(x.shape[2])]
    out = [guided_plane(guide, mean, inverse, p, radius) for p in planes]
    return out[0] if x.ndim == 2 else np.stack(out, -1)


def guided_plane(
    guide: Float[np.ndarray, "h w 3"],
    mean: Float[np.ndarray, "h w 3"],
    inverse: Float[np.ndarray, "6 h w"],
    x: Plane,
    radius: int,
) -> Plane:
    """Filter one plane by the guided filter, given what depends on the guide alone."""
    mean_x = box(x, radius)
    cov = box(guide * x[..., None], radius) - mean * mean_x[..., None]
    c00, c01, c02, c11, c12, c22 = inverse
    a = np.stack(
        [
            c00 * cov[..., 0] + c01 * cov[..., 1] + c02 * cov[..., 2],
            c01 * cov[..., 0] + c11 * cov[..., 1] + c12 * cov[..., 2],
            c02 * cov[..., 0] + c12 * cov[..., 1] + c22 * cov[..., 2],
        ],
        -1,
    )
    b = mean_x - (a * mean).sum(-1)
    return (box(a, radius) * guide).sum(-1) + box(b, radius)


def inverse_covariance(
    guide: Float[np.ndarray, "h w 3"], mean: Float[np.ndarray, "h w 3"], radius: int, eps: float
) -> Float[np.ndarray, "6 h w"]:
    """Invert the guide's local covariance plus eps: entries 00, 01, 02, 11, 12, 22."""
    s = _local_covariance(guide, radius, mean, eps)
    # Inverse of the symmetric 3x3 covariance by cofactors.
    c00 = s[1, 1] * s[2, 2] - s[1, 2] ** 2
    c01 = s[0, 2] * s[1, 2] - s[0, 1] * s[2, 2]
    c02 = s[0, 1] * s[1, 2] - s[0, 2] * s[1, 1]
    c11 = s[0, 0] * s[2, 2] - s[0, 2] ** 2
    c12 = s[0, 1] * s[0, 2] - s[0, 0] * s[1, 2]
    c22 = s[0, 0] * s[1, 1] - s[0, 1] ** 2
    det = np.maximum(s[0, 0] * c00 + s[0, 1] * c01 + s[0, 2] * c02, 1e-18)
    return np.stack([c00, c01, c02, c11, c12, c22]) / det


def _local_covariance(
    guide: Float[np.ndarray, "h w 3"], radius: int, mean: Float[np.ndarray, "h w 3"], eps: float
) -> dict[tuple[int, int], Plane]:
    """Return the entries (i, j), i <= j, of the guide's local covariance plus eps."""
    s = {}
    for i in range(3):
        for j in range(i, 3):
            s[i, j] = box(guide[..., i] * guide[..., j], radius) - mean[..., i] * mean[..., j]
            if i == j:
                s[i, j] = s[i, j] + eps
    return s


def local_colour(
    image: Float[np.ndarray, "h w 3"], weight: Plane, sigma: float
) -> tuple[Float[np.ndarray, "h w 3"], Plane]:
    """Average the colour of the weighted pixels around every pixel; also return their total weight."""
    total = blur(weight, sigma)
    return blur(image * weight[..., None], sigma) / np.maximum(total, 1e-6)[..., None], total


def resized(x: Shaped[np.ndarray, "h w *c"], height: int, width: int) -> Shaped[np.ndarray, "a b *c"]:
    """Resample by area mean when smaller, linearly when larger."""
    import cv2

    if x.shape[:2] == (height, width):
        return x
    how = cv2.INTER_AREA if height < x.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(x, (width, height), interpolation=how)
