"""The person's own colours are found behind partly covered pixels."""

from __future__ import annotations

import numpy as np

from headcast.observe.filters import blur
from headcast.observe.foreground import estimate_foreground


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A dark disk with a soft edge before a bright, uneven wall: image, coverage, colours of the disk."""
    y, x = np.mgrid[:160, :160] + 0.5
    alpha = blur((np.hypot(x - 80, y - 80) < 45).astype(np.float32), 4.0)
    front = np.full((160, 160, 3), (0.25, 0.15, 0.1), np.float32) * (0.8 + 0.4 * x / 160)[..., None]
    back = np.stack([0.7 + 0.3 * x / 160, 0.9 - 0.2 * y / 160, np.full_like(x, 0.85)], -1)
    image = alpha[..., None] * front + (1 - alpha[..., None]) * back
    return np.round(image * 255).astype(np.uint8), alpha, front


def test_edges_lose_the_background() -> None:
    rgb, alpha, front = scene()
    found = estimate_foreground(rgb, alpha, 90.0) / 255
    soft = (alpha > 0.1) & (alpha < 0.9)
    before = np.abs(rgb / 255 - front)[soft].mean()
    after = np.abs(found - front)[soft].mean()
    assert after < 0.2 * before and before > 0.2


def test_covered_pixels_and_far_ones_stay() -> None:
    rgb, alpha, front = scene()
    found = estimate_foreground(rgb, alpha, 90.0)
    assert np.array_equal(found[alpha == 1], rgb[alpha == 1])
    assert np.array_equal(found[:8, :8], rgb[:8, :8])
    just_outside = (alpha < 0.02) & (alpha > 0.001)
    assert np.abs(found / 255 - front)[just_outside].mean() < 0.1
