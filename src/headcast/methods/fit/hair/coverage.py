"""Estimate where on the head there is hair: from photos, mirrored from the other side, or from a prior."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from headcast.head.model import HeadModel
from headcast.interpolation import smoothstep
from headcast.methods.fit.hair.grid import DOME, HairGrid, mirror
from headcast.methods.fit.hair.observation import HairObservation
from headcast.texture.laplacian import Graph, solve_laplacian

__all__ = [
    "bald_wreath",
    "clean_cover",
    "coverage",
    "hair_fraction",
    "hanging_weight",
    "side_region",
    "top_region",
    "usual_cover",
    "view_weights",
]

LONG = (0.0, 0.06)  # metres under the eyes' height to which hair reaches that starts to hang, that hangs
VIEW_WEIGHT_EXPONENT = 4.0  # exponent by which the photo with more confidence wins


def coverage(
    views: list[HairObservation], graph: Graph, grid: HairGrid, usual: Float[np.ndarray, "n m"]
) -> Float[np.ndarray, "n m"]:
    """Estimate hair coverage 0..1 from photos, else from the mirrored side, else from the prior ``usual``."""
    confidence = np.sum([s.confidence for s in views], 0)
    weights = view_weights([s.confidence for s in views])
    cover = np.sum([w * s.cover for w, s in zip(weights, views, strict=True)], 0)
    confidence = np.minimum(confidence, 1.0)
    other = mirror(confidence) * 0.3 * (1 - confidence)
    behind = smoothstep(-grid.direction[-1, :, 2], 0.0, 0.3)[None]
    prior = 0.03 + 0.15 * behind
    total = confidence + other + prior
    value = (confidence * cover + other * mirror(cover) + prior * usual) / total
    out = solve_laplacian(graph, value.reshape(-1, 1), 4 * total.reshape(-1), sweeps=60).reshape(cover.shape)
    out[:3] = out[3].mean()
    return clean_cover(np.clip(out, 0, 1))


def view_weights(confidence: list[Float[np.ndarray, "n m"]]) -> Float[np.ndarray, "k n m"]:
    """Return the photos' weights, nearly all to the most confident: others see past hair that hangs free."""
    weights = np.stack(confidence)
    weights = (weights / np.maximum(weights.max(0), 1e-9)) ** VIEW_WEIGHT_EXPONENT
    return weights / np.maximum(weights.sum(0), 1e-9)


def clean_cover(cover: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """Close small holes and drop what is not connected with the rest."""
    import cv2

    n, m = cover.shape
    k = 8
    wide = np.pad(np.pad(cover, ((k, k), (0, 0)), "edge"), ((0, 0), (m, m)), "wrap").astype(np.float32)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    wide = cv2.morphologyEx(cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disk), cv2.MORPH_OPEN, disk)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((wide > 0.5).astype(np.uint8), connectivity=4)
    if len(stats) > 1:
        area = stats[1:, cv2.CC_STAT_AREA]
        large = 1 + np.flatnonzero(area > 0.9 * area.max())  # a wreath is cut in two equal pieces here
        wide = np.where((wide > 0.5) & ~np.isin(labels, large), 0.2, wide)
    return wide[k : n + k, m : 2 * m].astype(np.float64)


def usual_cover(
    views: list[HairObservation], grid: HairGrid, head: HeadModel, rest: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, "n m"]:
    """Return the prior of hair: on the scalp, and at the back as far down as at the sides."""
    n, m = grid.shape
    scalp = head.region_mask("scalp").numpy()
    row, column, _ = grid.place(rest[scalp])
    hits = np.zeros((n, m))
    hits[np.clip(np.round(row).astype(int), 0, n - 1), np.round(column).astype(int) % m] = 1
    import cv2

    wide = np.pad(hits, ((6, 6), (0, 0)), "edge")
    wide = np.pad(wide, ((0, 0), (6, 6)), "wrap")
    usual = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((9, 9)))[6:-6, 6:-6]
    low = _lowest(views, grid)
    back = np.abs(np.arange(m) / m - 0.5) > 0.14
    hang = (np.arange(n)[:, None] < low[None]) & back[None]
    return np.maximum(usual, hang)


def _lowest(views: list[HairObservation], grid: HairGrid) -> Float[np.ndarray, "m"]:
    """Return the row where hair ends beside the face, interpolated around the back."""
    m = grid.shape[1]
    ends = []
    for side in (slice(m // 8, 3 * m // 8), slice(5 * m // 8, 7 * m // 8)):
        confidence = np.sum([s.confidence[:, side] + s.weight[:, side] for s in views], 0)
        hairy = np.sum(
            [(s.confidence[:, side] + s.weight[:, side]) * s.cover[:, side] for s in views], 0
        ).max(1)
        bare = (hairy < 0.5) & (confidence.max(1) > 0.5)
        bare[:DOME] = False
        bare_rows = np.flatnonzero(np.convolve(bare, np.ones(3), "valid") == 3)
        ends.append(
            int(bare_rows[0])
            if len(bare_rows)
            else int(np.flatnonzero(confidence.max(1) > 0.5).max(initial=0))
        )
    left = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(m) / m - 0.25))
    return ends[0] + (ends[1] - ends[0]) * left


def hanging_weight(views: list[HairObservation], grid: HairGrid) -> Float[np.ndarray, "1 m"]:
    """Return 0..1 by column: whether hair is long enough to hang free of neck and nape."""
    low = _lowest(views, grid)
    y = np.interp(low, np.arange(grid.shape[0]), grid.heights)
    return smoothstep(-y, *LONG)[None]


def hair_fraction(views: list[HairObservation], rows: slice, columns: Bool[np.ndarray, "m"]) -> float:
    """Return the fraction of hair on the visible part of some rows and columns."""
    confidence = np.sum([(s.confidence + s.weight)[rows][:, columns] for s in views], 0)
    hair = np.sum([((s.confidence + s.weight) * s.cover)[rows][:, columns] for s in views], 0)
    return float(hair.sum() / max(float(confidence.sum()), 1e-6))


def top_region(grid: HairGrid) -> tuple[slice, Bool[np.ndarray, "m"]]:
    """Return rows and columns of the top of the head."""
    return slice(0, int(0.6 * DOME)), np.ones(grid.shape[1], bool)


def side_region(grid: HairGrid) -> tuple[slice, Bool[np.ndarray, "m"]]:
    """Return rows and columns above and behind the ears."""
    return slice(int(0.6 * DOME), DOME), np.abs(grid.direction[DOME, :, 0]) > 0.85


def bald_wreath(grid: HairGrid) -> Float[np.ndarray, "n m"]:
    """Return where a bald head still has hair: a wreath from temple to temple, higher behind."""
    behind = smoothstep(-grid.direction[DOME, :, 2], -0.1, 0.8)
    rows = np.arange(grid.shape[0], dtype=float)[:, None]
    return smoothstep(rows - (0.72 - 0.2 * behind) * DOME, -2.0, 2.0)
