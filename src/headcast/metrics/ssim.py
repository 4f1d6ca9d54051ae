"""Structural similarity, single- and multi-scale, inside a region.

Z. Wang et al., Image quality assessment: from error visibility to structural similarity, TIP 2004 (Eq. 13);
Z. Wang, E. Simoncelli, A. Bovik, Multi-scale structural similarity for image quality assessment, 2003 (Eq.
7).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8

__all__ = ["BETAS", "Borders", "ms_ssim", "ssim_maps"]

Borders = Literal["reflect", "mirror", "zero", "valid"]
"""How windows are padded at the image's edge: ``reflect`` (the edge pixel twice) as scikit-image, ``mirror``
(once) as torchmetrics, ``zero`` as 3D Gaussian splatting's code; ``valid``: those windows are left out."""

BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales."""

RADIUS = 5
C1, C2 = 0.01**2, 0.03**2


def ssim_maps(
    a: Float[np.ndarray, "h w 3"], b: Float[np.ndarray, "h w 3"], borders: Borders = "reflect"
) -> tuple[Float[np.ndarray, "h2 w2 3"], Float[np.ndarray, "h2 w2 3"]]:
    """Return similarity of every pixel and channel, and its contrast-structure part; input 0..1.

    Windows: 11x11 Gaussian, sigma 1.5; C1 = .01², C2 = .03². With ``valid`` the maps lack five pixels a
        side.
    """
    import cv2

    x = np.arange(-RADIUS, RADIUS + 1)
    k = np.exp(-(x**2) / (2 * 1.5**2))
    k /= k.sum()
    kinds = {"zero": cv2.BORDER_CONSTANT, "mirror": cv2.BORDER_REFLECT_101}
    kind = kinds.get(borders, cv2.BORDER_REFLECT)

    def blur(im: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(im, cv2.CV_64F, k, k, borderType=kind)

    p, q = a.astype(np.float64), b.astype(np.float64)
    mp, mq = blur(p), blur(q)
    vp, vq, vpq = blur(p * p) - mp * mp, blur(q * q) - mq * mq, blur(p * q) - mp * mq
    contrast = (2 * vpq + C2) / (vp + vq + C2)
    full = (2 * mp * mq + C1) / (mp * mp + mq * mq + C1) * contrast
    if borders == "valid":
        inner = (slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS))
        return full[inner], contrast[inner]
    return full, contrast


def ms_ssim(
    a: UInt8[np.ndarray, "h w 3"],
    b: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    borders: Borders = "reflect",
    last: Borders | None = None,
) -> float:
    """Return multi-scale similarity of the pixels in ``mask``: five scales, each half of the one before.

    On smaller scales a pixel counts by the fraction of it inside the mask. Negative contrast terms count as
    zero. ``last``: borders of the coarsest scale where they are to differ (torchmetrics: ``valid``, then
    ``mirror``). NaN where the mask is empty or a side has under 176 pixels, too few for five scales.
    """
    if not mask.any() or min(mask.shape) < (2 * RADIUS + 1) * 2 ** (len(BETAS) - 1):
        return float("nan")
    p, q = a.astype(np.float64) / 255, b.astype(np.float64) / 255
    weight = mask.astype(np.float64)
    product = 1.0
    for scale, beta in enumerate(BETAS):
        kind = last if last and scale == len(BETAS) - 1 else borders
        full, contrast = ssim_maps(p, q, kind)
        w = weight[RADIUS:-RADIUS, RADIUS:-RADIUS] if kind == "valid" else weight
        chosen = (full if scale == len(BETAS) - 1 else contrast).mean(2)
        total = w.sum()
        if total == 0:
            return float("nan")
        product *= max(float((chosen * w).sum() / total), 0.0) ** beta
        p, q, weight = halve(p), halve(q), halve(weight)
    return float(product)


def halve(x: Float[np.ndarray, "h w *c"]) -> Float[np.ndarray, "h2 w2 *c"]:
    """Average 2x2 pixels; an odd last row or column is dropped."""
    h, w = x.shape[0] // 2, x.shape[1] // 2
    return x[: 2 * h, : 2 * w].reshape(h, 2, w, 2, *x.shape[2:]).mean((1, 3))
