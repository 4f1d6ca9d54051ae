"""What a hair texture's completion knows of its texels, and blurs around the head."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["HairTexels", "Image", "blur_texels", "wide_blur"]

Image = Float[np.ndarray, "h w 3"]


class HairTexels(NamedTuple):
    """What a hair texture's completion needs to know.

    Attributes:
        log: (h, w, 3) log albedo. confidence: (h, w) 0..1 that it is hair, seen well.
        visible: (h, w) 0..1, seen well: hair or the skin that shines through at its rim.
        wanted: (h, w) where there is hair. length: (h, w) metres over which strands run together.
        across, down: (h,) extent of a texel in every row, metres.
    """

    log: Image
    confidence: Float[np.ndarray, "h w"]
    visible: Float[np.ndarray, "h w"]
    wanted: Bool[np.ndarray, "h w"]
    length: Float[np.ndarray, "h w"]
    across: Float[np.ndarray, "h"]
    down: Float[np.ndarray, "h"]


def blur_texels(values: Float[np.ndarray, "h w *c"], sigma: float) -> np.ndarray:
    """Blur by a Gaussian of ``sigma`` texels."""
    import cv2

    return cv2.GaussianBlur(values, (0, 0), sigma)


def wide_blur(values: Float[np.ndarray, "h w *c"], sigma: float) -> np.ndarray:
    """Blur by a wide Gaussian of ``sigma`` texels, columns cyclic, at a quarter of the size."""
    import cv2

    height, width = values.shape[:2]
    small = cv2.resize(values.astype(np.float32), (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    pad = width // 16
    wrapped = np.concatenate([small[:, -pad:], small, small[:, :pad]], 1)
    blurred = cv2.GaussianBlur(wrapped, (0, 0), sigma / 4)[:, pad:-pad]
    return cv2.resize(np.ascontiguousarray(blurred), (width, height), interpolation=cv2.INTER_LINEAR)
