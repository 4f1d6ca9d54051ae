"""Estimate the person's own colours where the background shines through: hair, ears, blurred edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, UInt8

from headcast.observe.filters import box
from headcast.observe.types import Observation

__all__ = ["clear_of_background", "estimate_foreground"]

PASSES = (0.25, 0.05, 0.012)
"""Radii of the passes, in the face's larger side."""
SURE = 0.95
"""Coverage from which colours stay as they are."""
SURENESS = 4
"""Power of coverage by which colours count in local means: mixed ones hardly."""
NOTHING = 1e-6
"""Weight of the estimate before, which alone counts where there is next to nothing around."""
LEAST = 1e-3
"""Mean coverage around a pixel below which nothing is known of the person there."""


def estimate_foreground(
    rgb: UInt8[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"], size: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the person's colours; beyond the person those nearby continue.

    Passes of box-filtered foreground and background (Forte 2021, "Approximate fast foreground colour
    estimation") with ever smaller radii; mixed colours count less.

    Args:
        size: the face's larger side, pixels.
    """
    image = rgb.astype(np.float32) / 255
    front, back, a = image, image, alpha[..., None].astype(np.float32)
    for share in PASSES:
        front, back = _fuse(image, front, back, a, max(1, round(share * size)))
    reached = box(alpha.astype(np.float32), max(1, round(PASSES[0] * size)))[..., None]
    keep = np.clip((alpha[..., None] - SURE) / (1 - SURE), 0, 1)
    front = np.where(reached > LEAST, keep * image + (1 - keep) * front, image)
    return np.round(front.clip(0, 1) * 255).astype(np.uint8)


def _fuse(
    image: np.ndarray, front: np.ndarray, back: np.ndarray, alpha: np.ndarray, radius: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return better foreground and background: local means, moved so that they explain the image."""
    mean_front, mean_back = (
        (box(colour * weight, radius) + NOTHING * colour) / (box(weight[..., 0], radius)[..., None] + NOTHING)
        for colour, weight in ((front, alpha**SURENESS), (back, (1 - alpha) ** SURENESS))
    )
    rest = image - alpha * mean_front - (1 - alpha) * mean_back
    return (mean_front + alpha * rest).clip(0, 1), mean_back


def clear_of_background(o: Observation) -> Observation:
    """Replace the colours of partly covered pixels, and of those beyond the outline, by the person's own."""
    if o.masks is None:
        return o
    x0, y0, x1, y1 = o.detection.box
    return replace(o, image=estimate_foreground(o.image, o.masks.person, max(x1 - x0, y1 - y0)))
