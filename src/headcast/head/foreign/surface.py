"""Nearest points on a mesh with similar normals, and smooth functions on its vertices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from headcast.head.embed import near_triangles
from headcast.head.warp import closest_bary

__all__ = ["MeshPoints", "boundary_edges", "edges_of", "nearest", "normals_of", "smoothest"]

TURN = 0.004
"""Metres of distance that a surface looking the other way is worth."""
PIECE = 2048


class MeshPoints(NamedTuple):
    """Points on a mesh: triangle, barycentric weights, and how far away they were."""

    triangle: Int[np.ndarray, " n"]
    bary: Float[np.ndarray, "n 3"]
    distance: Float[np.ndarray, " n"]

    def on(self, values: np.ndarray, faces: Int[np.ndarray, "f 3"]) -> np.ndarray:
        """Interpolate vertex values (V, ...) at the points."""
        rows = values[faces[self.triangle]]
        return np.einsum("nk...,nk->n...", rows, self.bary)


def normals_of(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Float[np.ndarray, "v 3"]:
    """Compute area-weighted unit vertex normals."""
    n = face_normals(vertices, faces)
    out = np.zeros_like(vertices)
    for k in range(3):
        for c in range(3):
            out[:, c] += np.bincount(faces[:, k], n[:, c], len(vertices))
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-20)


def face_normals(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
) -> Float[np.ndarray, "f 3"]:
    """Compute triangle normals whose length is twice the area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def nearest(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"] | None,
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    allowed: Bool[np.ndarray, " f"] | None = None,
    candidates: int = 40,
) -> MeshPoints:
    """Find the nearest surface point of each point; unlike normals are penalised by ``TURN``."""
    pool = np.arange(len(faces)) if allowed is None else np.flatnonzero(allowed)
    near = pool[near_triangles(points, vertices[faces[pool]].mean(1), candidates)]
    unit = face_normals(vertices, faces)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-20)
    triangle, bary, distance = (
        np.empty(len(points), np.int64),
        np.empty((len(points), 3)),
        np.empty(len(points)),
    )
    for start in range(0, len(points), PIECE):
        rows = slice(start, start + PIECE)
        p, mine = points[rows], near[rows]
        b = closest_bary(torch.from_numpy(p)[:, None], torch.from_numpy(vertices[faces[mine]])).numpy()
        hit = np.einsum("nkc,nkcd->nkd", b, vertices[faces[mine]])
        far = np.linalg.norm(hit - p[:, None], axis=-1)
        cost = (
            far if normals is None else far + TURN * (1 - np.einsum("nkd,nd->nk", unit[mine], normals[rows]))
        )
        best = cost.argmin(1)
        at = np.arange(len(p))
        triangle[rows], bary[rows], distance[rows] = mine[at, best], b[at, best], far[at, best]
    return MeshPoints(triangle, bary, distance)


def edges_of(faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "e 2"]:
    """List every edge once, lower vertex first."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(pairs, 1), axis=0)


def boundary_edges(faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "e 2"]:
    """List the edges of one triangle only."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    edges, count = np.unique(pairs, axis=0, return_counts=True)
    return edges[count == 1]


def smoothest(
    edges: Int[np.ndarray, "e 2"],
    value: Float[np.ndarray, "v c"],
    trust: Float[np.ndarray, " v"],
    stiffness: float,
    start: Float[np.ndarray, "v c"],
    steps: int = 80,
) -> Float[np.ndarray, "v c"]:
    """Minimise sum trust |x - value|² + stiffness sum over edges |x_i - x_j|² by conjugate gradients.

    Vertices without an edge and without trust get zero.
    """
    count = len(value)
    degree = np.bincount(edges.ravel(), minlength=count).astype(float)

    def apply(x: np.ndarray) -> np.ndarray:
        out = (trust + stiffness * degree + 1e-9)[:, None] * x
        for c in range(x.shape[1]):
            out[:, c] -= stiffness * np.bincount(edges[:, 0], x[edges[:, 1], c], count)
            out[:, c] -= stiffness * np.bincount(edges[:, 1], x[edges[:, 0], c], count)
        return out

    scale = 1 / (trust + stiffness * degree + 1e-9)[:, None]
    x = start
    r = trust[:, None] * value - apply(start)
    z = scale * r
    p, rz = z, (r * z).sum(0)
    for _ in range(steps):
        ap = apply(p)
        step = rz / np.maximum((p * ap).sum(0), 1e-300)
        x, r = x + step * p, r - step * ap
        z = scale * r
        now = (r * z).sum(0)
        p, rz = z + now / np.maximum(rz, 1e-300) * p, now
    return x
