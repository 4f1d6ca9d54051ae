"""Build the hair as a closed surface around the head, out to the photos' outline, hidden at the face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from headcast.head.model import HeadModel
from headcast.interpolation import smoothstep
from headcast.methods.fit.hair.coverage import (
    bald_wreath,
    cover_prior,
    coverage,
    hair_fraction,
    hanging_weight,
    side_region,
    top_region,
)
from headcast.methods.fit.hair.ears import Ears, ears_on, find_ears, front_limit
from headcast.methods.fit.hair.grid import DOME_ROWS, HairGrid, blur_around, grid_graph
from headcast.methods.fit.hair.growth import growth_prior
from headcast.methods.fit.hair.observation import HairObservation, observe_hair, without_rims
from headcast.observe.types import Observation
from headcast.texture.laplacian import Graph, solve_laplacian

__all__ = ["HairSurface", "hair_surface", "outer_limit", "rim_distance"]

USUAL_THICKNESS_M = 0.012  # thickness of hair where no photo shows it
TAPER_SLOPE = (0.1, 0.6)  # inwards per metre down, of hanging hair: sides and back, front
RIM_RISE_M = (0.010, 0.030, 0.012)  # over which the hair rises from its rim: hanging, nape, forehead
FRONT_RANGE = (0.0, 0.7)  # cosine of the azimuth, from the sides to the forehead
PULLED_ROWS = 14  # above the ears, over which hair is pulled in to its limit below
UNDER_EAR_M = 0.004  # thickness of hair at an ear
MIN_HAIR_OFFSET_M = 0.002  # off the skin
HIDDEN_DEPTH_M = 0.004  # under the skin, off the hair
CLOTHES_OFFSET_M = 0.012  # off the shoulders
TOP_THICKNESS_WEIGHT = (0.3, 0.1)  # of the top's thickness in front and behind
BALD_FRACTION = 0.35  # of the top of the head with hair, below which the head is bald
LIMIT_TOLERANCE_M = 0.006  # that one photo's outline may be exceeded by, with several
ON_FACE_COSINE = 0.25  # of an azimuth, from which hair that a photo shows may lie on the face
ON_FACE_M = 0.008  # thickness of such hair
UNDER_SKULL_M = 0.012  # under the skull, the least reach of hair limited by the ears
UNDER_SKIN_M = 0.006  # under the skin, where hair limited by the ears is left out
CELL_SIZE_M = 0.0058  # of the grid, about


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


class _ReachAndCover(NamedTuple):
    """Two values for every ray, as in ``HairSurface``."""

    reach: np.ndarray
    cover: np.ndarray


class _Ground(NamedTuple):
    """What hair lies on.

    Attributes:
        skin: (n, m) distance of the skin, metres; of the skull at bare ears in short hair. skull: the same
            without ears. base: of what hair lies on, further out where it hangs. hangs: (1, m) 0..1.
        at_ears: (n, m) rays through bare ears in short hair.
    """

    skin: np.ndarray
    skull: np.ndarray
    base: np.ndarray
    hangs: np.ndarray
    at_ears: np.ndarray
    ears: Ears | None


def hair_surface(observations: list[Observation], head: HeadModel) -> HairSurface | None:
    """Build the hair's surface from photos of one person; None where displacing the scalp is enough.

    Args:
        head: bound to the person.
    """
    masked = [without_rims(o) for o in observations if o.masks is not None]
    if not masked:
        return None
    rest = head.shape(masked[0].params.identity).numpy()
    grid = HairGrid.around(rest, head)
    skin = grid.outermost(rest, _skin_faces(head))
    draped = _drape(skin, grid)
    graph = grid_graph(*grid.shape)
    ear_cells = ears_on(grid, head, rest)
    usual = draped + USUAL_THICKNESS_M
    views = [observe_hair(o, grid, head, skin, draped, usual, ear_cells) for o in masked]
    bald = hair_fraction(views, *top_region(grid)) < BALD_FRACTION
    if bald and hair_fraction(views, *side_region(grid)) < BALD_FRACTION:
        return None
    hangs = hanging_weight(views, grid)
    ears = find_ears(masked, grid, head, rest, usually_bare=float(hangs.mean()) < 0.5)
    ground = _find_ground(head, rest, grid, skin, draped, hangs, ears)
    skin, base = ground.skin, ground.base
    thickness = _thickness(views, graph)
    views = [observe_hair(o, grid, head, skin, base, base + thickness, ear_cells) for o in masked]
    thickness = _thickness(views, graph)
    if bald:
        thickness = np.minimum(thickness, USUAL_THICKNESS_M)
    thickness = np.where(ground.at_ears, np.minimum(thickness, UNDER_EAR_M), thickness)
    cover = _smooth_cover(views, grid, bald, graph, ground)
    full_reach = _full_hair_reach(grid, base, thickness, outer_limit([s.limit for s in views]), skin)
    rim_rise = _rim_rise(grid, smoothstep(base - skin, 0.002, 0.015))
    reach = _rise_from_rim(skin, full_reach, cover, rim_rise)
    if ears is not None:
        reach, cover = _behind_ears(reach, cover, ground, views, grid, ears)
    return HairSurface(grid, reach, skin, cover)


def _skin_faces(head: HeadModel) -> Int[np.ndarray, "f 3"]:
    """Return the triangles of the head's skin."""
    return head.faces[head.part == head.part_names.index("skin")].numpy()


def _find_ground(
    head: HeadModel,
    rest: Float[np.ndarray, "v 3"],
    grid: HairGrid,
    skin: Float[np.ndarray, "n m"],
    draped: Float[np.ndarray, "n m"],
    hangs: Float[np.ndarray, "1 m"],
    ears: Ears | None,
) -> _Ground:
    """Find what hair lies on: bare ears stick out of short hair, which lies on the skull below them."""
    base, nowhere = skin + hangs * (draped - skin), np.zeros(grid.shape, bool)
    if ears is None:
        return _Ground(skin, skin, base, hangs, nowhere, None)
    faces = _skin_faces(head)
    skull = grid.outermost(rest, faces[~head.region_mask("ears").numpy()[faces].any(1)])
    at_ears = ears.bare & (hangs < 0.5)
    skin = np.where(at_ears, np.minimum(skull, skin), skin)
    return _Ground(skin, skull, np.where(at_ears, skin, base), hangs, at_ears, ears)


def _pull_above(excess: np.ndarray, grid: HairGrid, ears: Ears) -> np.ndarray:
    """Return what is taken (negative, metres) from the rows above the ears, so that no brim stands out."""
    row = int(np.argmax(grid.heights < ears.top))
    rows = np.arange(len(excess))
    weight = np.where(rows < row, smoothstep(rows, row - PULLED_ROWS, row), 0.0)
    return weight[:, None] * blur_around(excess, 1.5)[row][None]


def _under_ears(reach: np.ndarray, skin: np.ndarray, bare: np.ndarray) -> np.ndarray:
    """Lower hair under the skin inside of bare ears."""
    import cv2

    inner = blur_around(cv2.erode(bare.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(float), 0.8)
    return reach + inner * np.minimum(skin - HIDDEN_DEPTH_M - reach, 0)


def _rim_rise(grid: HairGrid, hanging: np.ndarray) -> np.ndarray:
    """Return metres over which hair rises from its rim: quickly at the forehead, slowly at the nape."""
    front = smoothstep(grid.direction[-1, :, 2], *FRONT_RANGE)[None]
    on_skull = RIM_RISE_M[1] + (RIM_RISE_M[2] - RIM_RISE_M[1]) * front
    return on_skull + (RIM_RISE_M[0] - on_skull) * blur_around(hanging, 3.0)


def _behind_ears(
    reach: Float[np.ndarray, "n m"],
    cover: Float[np.ndarray, "n m"],
    ground: _Ground,
    views: list[HairObservation],
    grid: HairGrid,
    ears: Ears,
) -> _ReachAndCover:
    """Keep hair that hangs beside the face behind its front limit, but for hair seen lying on the face."""
    import cv2

    skin = ground.skin
    reach = _under_ears(reach, skin, ground.at_ears)
    on_face = (np.max([s.on_skin for s in views], 0) > 0.5) & ~ears.cells
    on_face &= (grid.direction[-1, :, 2][None] > ON_FACE_COSINE) & (grid.heights > ears.bottom)[:, None]
    on_face = cv2.morphologyEx(on_face.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    limit = np.where(ground.hangs < 0.5, np.inf, front_limit(grid, ears))
    limit = np.where(on_face, np.maximum(limit, skin + ON_FACE_M), limit)
    pull = _pull_above(np.minimum(limit - reach, 0.0), grid, ears)
    reach = np.where(reach > skin, np.maximum(reach + pull, skin + MIN_HAIR_OFFSET_M), reach)
    hidden = (limit < skin - UNDER_SKIN_M).astype(np.uint8)
    hidden = cv2.erode(hidden, np.ones((5, 5), np.uint8)) > 0  # its rim stays, so that the skin cuts it
    # no steep steps far under the skin
    floor = np.minimum(blur_around(ground.skull, 1.0), skin) - UNDER_SKULL_M
    reach = np.maximum(np.minimum(reach, limit), np.minimum(reach, floor))
    return _ReachAndCover(reach, np.where(hidden, 0.0, cover))


def _smooth_cover(
    views: list[HairObservation],
    grid: HairGrid,
    bald: bool,
    graph: Graph,
    ground: _Ground,
) -> Float[np.ndarray, "n m"]:
    """Estimate the cover from all photos, with a prior where nothing is observed."""
    prior_cover = np.minimum(cover_prior(views, grid), bald_wreath(grid) if bald else 1.0)
    cover = coverage(views, graph, grid, prior_cover)
    if ground.ears is None:
        return cover
    below = (grid.heights < ground.ears.bottom)[:, None] & (ground.hangs < 0.5)
    looks_short = below & (growth_prior(grid) < 0.5)  # below the ears: beard or shadow
    return np.where(looks_short, 0.0, cover)


def _full_hair_reach(
    grid: HairGrid, base: np.ndarray, thickness: np.ndarray, limit: np.ndarray, skin: np.ndarray
) -> np.ndarray:
    """Return the reach of full hair within the photos' limits, at least a clearance off the skin."""
    clearance = MIN_HAIR_OFFSET_M + CLOTHES_OFFSET_M * smoothstep(-grid.heights, 0.09, 0.13)[:, None]
    reach = np.clip(np.minimum(base + thickness, base + limit), skin + clearance, None)
    return blur_around(reach, 1.0)


def _rise_from_rim(
    skin: Float[np.ndarray, "n m"],
    full_reach: Float[np.ndarray, "n m"],
    cover: Float[np.ndarray, "n m"],
    rim_rise: Float[np.ndarray, "n m"],
) -> Float[np.ndarray, "n m"]:
    """Return the surface's reach, rising from under the skin at the rim to ``full`` over ``edge`` metres."""
    rise = 1 - np.exp(-np.maximum(rim_distance(cover), 0) / rim_rise)
    reach = skin + np.where(
        cover > 0.5, np.maximum((full_reach - skin) * rise, MIN_HAIR_OFFSET_M), -HIDDEN_DEPTH_M
    )
    reach = blur_around(reach, 0.6)
    reach[:2] = reach[2].mean()
    return reach


def outer_limit(limits: list[Float[np.ndarray, "n m"]]) -> Float[np.ndarray, "n m"]:
    """Combine the photos' limits of the hair's reach.

    Fitted poses are inexact: several photos get a tolerance, of three or more the lowest is ignored."""
    return np.sort(limits, 0)[int(len(limits) > 2)] + LIMIT_TOLERANCE_M * (len(limits) > 1)


def _drape(skin: Float[np.ndarray, "n m"], grid: HairGrid) -> Float[np.ndarray, "n m"]:
    """Return the surface that hair lies on: the skin, and below the head's centre a taper from above."""
    base = skin.copy()
    y, axis_z = grid.heights, grid.origin[:, 2]
    cosine = grid.direction[-1, :, 2]
    in_front = smoothstep(grid.direction[-1, :, 2], 0.2, 0.7)
    taper = TAPER_SLOPE[0] + (TAPER_SLOPE[1] - TAPER_SLOPE[0]) * in_front
    for i in range(1, len(y)):
        if y[i] < y[i - 1]:
            straight_down = base[i - 1] + (axis_z[i - 1] - axis_z[i]) * cosine
            base[i] = np.maximum(skin[i], straight_down - taper * (y[i - 1] - y[i]))
    return base


def _thickness(views: list[HairObservation], graph: Graph) -> Float[np.ndarray, "n m"]:
    """Estimate the thickness of hair on the base, metres, diffused from the outlines in all photos."""
    weight = np.sum([s.weight for s in views], 0)
    value = np.sum([s.weight * s.outline for s in views], 0) / np.maximum(weight, 1e-9)
    known = weight > 0.3
    top = known & (np.arange(len(weight)) < DOME_ROWS / 3)[:, None]
    if top.any():  # front and back are about as thick as the top, unlike hair that hangs at the sides
        top_weight = _top_similarity(*weight.shape) * (1 - np.minimum(weight, 1))
        value = np.where(weight + top_weight > 0, weight * value + top_weight * np.median(value[top]), 0)
        weight = weight + top_weight
        value = value / np.maximum(weight, 1e-9)
    typical = float(np.median(value[known])) if known.any() else USUAL_THICKNESS_M
    confidence = 3 * weight + 0.002
    value = (3 * weight * value + 0.002 * typical) / confidence
    return solve_laplacian(graph, value.reshape(-1, 1), confidence.reshape(-1), sweeps=120).reshape(
        weight.shape
    )


def _top_similarity(n: int, m: int) -> Float[np.ndarray, "n m"]:
    """Return weights of the top's thickness by cell: largest in the median plane, front and back."""
    rows = np.arange(n, dtype=float)[:, None]
    frontality = np.cos(np.arange(m) / m * 2 * np.pi - np.pi)
    weight = np.where(frontality > 0, TOP_THICKNESS_WEIGHT[0], TOP_THICKNESS_WEIGHT[1]) * smoothstep(
        np.abs(frontality), 0.4, 0.9
    )
    return weight * smoothstep(DOME_ROWS - rows, -2.0, 0.5 * DOME_ROWS)


def rim_distance(cover: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """Return metres inside the hair's rim."""
    import cv2

    m = cover.shape[1]
    is_hair = np.concatenate([cover, cover, cover], 1) > 0.5
    is_hair = np.pad(is_hair, ((20, 0), (0, 0)), "edge")
    distance = cv2.distanceTransform(is_hair.astype(np.uint8), cv2.DIST_L2, 5)[20:, m : 2 * m]
    return (distance - 0.5) * CELL_SIZE_M
