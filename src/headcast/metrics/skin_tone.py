"""Skin tone as the individual typology angle (ITA)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

__all__ = ["skin_tone"]


def skin_tone(rgb: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> float:
    """Measure the individual typology angle of a region, degrees from CIELAB medians: larger is lighter."""
    import cv2

    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[mask]
    lightness, yellow = np.median(lab[:, 0]), np.median(lab[:, 2])
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))
