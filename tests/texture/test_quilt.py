"""Strips quilted from an example: its own colours, no seams, its direction; what is known stays."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.texture.quilt import Exemplar, Strip, quilt_strip

ROWS, LENGTH, BLOCK, OVERLAP = 24, 180, 32, 8


def stripes(rows: int, columns: int, across: bool) -> np.ndarray:
    """Waves of a period of 8 texels along x or y, in three channels."""
    x = (
        np.arange(rows)[:, None] + 0 * np.arange(columns)
        if across
        else np.arange(columns) + np.zeros((rows, 1))
    )
    return np.repeat(np.sin(x * 2 * np.pi / 8)[..., None], 3, -1).astype(np.float32)


def exemplar() -> Exemplar:
    """Two images: stripes that run down (direction 90°) and stripes that run across (0°)."""
    images = np.stack([stripes(60, 120, False), stripes(60, 120, True)])
    y, x = np.mgrid[: 60 - ROWS, : 120 - BLOCK]
    place = np.stack([np.stack([np.full(y.shape, k), y, x], -1).reshape(-1, 3) for k in (0, 1)])
    flow = np.stack([np.tile([c, 0.0], (y.size, 1)) for c in (-1.0, 1.0)])
    return Exemplar(images, place.reshape(-1, 3).astype(np.int32), flow.reshape(-1, 2).astype(np.float32))


def strip(direction: float, known: bool = False) -> Strip:
    values = np.zeros((ROWS, LENGTH, 3), np.float32)
    weight = np.zeros((ROWS, LENGTH), np.float32)
    if known:
        values[:, 40:80] = stripes(ROWS, 40, False)
        weight[:, 40:80] = 1
    flow = np.tile(np.array([direction, 0.0], np.float32), (LENGTH, 1))
    return Strip(values, weight, 0, np.ones((ROWS, LENGTH), np.float32), flow)


@pytest.mark.parametrize(("direction", "axis"), [(-1.0, 0), (1.0, 1)])
def test_strands_run_as_asked(direction: float, axis: int) -> None:
    out = quilt_strip(exemplar(), strip(direction), BLOCK, OVERLAP, np.random.default_rng(0))
    change = [np.abs(np.diff(out, axis=k)).mean() for k in (0, 1)]
    assert change[axis] < 0.15 * change[1 - axis]


def test_everything_is_filled_with_the_examples_values_around_the_strip() -> None:
    out = quilt_strip(exemplar(), strip(-1.0), BLOCK, OVERLAP, np.random.default_rng(1))
    values = np.unique(stripes(4, 8, False))
    assert np.abs(out[..., None] - values).min(-1).max() < 1e-5
    assert out.std() == pytest.approx(exemplar().images.std(), rel=0.1)
    steps = np.abs(out - np.roll(out, 1, 1)).max(-1)  # cyclic: the last column meets the first
    assert np.quantile(steps, 0.98) < 1.2 * np.abs(np.diff(stripes(4, 16, False), axis=1)).max()


def test_blocks_continue_what_is_known() -> None:
    seen = strip(-1.0, known=True)
    out = quilt_strip(exemplar(), seen, BLOCK, OVERLAP, np.random.default_rng(2))
    matched = np.abs(out - seen.values)[:, 44:76].mean()
    shifted = np.abs(np.roll(out, 4, 1) - seen.values)[:, 44:76].mean()
    assert matched < 0.4 * shifted


def test_what_needs_nothing_stays() -> None:
    wanted = strip(-1.0)
    idle = wanted._replace(wanted=np.zeros((ROWS, LENGTH), np.float32), values=wanted.values + 7)
    out = quilt_strip(exemplar(), idle, BLOCK, OVERLAP, np.random.default_rng(3))
    assert np.array_equal(out, idle.values)
    again, first = (
        quilt_strip(exemplar(), wanted, BLOCK, OVERLAP, np.random.default_rng(4)) for _ in range(2)
    )
    assert np.array_equal(again, first)
