"""Represent a surface around head and neck as one distance per ray: r(row, column).

The first rows are rays from the head's centre, from straight up to horizontal; the others are horizontal
rays from an axis through the neck. Columns are azimuths: the first is at the back of the head, the face in
the middle. The surface is closed, unrolls into a rectangle (its texture) and mirrors by reversed columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped

from headcast.head.model import JOINTS, HeadModel
from headcast.head.params import HeadParams
from headcast.interpolation import smoothstep
from headcast.texture.laplacian import Graph

__all__ = ["DOME_ROWS", "HairGrid", "blur_around", "grid_graph", "mirror", "normals"]

COLUMN_COUNT = 112
DOME_ROWS = 30  # rows of rays from the head's centre
ROW_STEP_M = 0.006  # between the rows below
LOWEST_Y = -0.27  # of the last row, head frame, metres
CENTRE_BELOW_TOP_M = 0.088  # of the head's centre
NECK_AXIS_Z = -0.033  # of the lower rows' axis
AXIS_BACK_RANGE = (-0.057, 0.03)  # -y over which the axis moves back, metres
CENTRE_BEHIND_M = 0.022  # the middle of the scalp: about under the whorl
TRIANGLE_SAMPLES = (
    np.array([[a, b, 6 - a - b] for a in range(7) for b in range(7 - a)]) / 6
)  # barycentric, of large triangles
LARGE_TRIANGLE_M = 0.004  # extent; smaller triangles are sampled at their corners


class GridPlaces(NamedTuple):
    """Rows and columns (floats) of points, and their distance."""

    row: np.ndarray
    column: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True)
class HairGrid:
    """Rays of n rows and m columns in the head frame.

    Attributes:
        origin: (n, 3) where a row's rays start, metres. direction: (n, m, 3) unit vectors.
        centre: (3,) of the head. weights: (n, joints) skinning weights.
    """

    centre: Float[np.ndarray, "3"]
    origin: Float[np.ndarray, "n 3"]
    direction: Float[np.ndarray, "n m 3"]
    weights: Float[np.ndarray, "n j"]

    @staticmethod
    def around(rest: Float[np.ndarray, "v 3"], head: HeadModel) -> HairGrid:
        """Build the rays around a head at rest."""
        scalp = rest[head.region_mask("scalp").numpy()]
        top = float(scalp[:, 1].max())
        middle_z = float(scalp[:, 2].min() + scalp[:, 2].max()) / 2
        centre = np.array([0.0, top - CENTRE_BELOW_TOP_M, middle_z - CENTRE_BEHIND_M])
        neck_y = np.arange(centre[1] - ROW_STEP_M, LOWEST_Y, -ROW_STEP_M)
        elevation = np.linspace(np.pi / 2, 0, DOME_ROWS + 1)
        elevation = np.concatenate([elevation, np.zeros(len(neck_y))])
        y = np.concatenate([np.full(DOME_ROWS + 1, centre[1]), neck_y])
        origin = np.stack([np.zeros(len(y)), y, _axis_depth(y, centre)], 1)
        azimuth = np.arange(COLUMN_COUNT) / COLUMN_COUNT * 2 * np.pi - np.pi
        direction = np.stack(
            [
                np.cos(elevation)[:, None] * np.sin(azimuth),
                np.repeat(np.sin(elevation)[:, None], COLUMN_COUNT, 1),
                np.cos(elevation)[:, None] * np.cos(azimuth),
            ],
            -1,
        )
        weights = _row_weights(y)
        return HairGrid(centre, origin, direction, weights)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.direction.shape[0], self.direction.shape[1]

    @property
    def heights(self) -> Float[np.ndarray, "n"]:
        """y of the rows' origins, metres."""
        return self.origin[:, 1]

    def points(self, r: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m 3"]:
        """Return the surface's points at rest, distances ``r`` along the rays, metres."""
        return self.origin[:, None] + r[..., None] * self.direction

    def posed(
        self, r: Float[np.ndarray, "n m"], head: HeadModel, params: HeadParams
    ) -> Float[np.ndarray, "n m 3"]:
        """Return the surface's points in the world, posed with the head."""
        n, m = r.shape
        rest = torch.from_numpy(self.points(r).reshape(-1, 3)).float()
        weights = torch.from_numpy(np.repeat(self.weights, m, 0)).float()
        return head.skin_points(rest, weights, params).numpy().reshape(n, m, 3)

    def place(self, points: Float[np.ndarray, "k 3"]) -> GridPlaces:
        """Return row, column (floats) and distance of points of the head."""
        offset = points - self.centre
        in_dome = offset[:, 1] >= 0
        z = np.where(in_dome, offset[:, 2], points[:, 2] - _axis_depth(points[:, 1], self.centre))
        horizontal = np.hypot(offset[:, 0], z)
        elevation = np.arctan2(offset[:, 1], horizontal)
        row = np.where(
            in_dome, (1 - elevation / (np.pi / 2)) * DOME_ROWS, DOME_ROWS - offset[:, 1] / ROW_STEP_M
        )
        column = (np.arctan2(offset[:, 0], z) / (2 * np.pi) + 0.5) * COLUMN_COUNT
        return GridPlaces(row, column, np.where(in_dome, np.hypot(horizontal, offset[:, 1]), horizontal))

    def outermost(
        self, vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
    ) -> Float[np.ndarray, "n m"]:
        """Return the distance of a mesh's outermost point on every ray, metres; gaps are filled."""
        n, m = self.shape
        corners = vertices[faces]
        is_large = np.ptp(corners, axis=1).max(1) > LARGE_TRIANGLE_M
        samples = np.einsum("sk,fkc->fsc", TRIANGLE_SAMPLES, corners[is_large]).reshape(-1, 3)
        samples = np.concatenate([samples, corners[~is_large].reshape(-1, 3)])
        row, column, distance = self.place(samples)
        row, column = np.round(row).astype(int), np.round(column).astype(int) % m
        in_grid = (row >= 0) & (row < n)
        reach = np.zeros((n, m))
        np.maximum.at(reach, (row[in_grid], column[in_grid]), distance[in_grid])
        return _fill_gaps(reach, reach > 0)


def _row_weights(y: np.ndarray) -> np.ndarray:
    """Return skinning weights (n, joints) of rows at heights y: head, neck and root."""
    root = smoothstep(-y, 0.09, 0.17)
    neck = 0.5 * smoothstep(-y, 0.05, 0.12) * (1 - root)
    weights = np.zeros((len(y), len(JOINTS)))
    for name, value in (("root", root), ("neck", neck), ("head", 1 - root - neck)):
        weights[:, JOINTS.index(name)] = value
    return weights


def _axis_depth(y: Float[np.ndarray, "k"], centre: Float[np.ndarray, "3"]) -> Float[np.ndarray, "k"]:
    """Return z of the axis: that of the head's centre, behind the ears and in the neck further back.

    Hair that falls behind the ears is in front of it, so that its front faces are a function of the rays.
    """
    return centre[2] + (NECK_AXIS_Z - centre[2]) * smoothstep(-y, *AXIS_BACK_RANGE)


def _fill_gaps(
    value: Float[np.ndarray, "n m"], known: Bool[np.ndarray, "n m"], rounds: int = 12
) -> Float[np.ndarray, "n m"]:
    """Fill unknown cells with the mean of known neighbours, in windows of growing size."""
    import cv2

    values, filled = np.where(known, value, 0.0), known.astype(np.float64)
    for k in range(rounds):
        pad = 2 * (k + 1)
        padded = [np.pad(x, ((pad, pad), (0, 0)), "constant") for x in (values * filled, filled)]
        padded = [np.pad(x, ((0, 0), (pad, pad)), "wrap") for x in padded]
        total, weight = (cv2.blur(x, (2 * k + 3, 2 * k + 3))[pad:-pad, pad:-pad] for x in padded)
        new = (filled == 0) & (weight > 1e-9)
        values = np.where(new, total / np.maximum(weight, 1e-9), values)
        filled[new] = 1
        if filled.all():
            break
    return values


def normals(points: Float[np.ndarray, "n m 3"]) -> Float[np.ndarray, "n m 3"]:
    """Return unit outward normals of a grid surface."""
    along_row = np.roll(points, -1, 1) - np.roll(points, 1, 1)
    along_column = np.gradient(points, axis=0)
    along_row[0] = along_row[1]
    normal = np.cross(along_column, along_row)
    return normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)


def mirror(values: Shaped[np.ndarray, "n m *c"]) -> Shaped[np.ndarray, "n m *c"]:
    """Exchange left and right in a grid's values."""
    return np.roll(values[:, ::-1], 1, 1)


def blur_around(x: Float[np.ndarray, "n m"], sigma: float) -> Float[np.ndarray, "n m"]:
    """Blur by a Gaussian of ``sigma`` cells, cyclic in columns, rows replicated at the ends."""
    import cv2

    pad = 8
    padded = np.pad(np.pad(x, ((pad, pad), (0, 0)), "edge"), ((0, 0), (pad, pad)), "wrap")
    return cv2.GaussianBlur(padded, (0, 0), sigma)[pad:-pad, pad:-pad]


def grid_graph(n: int, m: int) -> Graph:
    """Connect neighbours in a grid whose columns go around."""
    index = np.arange(n * m).reshape(n, m)
    pairs = np.concatenate(
        [
            np.stack([index, np.roll(index, -1, 1)], -1).reshape(-1, 2),
            np.stack([index[:-1], index[1:]], -1).reshape(-1, 2),
        ]
    )
    source = np.concatenate([pairs[:, 0], pairs[:, 1]])
    target = np.concatenate([pairs[:, 1], pairs[:, 0]])
    order = np.argsort(source, kind="stable")
    start = np.searchsorted(source[order], np.arange(n * m + 1))
    return start.astype(np.int64), target[order].astype(np.int64), np.ones(len(order))
