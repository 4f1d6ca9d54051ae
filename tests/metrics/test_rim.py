"""Rim colour: a disc of skin and hair before a wall, with and without the wall's colour on its edge."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from headcast.metrics.rim import RIM_WIDTH_CM, background_fraction, photo_palettes, pixels_per_cm

SIDE, RADIUS, SCALE = 400, 120, 10.0
WALL, SKIN, HAIR = (200, 205, 210), (190, 140, 120), (60, 40, 30)
CHIN = 300


def disc(radius: float) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.hypot(x - SIDE / 2, y - SIDE / 2) < radius


def photo() -> tuple[np.ndarray, np.ndarray]:
    """A head, its upper half hair, before a wall with a gradient; and its matte."""
    y = np.mgrid[:SIDE, :SIDE][0]
    rgb = np.clip(np.array(WALL) + (y[..., None] - SIDE / 2) / 20, 0, 255)
    head = disc(RADIUS)
    rgb[head & (y < SIDE / 2)], rgb[head & (y >= SIDE / 2)] = HAIR, SKIN
    return rgb.astype(np.uint8), cv2.GaussianBlur(head.astype(np.float32), (0, 0), 1)


def rendering(bleed: float) -> np.ndarray:
    """The head alone, with the wall's colour in its outer ``bleed`` pixels; straight alpha."""
    rgb, _ = photo()
    rgb[disc(RADIUS) & ~disc(RADIUS - bleed)] = WALL
    return np.dstack([rgb, disc(RADIUS).astype(np.uint8) * 255])


def test_the_fraction_is_that_of_the_rim() -> None:
    palettes = photo_palettes(*photo(), SCALE, CHIN)
    assert palettes is not None
    whole = RIM_WIDTH_CM * SCALE
    assert background_fraction(rendering(0), palettes, SCALE, CHIN) == 0
    assert background_fraction(rendering(whole + 2), palettes, SCALE, CHIN) == 1
    rings = RADIUS**2 - (RADIUS - whole / 2) ** 2, RADIUS**2 - (RADIUS - whole) ** 2
    half = background_fraction(rendering(whole / 2), palettes, SCALE, CHIN)
    assert half == pytest.approx(rings[0] / rings[1], abs=0.05)


def test_below_the_chin_nothing_counts() -> None:
    palettes = photo_palettes(*photo(), SCALE, CHIN)
    assert palettes is not None
    low = rendering(0)
    y = np.mgrid[:SIDE, :SIDE][0]
    low[disc(RADIUS) & (y > 200), :3] = WALL
    assert background_fraction(low, palettes, SCALE, chin=200) == 0
    assert background_fraction(low, palettes, SCALE, CHIN) > 0.3
    assert np.isnan(background_fraction(np.zeros_like(low), palettes, SCALE, CHIN))


def test_a_photo_without_background_has_no_palettes() -> None:
    rgb, matte = photo()
    assert photo_palettes(rgb, np.ones_like(matte), SCALE, CHIN) is None
    assert photo_palettes(rgb, matte * 0, SCALE, CHIN) is None


def test_the_scale_is_the_iris_distance() -> None:
    points = np.zeros((478, 2), np.float32)
    points[473, 0] = 126
    assert pixels_per_cm(points) == pytest.approx(20)
