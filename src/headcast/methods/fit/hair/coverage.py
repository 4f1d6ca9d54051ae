"""Where on the head there is hair: as the photos show it, as on the other side, as is usual."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from headcast.head.model import HeadModel
from headcast.interpolation import smoothstep
from headcast.methods.fit.hair.grid import DOME, HairGrid, mirrored
from headcast.methods.fit.hair.sight import Sight
from headcast.texture.laplacian import Graph, solve_laplacian

__all__ = [
    "bald_wreath",
    "coverage",
    "hair_fraction",
    "hanging_weight",
    "side_region",
    "tidy",
    "top_region",
    "usual_cover",
    "view_weights",
]

LONG = (0.0, 0.06)  # metres under the eyes' height to which hair reaches that starts to hang, that hangs
KEEN = 4.0  # exponent by which the photo that tells more of a place wins


def coverage(
    sights: list[Sight], graph: Graph, grid: HairGrid, usual: Float[np.ndarray, "n m"]
) -> Float[np.ndarray, "n m"]:
    """0..1 where there is hair: as seen, as on the other side, as is usual."""
    told = np.sum([s.told for s in sights], 0)
    share = view_weights([s.told for s in sights])
    cover = np.sum([w * s.cover for w, s in zip(share, sights, strict=True)], 0)
    told = np.minimum(told, 1.0)
    other = mirrored(told) * 0.3 * (1 - told)
    behind = smoothstep(-grid.direction[-1, :, 2], 0.0, 0.3)[None]
    prior = 0.03 + 0.15 * behind
    trust = told + other + prior
    value = (told * cover + other * mirrored(cover) + prior * usual) / trust
    out = solve_laplacian(graph, value.reshape(-1, 1), 4 * trust.reshape(-1), sweeps=60).reshape(cover.shape)
    out[:3] = out[3].mean()
    return tidy(np.clip(out, 0, 1))


def view_weights(told: list[Float[np.ndarray, "n m"]]) -> Float[np.ndarray, "k n m"]:
    """Shares of the photos, nearly all to the one that tells most: others see past hair that hangs free."""
    keen = np.stack(told)
    keen = (keen / np.maximum(keen.max(0), 1e-9)) ** KEEN
    return keen / np.maximum(keen.sum(0), 1e-9)


def tidy(cover: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """Without small holes, and without what does not hang together with the rest."""
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
    sights: list[Sight], grid: HairGrid, head: HeadModel, rest: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, "n m"]:
    """Hair on the scalp, and at the back as far down as at the sides."""
    n, m = grid.shape
    scalp = head.region_mask("scalp").numpy()
    row, column, _ = grid.place(rest[scalp])
    hits = np.zeros((n, m))
    hits[np.clip(np.round(row).astype(int), 0, n - 1), np.round(column).astype(int) % m] = 1
    import cv2

    wide = np.pad(hits, ((6, 6), (0, 0)), "edge")
    wide = np.pad(wide, ((0, 0), (6, 6)), "wrap")
    usual = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((9, 9)))[6:-6, 6:-6]
    low = _lowest(sights, grid)
    back = np.abs(np.arange(m) / m - 0.5) > 0.14
    hang = (np.arange(n)[:, None] < low[None]) & back[None]
    return np.maximum(usual, hang)


def _lowest(sights: list[Sight], grid: HairGrid) -> Float[np.ndarray, "m"]:
    """The row where hair ends beside the face, carried around the back."""
    m = grid.shape[1]
    ends = []
    for side in (slice(m // 8, 3 * m // 8), slice(5 * m // 8, 7 * m // 8)):
        told = np.sum([s.told[:, side] + s.weight[:, side] for s in sights], 0)
        hairy = np.sum([(s.told[:, side] + s.weight[:, side]) * s.cover[:, side] for s in sights], 0).max(1)
        bare = (hairy < 0.5) & (told.max(1) > 0.5)
        bare[:DOME] = False
        gone = np.flatnonzero(np.convolve(bare, np.ones(3), "valid") == 3)
        ends.append(int(gone[0]) if len(gone) else int(np.flatnonzero(told.max(1) > 0.5).max(initial=0)))
    left = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(m) / m - 0.25))
    return ends[0] + (ends[1] - ends[0]) * left


def hanging_weight(sights: list[Sight], grid: HairGrid) -> Float[np.ndarray, "1 m"]:
    """0..1 by column: whether hair is long enough to hang free of neck and nape."""
    low = _lowest(sights, grid)
    y = np.interp(low, np.arange(grid.shape[0]), grid.heights)
    return smoothstep(-y, *LONG)[None]


def hair_fraction(sights: list[Sight], rows: slice, columns: Bool[np.ndarray, "m"]) -> float:
    """Share of hair on what is seen of some rows and columns."""
    told = np.sum([(s.told + s.weight)[rows][:, columns] for s in sights], 0)
    hair = np.sum([((s.told + s.weight) * s.cover)[rows][:, columns] for s in sights], 0)
    return float(hair.sum() / max(float(told.sum()), 1e-6))


def top_region(grid: HairGrid) -> tuple[slice, Bool[np.ndarray, "m"]]:
    """Rows and columns of the top of the head."""
    return slice(0, int(0.6 * DOME)), np.ones(grid.shape[1], bool)


def side_region(grid: HairGrid) -> tuple[slice, Bool[np.ndarray, "m"]]:
    """Rows and columns above and behind the ears."""
    return slice(int(0.6 * DOME), DOME), np.abs(grid.direction[DOME, :, 0]) > 0.85


def bald_wreath(grid: HairGrid) -> Float[np.ndarray, "n m"]:
    """Where a bald head still has hair: a wreath from temple to temple, higher behind."""
    behind = smoothstep(-grid.direction[DOME, :, 2], -0.1, 0.8)
    rows = np.arange(grid.shape[0], dtype=float)[:, None]
    return smoothstep(rows - (0.72 - 0.2 * behind) * DOME, -2.0, 2.0)
