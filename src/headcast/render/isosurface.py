"""Extract the isosurface of a field on a grid: marching tetrahedra (Doi and Koide 1991).

Each cell is cut into six tetrahedra around one diagonal, so that neighbours agree on every face and the
surface has no cracks. Plain numpy; only cells that the surface passes are looked at.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

__all__ = ["isosurface", "largest_part"]

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
TETRAHEDRA = ((0, 6, 1, 2), (0, 6, 2, 3), (0, 6, 3, 7), (0, 6, 7, 4), (0, 6, 4, 5), (0, 6, 5, 1))


def isosurface(
    field: Float[np.ndarray, "x y z"], level: float
) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """Return vertices in grid units and triangles, counter-clockwise from where the field is lower."""
    cells = _crossed_cells(field, level)
    steps = np.array([field.shape[1] * field.shape[2], field.shape[2], 1])
    corner = (cells @ steps)[:, None] + CORNERS @ steps  # (cells, 8) numbers of grid points
    edges = np.concatenate([cut(corner[:, list(t)], field, level) for t in TETRAHEDRA])
    if not len(edges):
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    keys, index = np.unique(edges.reshape(-1, 2), axis=0, return_inverse=True)
    low, high = (np.stack(np.unravel_index(k, field.shape), 1).astype(np.float64) for k in keys.T)
    a, b = (field.ravel()[k].astype(np.float64) for k in keys.T)
    points = low + ((level - a) / (b - a))[:, None] * (high - low)
    return points, index.reshape(-1, 3)


def _crossed_cells(field: Float[np.ndarray, "x y z"], level: float) -> np.ndarray:
    """Return the cells (n, 3) whose corners lie on both sides of the level."""
    solid = field > level
    inside = np.zeros(tuple(n - 1 for n in field.shape), np.int8)
    for c in CORNERS:
        inside += solid[tuple(slice(o, n - 1 + o) for o, n in zip(c, field.shape, strict=True))]
    return np.argwhere((inside > 0) & (inside < 8))


def cut(
    tetra: Int[np.ndarray, "n 4"], field: Float[np.ndarray, "x y z"], level: float
) -> Int[np.ndarray, "k 3 2"]:
    """Compute triangles in tetrahedra, each corner as the edge (two grid points, the lower number first).

    With the solid corners first, the triangles below face outwards where the tetrahedron is right-handed.
    """
    solid = field.ravel()[tetra] > level
    count = solid.sum(1)
    order = np.argsort(~solid, axis=1, kind="stable")
    t = np.take_along_axis(tetra, order, 1)
    left = _is_left_handed(field, t)
    cell_triangles = []
    for n, triangles in (
        (1, [((0, 1), (0, 2), (0, 3))]),
        (3, [((3, 0), (3, 1), (3, 2))]),
        (2, [((0, 2), (0, 3), (1, 3)), ((0, 2), (1, 3), (1, 2))]),
    ):
        rows, flip = t[count == n], left[count == n]
        for triangle in triangles:
            made = np.stack([rows[:, list(edge)] for edge in triangle], 1)
            cell_triangles.append(np.where(flip[:, None, None], made[:, ::-1], made))
    return np.sort(np.concatenate(cell_triangles), axis=2)


def _is_left_handed(field: Float[np.ndarray, "x y z"], t: np.ndarray) -> np.ndarray:
    """Mark tetrahedra whose corners are in left-handed order."""
    at = np.stack(np.unravel_index(t, field.shape), -1)
    u, v, w = (at[:, k] - at[:, 0] for k in (1, 2, 3))
    return (np.cross(u, v) * w).sum(-1) < 0


def largest_part(count: int, faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "g 3"]:
    """Return the triangles of the largest connected component, of ``count`` vertices."""
    label = np.arange(count)
    while True:  # the lowest number of a part spreads over it, by edges and by leaps
        least = label[faces].min(1)
        after = label.copy()
        for k in range(3):
            np.minimum.at(after, faces[:, k], least)
        after = after[after]
        if np.array_equal(after, label):
            break
        label = after
    part = label[faces[:, 0]]
    names, sizes = np.unique(part, return_counts=True)
    return faces[part == names[sizes.argmax()]]
