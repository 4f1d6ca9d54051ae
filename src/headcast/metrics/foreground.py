"""Metrics of a whole person without a background: foreground, outline, holes, speckle, flicker.

The foreground is that of the real image, by a matte 0..1; both images are compared over the same grey.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8

from headcast.metrics.image import GREY, over_grey, psnr

__all__ = [
    "cut_out",
    "flicker",
    "foreground_psnr",
    "hole_share",
    "region_psnr",
    "silhouette_iou",
    "speckle_share",
]

OPAQUE = 0.9
SPECKLE = 0.2  # of full scale, off the median of 3x3 pixels


def cut_out(real: UInt8[np.ndarray, "h w 3"], matte: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Composite the real image over mid grey by its matte."""
    m = matte[..., None]
    return np.round(real * m + GREY * (1 - m)).astype(np.uint8)


def foreground_psnr(
    real: UInt8[np.ndarray, "h w 3"], matte: Float[np.ndarray, "h w"], render: UInt8[np.ndarray, "h w c"]
) -> float:
    """Return PSNR (dB) over the matte's foreground; ``render`` with straight alpha, or already over grey."""
    return region_psnr(real, matte, render, matte > 0.5)


def region_psnr(
    real: UInt8[np.ndarray, "h w 3"],
    matte: Float[np.ndarray, "h w"],
    render: UInt8[np.ndarray, "h w c"],
    region: Bool[np.ndarray, "h w"],
) -> float:
    """Return PSNR (dB) over a region of the foreground; NaN where that is empty."""
    if not region.any():
        return float("nan")
    fake = over_grey(render) if render.shape[2] == 4 else render
    return psnr(cut_out(real, matte), fake, region)


def silhouette_iou(matte: Float[np.ndarray, "h w"], alpha: Float[np.ndarray, "h w"]) -> float:
    """Return the intersection over union of what is at least half covered."""
    a, b = matte > 0.5, alpha > 0.5
    return float((a & b).sum() / max(int((a | b).sum()), 1))


def hole_share(alpha: Float[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"]) -> float:
    """Return the fraction of a region's pixels that are see-through (alpha below .9)."""
    return float((alpha[inside] < OPAQUE).mean()) if inside.any() else 0.0


def speckle_share(render: UInt8[np.ndarray, "h w 4"]) -> float:
    """Return the fraction of covered pixels that differ from their 3x3 median by over .2 in a channel."""
    import cv2

    image = over_grey(render)
    off = np.abs(image.astype(np.int16) - cv2.medianBlur(image, 3)).max(2) > SPECKLE * 255
    covered = render[..., 3] > 127
    return float(off[covered].mean()) if covered.any() else 0.0


def flicker(
    before: UInt8[np.ndarray, "h w 3"],
    now: UInt8[np.ndarray, "h w 3"],
    after: UInt8[np.ndarray, "h w 3"],
    region: Bool[np.ndarray, "h w"],
) -> float:
    """Return the mean distance (levels of 255) of a frame from the mean of its neighbours, inside a region.

    Real movement counts too: compare with the same measure of the real clip.
    """
    off = now[region].astype(np.float32) - (before[region].astype(np.float32) + after[region]) / 2
    return float(np.abs(off).mean()) if region.any() else 0.0
