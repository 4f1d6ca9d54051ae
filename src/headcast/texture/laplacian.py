"""Smooth functions on the mesh: values known at some vertices carried over all others."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from headcast.head.model import HeadModel
from headcast.render.jit import kernel
from headcast.texture.texels import Texels

SETTLED = 1e-4  # largest step of a sweep after which no more are made

__all__ = ["Graph", "graph_of", "harmonic", "splat"]

Graph = tuple[Int[np.ndarray, "v1"], Int[np.ndarray, "e"], Float[np.ndarray, "e"]]
"""Neighbours of each vertex in one row after the other: starts, neighbours, weights."""


def graph_of(head: HeadModel, vertices: Float[np.ndarray, "v 3"], mirrored: float = 0.05) -> Graph:
    """Mesh edges, short ones stiffer, plus a weak tie of weight ``mirrored`` between mirror vertices."""
    f = head.faces.numpy()
    pairs = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]])
    low, high = pairs.min(1).astype(np.int64), pairs.max(1)
    pairs = np.stack(np.divmod(np.unique(low * len(vertices) + high), len(vertices)), 1)
    length = np.linalg.norm(vertices[pairs[:, 0]] - vertices[pairs[:, 1]], axis=1)
    weight = np.minimum(np.median(length) / np.maximum(length, 1e-6), 10)
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


def harmonic(
    graph: Graph, value: Float[np.ndarray, "v c"], trust: Float[np.ndarray, "v"], sweeps: int = 150
) -> Float[np.ndarray, "v c"]:
    """The smoothest values that follow ``value`` where ``trust`` (0: unknown, large: fixed) is high.

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


def splat(
    texels: Texels, faces: Int[np.ndarray, "f 3"], count: int, values: Float[np.ndarray, "n c"],
    weight: Float[np.ndarray, "n"], stride: int = 1,
) -> tuple[Float[np.ndarray, "v c"], Float[np.ndarray, "v"]]:  # fmt: skip
    """Weighted means of texel values at ``count`` vertices, and the mean weight of each vertex's texels."""
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
        if most < SETTLED:
            return
