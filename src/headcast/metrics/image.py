"""Pixel metrics of two images inside a region."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

__all__ = ["GREY", "over_grey", "psnr", "ssim"]

GREY = 128
"""Grey level behind transparent pixels of a rendering; never the real image."""


def over_grey(
    render: UInt8[np.ndarray, "h w 4"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Composite a straight-alpha RGBA image over mid grey."""
    a = render[..., 3:].astype(np.float32) / 255
    return (render[..., :3] * a + GREY * (1 - a)).astype(np.uint8)


def psnr(
    a: UInt8[np.ndarray, "h w 3"], b: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> float:
    """Return the peak signal-to-noise ratio (dB) over ``mask``, one mean squared error for all channels."""
    d = (a[mask].astype(np.float64) - b[mask]) / 255
    return float(-10 * np.log10((d**2).mean() + 1e-12))


def ssim(
    a: UInt8[np.ndarray, "h w 3"], b: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> float:
    """Return mean SSIM over ``mask``: 11x11 Gaussian, sigma 1.5, reflected borders, C1 .01², C2 .03².

    The same numbers as scikit-image's ``structural_similarity`` with ``gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False``.
    """
    import cv2

    x = np.arange(-5, 6)
    k = np.exp(-(x**2) / (2 * 1.5**2))
    k /= k.sum()

    def blur(im: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(im, cv2.CV_64F, k, k, borderType=cv2.BORDER_REFLECT)

    p, q = a.astype(np.float64) / 255, b.astype(np.float64) / 255
    mp, mq = blur(p), blur(q)
    vp, vq, vpq = blur(p * p) - mp * mp, blur(q * q) - mq * mq, blur(p * q) - mp * mq
    c1, c2 = 0.01**2, 0.03**2
    full = (2 * mp * mq + c1) * (2 * vpq + c2) / ((mp * mp + mq * mq + c1) * (vp + vq + c2))
    return float(full.mean(2)[mask].mean())
