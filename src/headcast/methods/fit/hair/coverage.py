"""Estimate where on the head there is hair: from photos, mirrored from the other side, or from a prior."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from headcast.interpolation import smoothstep
from headcast.methods.fit.hair.grid import DOME_ROWS, HairGrid, mirror
from headcast.methods.fit.hair.growth import growth_prior
from headcast.methods.fit.hair.observation import HairObservation
from headcast.texture.laplacian import Graph, solve_laplacian

__all__ = [
    "bald_wreath",
    "clean_cover",
    "cover_prior",
    "coverage",
    "hair_fraction",
    "hanging_weight",
    "side_region",
    "top_region",
    "view_weights",
]

HANGING_RANGE_M = (0.0, 0.06)  # below the eyes: hair that ends lower hangs free
BARE_COVER, BARE_ROWS = 0.3, 4  # cover of bare skin, and rows of it below which no hair of the face begins
FACE_FRONT = 0.17  # cosine of the azimuth in front of the ears
CHIN_HEIGHT_M = -0.1  # from the eyes
REMOVED_COVER = 0.2  # at most, where a small piece of hair was removed
HIDDEN_RANGE = (-0.45, 0.1)  # -cosine of the azimuth, over which the prior's weight rises
PRIOR_WEIGHT = (0.03, 0.3)  # of the prior cover, in front and behind, next to a photo's confidence
VIEW_WEIGHT_EXPONENT = 4.0  # on confidence relative to the best photo


def coverage(
    views: list[HairObservation], graph: Graph, grid: HairGrid, prior_cover: Float[np.ndarray, "n m"]
) -> Float[np.ndarray, "n m"]:
    """Estimate hair coverage 0..1 from photos, else from the mirrored side, else from ``prior_cover``."""
    confidence = np.sum([s.confidence for s in views], 0)
    weights = view_weights([s.confidence for s in views])
    cover = np.sum([w * s.cover for w, s in zip(weights, views, strict=True)], 0)
    confidence = np.minimum(confidence, 1.0)
    mirrored_weight = mirror(confidence) * 0.3 * (1 - confidence)
    hidden = smoothstep(-grid.direction[-1, :, 2], *HIDDEN_RANGE)[None]
    prior_weight = PRIOR_WEIGHT[0] + (PRIOR_WEIGHT[1] - PRIOR_WEIGHT[0]) * hidden
    total = confidence + mirrored_weight + prior_weight
    value = (confidence * cover + mirrored_weight * mirror(cover) + prior_weight * prior_cover) / total
    diffused = solve_laplacian(graph, value.reshape(-1, 1), 4 * total.reshape(-1), sweeps=60).reshape(
        cover.shape
    )
    diffused[:3] = diffused[3].mean()
    return clean_cover(remove_below_bare(np.clip(diffused, 0, 1), grid))


def remove_below_bare(cover: Float[np.ndarray, "n m"], grid: HairGrid) -> Float[np.ndarray, "n m"]:
    """Remove hair of the face that no hair hangs down to: a hood behind a cheek looks like hair there."""
    is_bare = (cover < BARE_COVER).astype(int)
    run = np.zeros(is_bare.shape, int)
    for i in range(1, len(run)):
        run[i] = (run[i - 1] + 1) * is_bare[i]
    was_bare = np.maximum.accumulate(run, 0) >= BARE_ROWS
    in_front = grid.direction[-1, :, 2] > FACE_FRONT
    on_face = was_bare & in_front[None] & (grid.heights > CHIN_HEIGHT_M)[:, None]
    return np.where(on_face, np.minimum(cover, REMOVED_COVER), cover)


def view_weights(confidence: list[Float[np.ndarray, "n m"]]) -> Float[np.ndarray, "k n m"]:
    """Return the photos' weights, mostly the most confident one's: others see behind hanging hair."""
    weights = np.stack(confidence)
    weights = (weights / np.maximum(weights.max(0), 1e-9)) ** VIEW_WEIGHT_EXPONENT
    return weights / np.maximum(weights.sum(0), 1e-9)


def clean_cover(cover: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """Close small holes and remove small components."""
    import cv2

    n, m = cover.shape
    pad = 8
    padded = np.pad(np.pad(cover, ((pad, pad), (0, 0)), "edge"), ((0, 0), (m, m)), "wrap").astype(np.float32)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))  # sideburns are narrow
    padded = cv2.morphologyEx(cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disk), cv2.MORPH_OPEN, cross)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((padded > 0.5).astype(np.uint8), connectivity=4)
    if len(stats) > 1:
        area = stats[1:, cv2.CC_STAT_AREA]
        large = 1 + np.flatnonzero(area > 0.9 * area.max())  # a wreath is cut in two equal pieces here
        is_kept = np.isin(labels, large)
        is_removed = (padded > 0.5) & ~is_kept
        if is_removed.any():  # with its soft border, which would stay as a ring of thin hair
            nearer = _distance_to(is_removed) < _distance_to(is_kept)
            padded = np.where(nearer, np.minimum(padded, REMOVED_COVER), padded)
    return padded[pad : n + pad, m : 2 * m].astype(np.float64)


def _distance_to(cells: Bool[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """Return every cell's distance to the nearest marked one, in cells."""
    import cv2

    return cv2.distanceTransform((~cells).astype(np.uint8), cv2.DIST_L2, 5)


def cover_prior(views: list[HairObservation], grid: HairGrid) -> Float[np.ndarray, "n m"]:
    """Return the prior cover: where short hair grows, and the back as far down as the hair at the sides."""
    n, m = grid.shape
    end_row = _hair_end_row(views, grid)
    is_back = np.abs(np.arange(m) / m - 0.5) > 0.14
    hanging = (np.arange(n)[:, None] < end_row[None]) & is_back[None]
    return np.maximum(growth_prior(grid), hanging)


def _hair_end_row(views: list[HairObservation], grid: HairGrid) -> Float[np.ndarray, "m"]:
    """Return the row of the hair's lower end by column: observed beside the face, interpolated elsewhere."""
    m = grid.shape[1]
    end_rows = []
    for side in (slice(m // 8, 3 * m // 8), slice(5 * m // 8, 7 * m // 8)):
        confidence = np.sum([s.confidence[:, side] + s.weight[:, side] for s in views], 0)
        hair = np.sum([(s.confidence[:, side] + s.weight[:, side]) * s.cover[:, side] for s in views], 0).max(
            1
        )
        is_bare = (hair < 0.5) & (confidence.max(1) > 0.5)
        is_bare[:DOME_ROWS] = False
        bare_rows = np.flatnonzero(np.convolve(is_bare, np.ones(3), "valid") == 3)
        end_rows.append(
            int(bare_rows[0])
            if len(bare_rows)
            else int(np.flatnonzero(confidence.max(1) > 0.5).max(initial=0))
        )
    left_weight = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(m) / m - 0.25))
    return end_rows[0] + (end_rows[1] - end_rows[0]) * left_weight


def hanging_weight(views: list[HairObservation], grid: HairGrid) -> Float[np.ndarray, "1 m"]:
    """Return 0..1 by column: hair is long enough to hang free of the neck."""
    end_row = _hair_end_row(views, grid)
    y = np.interp(end_row, np.arange(grid.shape[0]), grid.heights)
    return smoothstep(-y, *HANGING_RANGE_M)[None]


def hair_fraction(views: list[HairObservation], rows: slice, columns: Bool[np.ndarray, "m"]) -> float:
    """Return the fraction of hair on the visible part of some rows and columns."""
    confidence = np.sum([(s.confidence + s.weight)[rows][:, columns] for s in views], 0)
    hair = np.sum([((s.confidence + s.weight) * s.cover)[rows][:, columns] for s in views], 0)
    return float(hair.sum() / max(float(confidence.sum()), 1e-6))


def top_region(grid: HairGrid) -> tuple[slice, Bool[np.ndarray, "m"]]:
    """Return rows and columns of the top of the head."""
    return slice(0, int(0.6 * DOME_ROWS)), np.ones(grid.shape[1], bool)


def side_region(grid: HairGrid) -> tuple[slice, Bool[np.ndarray, "m"]]:
    """Return rows and columns above and behind the ears."""
    return slice(int(0.6 * DOME_ROWS), DOME_ROWS), np.abs(grid.direction[DOME_ROWS, :, 0]) > 0.85


def bald_wreath(grid: HairGrid) -> Float[np.ndarray, "n m"]:
    """Return where a bald head still has hair: a wreath from temple to temple, higher behind."""
    back = smoothstep(-grid.direction[DOME_ROWS, :, 2], -0.1, 0.8)
    rows = np.arange(grid.shape[0], dtype=float)[:, None]
    return smoothstep(rows - (0.72 - 0.2 * back) * DOME_ROWS, -2.0, 2.0)
