"""Skin tone: known colours, and what lies outside the face."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.metrics.skin_tone import typology_angle


def test_light_skin_has_the_larger_angle() -> None:
    face = np.zeros((8, 8), bool)
    face[2:6, 2:6] = True
    angles = []
    for colour in ((236, 200, 180), (170, 120, 95), (75, 50, 40)):
        rgb = np.zeros((8, 8, 3), np.uint8)
        rgb[face] = colour
        angles.append(typology_angle(rgb, face))
    # CIELAB (D65) of these: L* 83.2, 55.0, 23.2; b* 14.8, 21.3, 11.2
    assert angles == pytest.approx([66.0, 13.2, -67.3], abs=1.0)
