"""Skin tone of a face as it is photographed."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

__all__ = ["typology_angle"]


def typology_angle(rgb: UInt8[np.ndarray, "h w 3"], face: Bool[np.ndarray, "h w"]) -> float:
    """Return the individual typology angle of the face region, degrees: larger is lighter.

    arctan((L* - 50) / b*) of the medians in CIELAB (A. Chardon et al., 1991). Light and exposure count:
    compare people of one set of photographs only.
    """
    import cv2

    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[face]
    lightness, yellowness = np.median(lab[:, 0]), np.median(lab[:, 2])
    return float(np.degrees(np.arctan2(lightness - 50, yellowness)))
