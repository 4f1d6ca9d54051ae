"""How much fine detail a rendering has, relative to the real image."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8

__all__ = ["detail", "relative_sharpness"]


def detail(rgb: UInt8[np.ndarray, "h w 3"], region: Bool[np.ndarray, "h w"]) -> float:
    """Return the RMS of the Laplacian of luma (Rec. 601, 0..1) over a region; NaN where that is empty."""
    import cv2

    if not region.any():
        return float("nan")
    luma = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    edges: Float[np.ndarray, "h w"] = cv2.Laplacian(luma, cv2.CV_32F, borderType=cv2.BORDER_REFLECT)
    return float(np.sqrt((edges[region].astype(np.float64) ** 2).mean()))


def relative_sharpness(
    real: UInt8[np.ndarray, "h w 3"], fake: UInt8[np.ndarray, "h w 3"], region: Bool[np.ndarray, "h w"]
) -> float:
    """Return ``detail`` of the second over that of the first: 1 as sharp, less blurred, more noisy."""
    there = detail(real, region)
    return detail(fake, region) / there if there > 0 else float("nan")
