"""The hair as a closed surface around the head: as far out as the photos' outline, open where the face is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headcast.head.model import HeadModel
from headcast.interpolation import smoothstep
from headcast.methods.fit.hair.coverage import (
    bald_wreath,
    coverage,
    hair_fraction,
    hanging_weight,
    side_region,
    top_region,
    usual_cover,
)
from headcast.methods.fit.hair.grid import DOME, HairGrid, blur_around, grid_graph
from headcast.methods.fit.hair.observation import HairObservation, observe_hair
from headcast.observe.types import Observation
from headcast.texture.laplacian import Graph, solve_laplacian

__all__ = ["HairSurface", "hair_surface", "outer_limit", "rim_distance"]

USUAL_THICKNESS_M = 0.012  # thickness of hair where no photo shows it
TAPER = (0.1, 0.6)  # how fast hair that hangs down draws in: beside and behind the face, before it
EDGE = (0.010, 0.030)  # metres over which the hair rises from its rim: hanging, and on the skull
MIN_HAIR_OFFSET_M = 0.002  # metres that hair stands off the skin
SUNK_M = 0.004  # metres under the skin where there is no hair
ON_CLOTHES = 0.012  # metres off the shoulders
LIKE_TOP = (0.3, 0.1)  # how much the top's thickness counts in front and behind
BALD = 0.35  # of the top of the head with hair, below which there is no surface of hair
LENIENT = 0.006  # metres beyond a photo's outline that another photo may show hair at
CELL = 0.0058  # size of a grid's cell, metres, about


@dataclass(frozen=True)
class HairSurface:
    """The hair's surface on a grid around the head.

    Attributes:
        reach: (n, m) distance of the hair's surface along each ray, metres; under the skin off the hair.
        skin: (n, m) distance of the skin.
        cover: (n, m) 0..1 whether there is hair.
    """

    grid: HairGrid
    reach: Float[np.ndarray, "n m"]
    skin: Float[np.ndarray, "n m"]
    cover: Float[np.ndarray, "n m"]


def hair_surface(observations: list[Observation], head: HeadModel) -> HairSurface | None:
    """Build the hair's surface from photos of one person; None where displacing the scalp is enough.

    Args:
        head: bound to the person.
    """
    masked = [o for o in observations if o.masks is not None]
    if not masked:
        return None
    rest = head.shape(masked[0].params.identity).numpy()
    skin_faces = head.faces[head.part == head.part_names.index("skin")].numpy()
    grid = HairGrid.around(rest, head)
    skin = grid.outermost(rest, skin_faces)
    draped = _draped(skin, grid)
    graph = grid_graph(*grid.shape)
    extra = np.full(grid.shape, USUAL_THICKNESS_M)
    views = [observe_hair(o, grid, head, skin, draped, draped + extra) for o in masked]
    bald = hair_fraction(views, *top_region(grid)) < BALD
    if bald and hair_fraction(views, *side_region(grid)) < BALD:
        return None
    base = skin + hanging_weight(views, grid) * (draped - skin)
    extra = _thickness(views, graph)
    views = [observe_hair(o, grid, head, skin, base, base + extra) for o in masked]
    extra = _thickness(views, graph)
    if bald:
        extra = np.minimum(extra, USUAL_THICKNESS_M)
    hanging = smoothstep(base - skin, 0.002, 0.015)
    limit = outer_limit([s.limit for s in views])
    cover = _smooth_cover(head, views, grid, rest, bald, graph)
    edge = EDGE[1] + (EDGE[0] - EDGE[1]) * blur_around(hanging, 3.0)
    full = _full_reach(grid, base, extra, limit, skin)
    return HairSurface(grid, _rise_from_rim(skin, full, cover, edge), skin, cover)


def _smooth_cover(
    head: HeadModel, views: list[HairObservation], grid: HairGrid, rest: np.ndarray, bald: bool, graph: Graph
) -> np.ndarray:
    """Return where there is hair by all photos, and by what is usual where they show nothing."""
    usual = np.minimum(usual_cover(views, grid, head, rest), bald_wreath(grid) if bald else 1.0)
    return coverage(views, graph, grid, usual)


def _full_reach(
    grid: HairGrid, base: np.ndarray, extra: np.ndarray, limit: np.ndarray, skin: np.ndarray
) -> np.ndarray:
    """Return the reach of full hair within what the photos allow, clear of the skin."""
    clear = MIN_HAIR_OFFSET_M + ON_CLOTHES * smoothstep(-grid.heights, 0.09, 0.13)[:, None]
    full = np.clip(np.minimum(base + extra, base + limit), skin + clear, None)
    return blur_around(full, 1.0)


def _rise_from_rim(
    skin: Float[np.ndarray, "n m"],
    full: Float[np.ndarray, "n m"],
    cover: Float[np.ndarray, "n m"],
    edge: Float[np.ndarray, "n m"],
) -> Float[np.ndarray, "n m"]:
    """Return the surface's reach, rising from under the skin at the rim to ``full`` over ``edge`` metres."""
    rise = 1 - np.exp(-np.maximum(rim_distance(cover), 0) / edge)
    reach = skin + np.where(cover > 0.5, np.maximum((full - skin) * rise, MIN_HAIR_OFFSET_M), -SUNK_M)
    reach = blur_around(reach, 0.6)
    reach[:2] = reach[2].mean()
    return reach


def outer_limit(limits: list[Float[np.ndarray, "n m"]]) -> Float[np.ndarray, "n m"]:
    """Combine the photos' limits of the hair's reach.

    Each photo lies a little off: of several none cuts closely, of three or more none alone."""
    return np.sort(limits, 0)[int(len(limits) > 2)] + LENIENT * (len(limits) > 1)


def _draped(skin: Float[np.ndarray, "n m"], grid: HairGrid) -> Float[np.ndarray, "n m"]:
    """Return the skin, and below the head's middle what hangs straight down from it, drawing in a little."""
    base = skin.copy()
    y = grid.heights
    before = smoothstep(grid.direction[-1, :, 2], 0.2, 0.7)
    taper = TAPER[0] + (TAPER[1] - TAPER[0]) * before
    for i in range(1, len(y)):
        if y[i] < y[i - 1]:
            base[i] = np.maximum(skin[i], base[i - 1] - taper * (y[i - 1] - y[i]))
    return base


def _thickness(views: list[HairObservation], graph: Graph) -> Float[np.ndarray, "n m"]:
    """Estimate how far the hair reaches beyond the base, from all outlines, diffused over the rest."""
    weight = np.sum([s.weight for s in views], 0)
    value = np.sum([s.weight * s.outline for s in views], 0) / np.maximum(weight, 1e-9)
    known = weight > 0.3
    top = known & (np.arange(len(weight)) < DOME / 3)[:, None]
    if top.any():  # before and behind the top hair is about as thick as there, whatever hangs at the sides
        top_weight = _like_top(*weight.shape) * (1 - np.minimum(weight, 1))
        value = np.where(weight + top_weight > 0, weight * value + top_weight * np.median(value[top]), 0)
        weight = weight + top_weight
        value = value / np.maximum(weight, 1e-9)
    usual = float(np.median(value[known])) if known.any() else USUAL_THICKNESS_M
    confidence = 3 * weight + 0.002
    value = (3 * weight * value + 0.002 * usual) / confidence
    return solve_laplacian(graph, value.reshape(-1, 1), confidence.reshape(-1), sweeps=120).reshape(
        weight.shape
    )


def _like_top(n: int, m: int) -> Float[np.ndarray, "n m"]:
    """Return how well the top's thickness predicts a place's: best in the middle of forehead and back."""
    rows = np.arange(n, dtype=float)[:, None]
    ahead = np.cos(np.arange(m) / m * 2 * np.pi - np.pi)
    middle = np.where(ahead > 0, LIKE_TOP[0], LIKE_TOP[1]) * smoothstep(np.abs(ahead), 0.4, 0.9)
    return middle * smoothstep(DOME - rows, -2.0, 0.5 * DOME)


def rim_distance(cover: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """Return metres inside the hair's rim."""
    import cv2

    m = cover.shape[1]
    wide = np.concatenate([cover, cover, cover], 1) > 0.5
    wide = np.pad(wide, ((20, 0), (0, 0)), "edge")
    distance = cv2.distanceTransform(wide.astype(np.uint8), cv2.DIST_L2, 5)[20:, m : 2 * m]
    return (distance - 0.5) * CELL
