"""A surface around head and neck as one distance per direction: r(row, column).

Rows go from the crown down: first rays from the head's middle, from straight up to level, then level rays
from an axis through the neck. Columns go around, the first at the back of the head, the face in the middle.
Such a surface is closed, unrolls into a rectangle (its texture) and mirrors by reversing its columns.
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

__all__ = ["DOME", "HairGrid", "blur_around", "grid_graph", "mirror", "normals"]

COLUMNS = 112
DOME = 30  # rows of rays from the middle
STEP = 0.006  # metres between the rows below
LOWEST = -0.27  # where the last row lies, head frame
UNDER_TOP = 0.088  # metres the middle lies under the top of the head
SAMPLES = np.array([[a, b, 6 - a - b] for a in range(7) for b in range(7 - a)]) / 6  # of a large triangle
LARGE = 0.004  # metres; of smaller triangles the corners are enough


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
        middle: (3,) of the head. weights: (n, joints) skinning weights.
    """

    middle: Float[np.ndarray, "3"]
    origin: Float[np.ndarray, "n 3"]
    direction: Float[np.ndarray, "n m 3"]
    weights: Float[np.ndarray, "n j"]

    @staticmethod
    def around(rest: Float[np.ndarray, "v 3"], head: HeadModel) -> HairGrid:
        """Build the rays around a head at rest."""
        scalp = rest[head.region_mask("scalp").numpy()]
        top = float(scalp[:, 1].max())
        middle = np.array([0.0, top - UNDER_TOP, float(scalp[:, 2].min() + scalp[:, 2].max()) / 2])
        below = np.arange(middle[1] - STEP, LOWEST, -STEP)
        rise = np.linspace(np.pi / 2, 0, DOME + 1)
        rise = np.concatenate([rise, np.zeros(len(below))])
        y = np.concatenate([np.full(DOME + 1, middle[1]), below])
        origin = np.stack([np.zeros(len(y)), y, _axis_depth(y, middle)], 1)
        turn = np.arange(COLUMNS) / COLUMNS * 2 * np.pi - np.pi
        direction = np.stack(
            [
                np.cos(rise)[:, None] * np.sin(turn),
                np.repeat(np.sin(rise)[:, None], COLUMNS, 1),
                np.cos(rise)[:, None] * np.cos(turn),
            ],
            -1,
        )
        weights = _row_weights(y)
        return HairGrid(middle, origin, direction, weights)

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
        d = points - self.middle
        dome = d[:, 1] >= 0
        z = np.where(dome, d[:, 2], points[:, 2] - _axis_depth(points[:, 1], self.middle))
        level = np.hypot(d[:, 0], z)
        rise = np.arctan2(d[:, 1], level)
        row = np.where(dome, (1 - rise / (np.pi / 2)) * DOME, DOME - d[:, 1] / STEP)
        column = (np.arctan2(d[:, 0], z) / (2 * np.pi) + 0.5) * COLUMNS
        return GridPlaces(row, column, np.where(dome, np.hypot(level, d[:, 1]), level))

    def outermost(
        self, vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
    ) -> Float[np.ndarray, "n m"]:
        """Return how far a mesh reaches along every ray; gaps take their neighbours' value."""
        n, m = self.shape
        corners = vertices[faces]
        wide = np.ptp(corners, axis=1).max(1) > LARGE
        dense = np.einsum("sk,fkc->fsc", SAMPLES, corners[wide]).reshape(-1, 3)
        dense = np.concatenate([dense, corners[~wide].reshape(-1, 3)])
        row, column, far = self.place(dense)
        row, column = np.round(row).astype(int), np.round(column).astype(int) % m
        inside = (row >= 0) & (row < n)
        out = np.zeros((n, m))
        np.maximum.at(out, (row[inside], column[inside]), far[inside])
        return _fill_gaps(out, out > 0)


def _row_weights(y: np.ndarray) -> np.ndarray:
    """Return skinning weights (n, joints) of rows at heights y: head, neck and root."""
    root = smoothstep(-y, 0.09, 0.17)
    neck = 0.5 * smoothstep(-y, 0.05, 0.12) * (1 - root)
    weights = np.zeros((len(y), len(JOINTS)))
    for name, value in (("root", root), ("neck", neck), ("head", 1 - root - neck)):
        weights[:, JOINTS.index(name)] = value
    return weights


def _axis_depth(y: Float[np.ndarray, "k"], middle: Float[np.ndarray, "3"]) -> Float[np.ndarray, "k"]:
    """Return z of the axis: the head's middle, further back in the neck."""
    return middle[2] + (-0.03 - middle[2]) * smoothstep(-y, 0.0, 0.1)


def _fill_gaps(
    value: Float[np.ndarray, "n m"], known: Bool[np.ndarray, "n m"], rounds: int = 12
) -> Float[np.ndarray, "n m"]:
    """Fill unknown cells with the mean of known neighbours, further and further."""
    import cv2

    out, have = np.where(known, value, 0.0), known.astype(np.float64)
    for k in range(rounds):
        pad = 2 * (k + 1)
        wide = [np.pad(x, ((pad, pad), (0, 0)), "constant") for x in (out * have, have)]
        wide = [np.pad(x, ((0, 0), (pad, pad)), "wrap") for x in wide]
        total, weight = (cv2.blur(x, (2 * k + 3, 2 * k + 3))[pad:-pad, pad:-pad] for x in wide)
        new = (have == 0) & (weight > 1e-9)
        out = np.where(new, total / np.maximum(weight, 1e-9), out)
        have[new] = 1
        if have.all():
            break
    return out


def normals(points: Float[np.ndarray, "n m 3"]) -> Float[np.ndarray, "n m 3"]:
    """Return unit outward normals of a grid surface."""
    across = np.roll(points, -1, 1) - np.roll(points, 1, 1)
    down = np.gradient(points, axis=0)
    across[0] = across[1]
    normal = np.cross(down, across)
    return normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)


def mirror(values: Shaped[np.ndarray, "n m *c"]) -> Shaped[np.ndarray, "n m *c"]:
    """Exchange left and right in a grid's values."""
    return np.roll(values[:, ::-1], 1, 1)


def blur_around(x: Float[np.ndarray, "n m"], sigma: float) -> Float[np.ndarray, "n m"]:
    """Blur by a Gaussian of ``sigma`` cells; columns go around, rows are repeated at the ends."""
    import cv2

    k = 8
    wide = np.pad(np.pad(x, ((k, k), (0, 0)), "edge"), ((0, 0), (k, k)), "wrap")
    return cv2.GaussianBlur(wide, (0, 0), sigma)[k:-k, k:-k]


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
