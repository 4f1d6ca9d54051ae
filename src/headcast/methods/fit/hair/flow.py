"""The direction in which strands run on a hair texture: measured, and completed."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headcast.methods.fit.hair.texels import HairTexels, Image, blur_texels, wide_blur

__all__ = ["completed_flow", "strand_flow"]

FLOW_TEXELS = 6.0  # standard deviation of the window in which the strands' direction is measured
FLOW_M = 0.02  # how far the observed direction reaches
DOWN_WEIGHT = 0.15  # of strands that run down, where no direction is near


def strand_flow(detail: Image, texels: HairTexels) -> Float[np.ndarray, "h w 2"]:
    """Return cosine and sine of twice the strands' direction (0: across, y down), times coherence 0..1."""
    import cv2

    light = cv2.GaussianBlur(detail.mean(-1), (0, 0), 1.0)
    weight = texels.confidence
    gx = np.gradient(light, axis=1) / np.maximum(texels.across, 1e-6)[:, None]
    gy = np.gradient(light, axis=0) / np.maximum(texels.down, 1e-6)[:, None]
    xx, yy, xy = (
        blur_texels((weight * t).astype(np.float32), FLOW_TEXELS) for t in (gx * gx, gy * gy, gx * gy)
    )
    total = np.maximum(xx + yy, 1e-9 + 0.02 * float((xx + yy).mean()))
    return np.stack([yy - xx, -2 * xy], -1).astype(np.float32) / total[..., None]  # a quarter turn off


def completed_flow(
    flow: Float[np.ndarray, "h w 2"], sharpness: Float[np.ndarray, "h w"], texels: HairTexels
) -> Float[np.ndarray, "h w 2"]:
    """Return the strands' direction everywhere: as observed near it, elsewhere down."""
    sigma = FLOW_M / float(np.median(texels.down))
    weight = wide_blur(sharpness, sigma)
    total = wide_blur(flow * sharpness[..., None], sigma) + DOWN_WEIGHT * np.array([-1.0, 0.0], np.float32)
    return total / (weight + DOWN_WEIGHT)[..., None]
