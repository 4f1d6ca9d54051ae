"""Ears between the hair: their place on the grid, whether a photo shows them, hair that falls behind them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from headcast.head.model import HeadModel
from headcast.image import sample_bilinear
from headcast.interpolation import smoothstep
from headcast.methods.fit.hair.grid import HairGrid
from headcast.observe.types import Observation
from headcast.render.geometry import visibility

__all__ = ["Ears", "ears_on", "find_ears", "front_limit"]

MIN_VISIBLE = 40  # of an ear's vertices, for a photo to say whether it is bare
BARE_FRACTION = 0.3  # of the skin at its visible vertices, from which an ear is bare
VISIBLE_FACING = 0.1  # cosine to the camera of an ear's visible vertices
BEHIND_EAR_M = 0.006  # in front of a bare ear's back, where hair behind it begins
MIN_FRONT_DEPTH_M = 0.012  # of hair's front face before the axis
FORWARD_M, FORWARD_RANGE_M = 0.03, (0.05, 0.16)  # by which hair comes forward below the chin, and where (-y)
ABOVE_SLOPE = 0.03  # metres a row by which it may come forward above the ears
SIDE_ON = 0.02  # least cosine of an azimuth that is limited


class Ears(NamedTuple):
    """Both ears on the grid.

    Attributes:
        cells: (n, m) rays through an ear. bare: (n, m) rays through one that is not covered by hair.
        back: z of the ears' back, metres. top, bottom: y of their ends.
        bare_by_column: (m,) 0..1 whether the ear of that side is bare.
    """

    cells: Bool[np.ndarray, "n m"]
    bare: Bool[np.ndarray, "n m"]
    back: float
    top: float
    bottom: float
    bare_by_column: Float[np.ndarray, "m"]


def find_ears(
    observations: list[Observation],
    grid: HairGrid,
    head: HeadModel,
    rest: Float[np.ndarray, "v 3"],
    usually_bare: bool,
) -> Ears | None:
    """Find the ears and whether hair covers them; None: the head has none.

    Args:
        usually_bare: what is assumed where no photo shows an ear.
    """
    is_ear = head.region_mask("ears").numpy() if "ears" in head.region_names else np.zeros(len(rest), bool)
    if not is_ear.any():
        return None
    points = rest[is_ear]
    cells, bare, by_column = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool), np.zeros(grid.shape[1])
    columns = np.arange(grid.shape[1])
    for side in (1, -1):
        own = is_ear & (rest[:, 0] * side > 0)
        fractions = [x for o in observations if (x := _bare_fraction(o, head, own)) is not None]
        is_bare = max(fractions) > BARE_FRACTION if fractions else usually_bare
        of_side = _cells_of(grid, rest[own])
        cells |= of_side
        if is_bare:
            bare |= of_side
            by_column[(columns > len(columns) // 2) == (side > 0)] = 1.0
    back = float(np.quantile(points[:, 2], 0.05))
    return Ears(cells, bare, back, float(points[:, 1].max()), float(points[:, 1].min()), by_column)


def ears_on(grid: HairGrid, head: HeadModel, rest: Float[np.ndarray, "v 3"]) -> Bool[np.ndarray, "n m"]:
    """Return the grid's cells (n, m) whose rays pass through or close to an ear."""
    import cv2

    if "ears" not in head.region_names:
        return np.zeros(grid.shape, bool)
    cells = _cells_of(grid, rest[head.region_mask("ears").numpy()])
    return cv2.dilate(cells.astype(np.uint8), np.ones((3, 5), np.uint8)) > 0


def _cells_of(grid: HairGrid, points: Float[np.ndarray, "k 3"]) -> Bool[np.ndarray, "n m"]:
    """Return the grid's cells that some points lie in, holes closed."""
    import cv2

    n, m = grid.shape
    row, column, _ = grid.place(points)
    cells = np.zeros((n, m), np.uint8)
    cells[np.clip(np.round(row).astype(int), 0, n - 1), np.round(column).astype(int) % m] = 1
    return cv2.morphologyEx(cells, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0


def _bare_fraction(observation: Observation, head: HeadModel, which: Bool[np.ndarray, "v"]) -> float | None:
    """Return the fraction of an ear's visible vertices at which the photo shows skin; None: too few."""
    camera, masks = observation.camera, observation.masks
    assert masks is not None
    posed = head(observation.params)
    points = posed[torch.from_numpy(which)]
    normal = head.vertex_normals(posed)[torch.from_numpy(which)].numpy()
    to_camera = camera.center.numpy() - points.numpy()
    facing = (normal * to_camera).sum(1) / np.maximum(np.linalg.norm(to_camera, axis=1), 1e-9)
    seen = visibility(points, camera, posed, head.faces, tolerance=0.003).numpy() > 0.5
    seen &= facing > VISIBLE_FACING
    if seen.sum() < MIN_VISIBLE:
        return None
    pixel = camera.project(points).numpy()[seen].astype(np.float32)
    skin, hair = (sample_bilinear(x.astype(np.float32), pixel) for x in (masks.skin, masks.hair))
    return float((skin > 0.5).mean() / max(float(((skin > 0.5) | (hair > 0.5)).mean()), 1e-6))


def front_limit(grid: HairGrid, ears: Ears) -> Float[np.ndarray, "n m"]:
    """Return the farthest reach (n, m) of hair that hangs beside the face, metres; infinite: not limited.

    Beside a bare ear it stays behind a plane at the ear's back, and further forward below. Hair that covers
    an ear is not limited: it lies where the photo shows it.
    """
    axis_z, y = grid.origin[:, 2], grid.heights
    forward = FORWARD_M * smoothstep(-y, *FORWARD_RANGE_M)
    above = np.maximum(y - ears.top, 0) / (y[-2] - y[-1]) * ABOVE_SLOPE
    is_bare = ears.bare_by_column[None] > 0.5
    plane = ears.back + BEHIND_EAR_M
    depth = np.maximum(plane + (forward + above - axis_z)[:, None], MIN_FRONT_DEPTH_M)
    cosine = grid.direction[-1, :, 2][None]
    limit = depth / np.maximum(cosine, SIDE_ON)
    is_level = np.abs(grid.direction[:, :1, 1]) < 1e-6
    return np.where((cosine > SIDE_ON) & is_level & is_bare, limit, np.inf)
