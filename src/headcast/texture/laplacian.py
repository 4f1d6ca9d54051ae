"""Complete values known at some vertices or texels by Laplacian diffusion over the whole mesh."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from headcast.head.model import HeadModel
from headcast.render.jit import kernel
from headcast.texture.texels import Texels, interpolate_attributes

__all__ = ["TEXEL_STRIDE", "Graph", "diffuse", "mesh_graph", "scatter_to_vertices", "solve_laplacian"]

CONVERGED = 1e-4  # largest step of a sweep after which no more are made
TEXEL_STRIDE = 3  # every third texel is enough for values at vertices
# weight of the usual value, next to ``KNOWN_WEIGHT`` where a value is known: felt far from anything known
ATTRACTION = 0.006
KNOWN_WEIGHT = 3.0  # of known values, next to 1 for the edges of the mesh

Graph = tuple[Int[np.ndarray, "v1"], Int[np.ndarray, "e"], Float[np.ndarray, "e"]]
"""Neighbours of each vertex in one row after the other: starts, neighbours, weights."""


def mesh_graph(head: HeadModel, vertices: Float[np.ndarray, "v 3"], mirrored: float = 0.05) -> Graph:
    """Connect vertices by the mesh's edges, short ones stiffer; mirror vertices with weight ``mirrored``."""
    pairs, weight = _mesh_edges(head, vertices)
    mirror = head.mirror.numpy()
    other = np.arange(len(mirror)) < mirror
    ties = np.stack([np.flatnonzero(other), mirror[other]], 1)
    a = np.concatenate([pairs, ties])
    w = np.concatenate([weight, np.full(len(ties), mirrored)])
    source = np.concatenate([a[:, 0], a[:, 1]])
    order = np.argsort(source, kind="stable")
    start = np.searchsorted(source[order], np.arange(len(vertices) + 1))
    other_end = np.concatenate([a[:, 1], a[:, 0]])[order]
    return (
        start.astype(np.int64),
        other_end.astype(np.int64),
        np.concatenate([w, w])[order].astype(np.float64),
    )


def _mesh_edges(head: HeadModel, vertices: Float[np.ndarray, "v 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mesh's edges once, and weights: short ones are stiffer."""
    f = head.faces.numpy()
    pairs = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]])
    low, high = pairs.min(1).astype(np.int64), pairs.max(1)
    pairs = np.stack(np.divmod(np.unique(low * len(vertices) + high), len(vertices)), 1)
    length = np.linalg.norm(vertices[pairs[:, 0]] - vertices[pairs[:, 1]], axis=1)
    weight = np.minimum(np.median(length) / np.maximum(length, 1e-6), 10)
    return pairs, weight


def solve_laplacian(
    graph: Graph, value: Float[np.ndarray, "v c"], trust: Float[np.ndarray, "v"], sweeps: int = 150
) -> Float[np.ndarray, "v c"]:
    """Find the smoothest values that follow ``value`` where ``trust`` (0: unknown, large: fixed) is high.

    Minimises sum_ij w_ij |x_i - x_j|² + sum_i trust_i |x_i - value_i|² by over-relaxed Gauss-Seidel sweeps.
    """
    if not (trust > 0).any():
        return value.astype(np.float64)
    known = np.average(value, axis=0, weights=trust)
    x = np.where((trust > 0)[:, None], value, known).astype(np.float64)
    _sweep(
        *graph, np.ascontiguousarray(value, np.float64), np.ascontiguousarray(trust, np.float64), x, sweeps
    )
    return x


def scatter_to_vertices(
    texels: Texels,
    faces: Int[np.ndarray, "f 3"],
    count: int,
    values: Float[np.ndarray, "n c"],
    weight: Float[np.ndarray, "n"],
    stride: int = 1,
) -> tuple[Float[np.ndarray, "v c"], Float[np.ndarray, "v"]]:
    """Average texel values at ``count`` vertices, weighted; also the mean weight of each vertex's texels."""
    rows = faces[texels.triangle[::stride]].reshape(-1)
    b = texels.bary[::stride]
    w = (b * weight[::stride, None]).reshape(-1)
    total = np.bincount(rows, w, count)
    area = np.bincount(rows, b.reshape(-1), count)
    out = np.empty((count, values.shape[1]))
    for c in range(values.shape[1]):
        column = (b * (values[::stride, c] * weight[::stride])[:, None]).reshape(-1)
        out[:, c] = np.bincount(rows, column, count) / np.maximum(total, 1e-9)
    return out, total / np.maximum(area, 1e-9)


def diffuse(
    head: HeadModel,
    texels: Texels,
    graph: Graph,
    value: Float[np.ndarray, "n 3"],
    weight: Float[np.ndarray, "n"],
    usual: float | None = None,
    attraction: float = ATTRACTION,
) -> Float[np.ndarray, "n 3"]:
    """Diffuse texel values known where ``weight`` is high over the whole mesh.

    Args:
        usual: what they tend to far from there; None: their median.
        attraction: how soon they do.
    """
    faces, count = head.faces.numpy(), len(head.neutral)
    at, trust = scatter_to_vertices(texels, faces, count, value, weight, TEXEL_STRIDE)
    known = weight > 0.3
    far: float | Float[np.ndarray, "3"]
    if usual is not None:
        far = usual
    elif known.any():
        far = np.median(value[known], 0)
    else:
        far = at[trust > 0].mean(0) if (trust > 0).any() else 0.0
    total = KNOWN_WEIGHT * trust + attraction
    known_at = (KNOWN_WEIGHT * trust[:, None] * at + attraction * far) / total[:, None]
    return interpolate_attributes(solve_laplacian(graph, known_at, total), faces, texels)


@kernel("void(int64[::1], int64[::1], float64[::1], float64[:,::1], float64[::1], float64[:,::1], int64)")
def _sweep(start, other, weight, value, trust, x, sweeps):  # type: ignore[no-untyped-def]
    total = trust.copy()
    for i in range(len(start) - 1):
        for e in range(start[i], start[i + 1]):
            total[i] += weight[e]
    for _ in range(sweeps):
        most = 0.0
        for i in range(len(start) - 1):
            if total[i] <= 0:
                continue
            for c in range(x.shape[1]):
                s = trust[i] * value[i, c]
                for e in range(start[i], start[i + 1]):
                    s += weight[e] * x[other[e], c]
                step = 1.9 * (s / total[i] - x[i, c])
                x[i, c] += step
                most = max(most, abs(step))
        if most < CONVERGED:
            return
