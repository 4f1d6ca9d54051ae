"""Flattening a disk without folds: Tutte's embedding, then least symmetric Dirichlet energy.

Method: Rabinovich et al., Scalable Locally Injective Mappings, 2017; here with a texel density per vertex.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import spsolve

__all__ = ["flatten", "tutte"]


def tutte(faces: np.ndarray, count: int, fixed: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Convex-boundary embedding with uniform weights: (count, 2)."""
    e = np.unique(np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    a = coo_matrix(
        (np.ones(2 * len(e)), (np.r_[e[:, 0], e[:, 1]], np.r_[e[:, 1], e[:, 0]])), shape=(count, count)
    )
    lap = (diags(np.asarray(a.sum(1)).ravel()) - a).tocsr()
    uv = np.zeros((count, 2))
    uv[fixed] = at
    free = np.setdiff1d(np.arange(count), fixed)
    right = -lap[free][:, fixed] @ at
    uv[free] = np.stack([spsolve(lap[free][:, free].tocsc(), right[:, k]) for k in range(2)], 1)
    return uv


def _rest(vertices: np.ndarray, faces: np.ndarray, density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per triangle the inverse of its flat edge matrix (wanted size in the chart) and its wanted area."""
    t = vertices[faces]
    a, b = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]
    la = np.linalg.norm(a, axis=1)
    x = (a * b).sum(1) / la
    y = np.linalg.norm(np.cross(a, b), axis=1) / la
    y = np.maximum(y, 0.02 * la)
    s = density[faces].mean(1)
    d = np.zeros((len(faces), 2, 2))
    d[:, 0, 0], d[:, 0, 1], d[:, 1, 1] = la * s, x * s, y * s
    return np.linalg.inv(d), la * y * s * s / 2


def _energy(j: np.ndarray, weight: np.ndarray) -> float:
    det = j[:, 0, 0] * j[:, 1, 1] - j[:, 0, 1] * j[:, 1, 0]
    if det.min() <= 0:
        return np.inf
    sq = (j**2).sum((1, 2))
    return float((weight * (sq + sq / det**2)).sum())


def _largest_step(uv: np.ndarray, d: np.ndarray, faces: np.ndarray) -> float:
    """The step along ``d`` at which the first triangle degenerates."""
    p, q = uv[faces], d[faces]
    a, b = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    u, w = q[:, 1] - q[:, 0], q[:, 2] - q[:, 0]
    c2 = u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]
    c1 = a[:, 0] * w[:, 1] + u[:, 0] * b[:, 1] - a[:, 1] * w[:, 0] - u[:, 1] * b[:, 0]
    c0 = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    disc = np.sqrt(np.maximum(c1 * c1 - 4 * c2 * c0, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        roots = np.stack([(-c1 + disc) / (2 * c2), (-c1 - disc) / (2 * c2), -c0 / c1], -1)
    roots[(c1 * c1 - 4 * c2 * c0 < 0), :2] = np.inf
    roots[np.abs(c2) > 1e-18, 2] = np.inf
    roots[~(roots > 1e-12)] = np.inf
    return float(roots.min())


def flatten(
    vertices: np.ndarray,
    faces: np.ndarray,
    start: np.ndarray,
    density: np.ndarray,
    weight: np.ndarray,
    midline: np.ndarray,
    rounds: int,
) -> np.ndarray:
    """Chart coordinates (V, 2) in ``vertices``' unit times ``density``.

    ``midline`` vertices keep their first coordinate (zero); ``weight`` per triangle scales its share.
    """
    inv, area = _rest(vertices, faces, density)
    w = area * weight
    n, m = len(vertices), len(faces)
    uv = start * np.sqrt(area.sum() / _area(start, faces))
    g = np.zeros((m, 3, 2))
    g[:, 1], g[:, 2] = inv[:, 0], inv[:, 1]
    g[:, 0] = -inv[:, 0] - inv[:, 1]
    rows = np.repeat(np.arange(m), 3)
    dx, dy = (csr_matrix((g[:, :, k].ravel(), (rows, faces.ravel())), shape=(m, n)) for k in range(2))
    free_x = np.setdiff1d(np.arange(n), midline)
    for _ in range(rounds):
        j = np.stack([dx @ uv, dy @ uv], -1)
        u, s, vt = np.linalg.svd(j)
        near = np.abs(s - 1) < 1e-5
        sw = np.sqrt(np.where(near, 4.0, (s - s**-3) / np.where(near, 1, s - 1)))
        big = np.einsum("tij,tj,tkj->tik", u, sw, u)
        target = np.einsum("tij,tjk,tkl->til", big, u, vt)
        blocks, rhs = [], []
        for row in range(2):
            for col, grad in ((0, dx), (1, dy)):
                blocks.append((diags(big[:, row, 0]) @ grad, diags(big[:, row, 1]) @ grad))
                rhs.append(target[:, row, col])
        from scipy.sparse import bmat

        a = bmat([[p, q] for p, q in blocks]).tocsr()
        ww = np.tile(w, 4)
        cols = np.concatenate([free_x, n + np.arange(n)])
        a = a[:, cols]
        now = np.concatenate([uv[:, 0], uv[:, 1]])[cols]
        prox = 1e-6 * w.mean()
        lhs = (a.T @ diags(ww) @ a + prox * diags(np.ones(len(cols)))).tocsc()
        sol = spsolve(lhs, a.T @ (ww * np.concatenate(rhs)) + prox * now)
        goal = np.concatenate([uv[:, 0], uv[:, 1]])
        goal[cols] = sol
        d = goal.reshape(2, n).T - uv
        step, before = min(1.0, 0.8 * _largest_step(uv, d, faces)), _energy(j, w)
        while step > 1e-8:
            trial = uv + step * d
            after = _energy(np.stack([dx @ trial, dy @ trial], -1), w)
            if after < before:
                break
            step *= 0.6
        if step <= 1e-8 or (before - after) < 1e-6 * before:
            break
        uv = trial
    return uv


def _area(uv: np.ndarray, faces: np.ndarray) -> float:
    t = uv[faces]
    a, b = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]
    return float(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2)
