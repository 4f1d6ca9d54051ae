"""Foreground measures in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.metrics.foreground import (
    cut_out,
    flicker,
    foreground_psnr,
    hole_share,
    region_psnr,
    silhouette_iou,
    speckle_share,
)
from headcast.metrics.image import GREY


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture, its matte (left half), and a perfect rendering of it."""
    real = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    matte = np.zeros((20, 30), np.float32)
    matte[:, :15] = 1
    return real, matte, np.dstack([real, (matte * 255).astype(np.uint8)])


def test_only_the_foreground_counts() -> None:
    real, matte, render = scene()
    assert foreground_psnr(real, matte, render) > 100
    other = render.copy()
    other[:, 15:] = 77
    assert foreground_psnr(real, matte, other) > 100
    other = render.copy()
    other[:, 5:15, 3] = 0  # missing parts are grey
    assert foreground_psnr(real, matte, other) < 15
    assert (cut_out(real, matte)[:, 15:] == GREY).all() and (
        cut_out(real, matte)[:, :15] == real[:, :15]
    ).all()
    assert np.isnan(region_psnr(real, matte, render, matte > 2))


def test_outlines() -> None:
    _, matte, _ = scene()
    assert silhouette_iou(matte, matte) == 1
    assert silhouette_iou(matte, np.roll(matte, 5, 1)) == pytest.approx(10 / 20)
    assert hole_share(matte, np.ones((20, 30), bool)) == 0.5
    assert hole_share(matte * 0.85, matte > 0) == 1 and hole_share(matte, matte > 2) == 0


def test_speckle_finds_single_pixels_not_edges() -> None:
    render = np.full((40, 40, 4), 255, np.uint8)
    render[:, 20:, :3] = 0
    assert speckle_share(render) == 0
    render[5, 5, 1] = render[30, 30, 2] = 150
    assert speckle_share(render) == pytest.approx(2 / 1600)
    render[..., 3] = 0
    assert speckle_share(render) == 0


def test_flicker_ignores_even_change() -> None:
    a = np.full((8, 8, 3), 100, np.uint8)
    all_of = np.ones((8, 8), bool)
    assert flicker(a, a + 10, a + 20, all_of) == 0
    assert flicker(a, a + 10, a, all_of) == 10
