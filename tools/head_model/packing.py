"""Placing the charts in the unit square: the skin at the top, the small ones in its corners, mirrored."""

from __future__ import annotations

import numpy as np

__all__ = ["fit_chart", "place_skin", "place_small"]

SKIN_WIDTH, TOP = 0.94, 0.004
RESOLUTION = 1024
GUTTER = 0.004


def place_skin(half: np.ndarray) -> np.ndarray:
    """Half chart (u >= 0, v up) to the atlas (u from 0.5, origin at the top left)."""
    scale = SKIN_WIDTH / (2 * half[:, 0].max())
    return np.stack([0.5 + half[:, 0] * scale, TOP + (half[:, 1].max() - half[:, 1]) * scale], 1)


def occupied(chart: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Pixels of the right half of the atlas that a chart or its gutter covers."""
    from skimage.draw import polygon

    mask = np.zeros((RESOLUTION, RESOLUTION), bool)
    for t in chart[faces] * RESOLUTION:
        rr, cc = polygon(t[:, 1], t[:, 0], mask.shape)
        mask[rr, cc] = True
    for x, y in chart * RESOLUTION:
        mask[min(int(y), RESOLUTION - 1), min(int(x), RESOLUTION - 1)] = True
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask, iterations=int(GUTTER * RESOLUTION) + 1)


def place_small(mask: np.ndarray, sizes: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Left top corner of each rectangle in the free part of the atlas' right half; ``mask`` is filled."""
    out = {}
    mask[:, : RESOLUTION // 2 + 3] = True
    for name, (w, h) in sizes.items():
        pw, ph = int(np.ceil((w + GUTTER) * RESOLUTION)), int(np.ceil((h + GUTTER) * RESOLUTION))
        total = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        used = total[ph:, pw:] - total[:-ph, pw:] - total[ph:, :-pw] + total[:-ph, :-pw]
        free = np.argwhere(used == 0)
        if len(free) == 0:
            raise ValueError(f"no room for {name} in the atlas")
        y, x = free[np.argmax(free[:, 1] + np.abs(free[:, 0] - RESOLUTION / 2) * 2)]
        mask[y : y + ph, x : x + pw] = True
        out[name] = ((x + 1) / RESOLUTION, (y + 1) / RESOLUTION)
    return out


def fit_chart(chart: np.ndarray, left: float, top: float, width: float, height: float) -> np.ndarray:
    """A free chart (v up) scaled into a rectangle of the atlas."""
    low, span = chart.min(0), np.ptp(chart, axis=0)
    scale = min(width / span[0], height / span[1])
    x = left + (chart[:, 0] - low[0]) * scale + (width - span[0] * scale) / 2
    y = top + (low[1] + span[1] - chart[:, 1]) * scale + (height - span[1] * scale) / 2
    return np.stack([x, y], 1)
