"""Last work on the carried bases: identity orthogonal on the own skin, creases smoothed."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags

from headcast.head.names import EXPRESSION_INDEX

__all__ = ["orthogonal", "smooth_crease"]

CREASED = ("mouthUpperUpLeft", "mouthUpperUpRight")


def orthogonal(
    basis: np.ndarray, parity: np.ndarray, skin: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Mixing (count, K) of unit-variance fields (K, V, 3) into the skin vertices' principal components.

    Even and odd fields stay apart. Returns it with the new parities and the share of variance kept.
    """
    found = []
    for sign in (1.0, -1.0):
        rows = np.flatnonzero(parity == sign)
        flat = basis[rows][:, skin].reshape(len(rows), -1)
        values, vectors = np.linalg.eigh(flat @ flat.T)
        for value, vector in zip(values, vectors.T, strict=True):
            mix = np.zeros(len(basis))
            mix[rows] = vector
            field = vector @ flat
            found.append((value, sign, mix * np.sign(field[np.abs(field).argmax()])))
    found.sort(key=lambda f: -f[0])
    kept = sum(f[0] for f in found[:count]) / sum(f[0] for f in found)
    return np.stack([f[2] for f in found[:count]]), np.array([f[1] for f in found[:count]]), float(kept)


def _averaging(faces: np.ndarray, count: int) -> csr_matrix:
    e = faces[:, [0, 1, 1, 2, 2, 0, 1, 0, 2, 1, 0, 2]].reshape(-1, 2)
    a = coo_matrix((np.ones(len(e)), (e[:, 0], e[:, 1])), shape=(count, count)).tocsr()
    a.data[:] = 1
    return (diags(1 / np.maximum(np.asarray(a.sum(1)).ravel(), 1)) @ a).tocsr()


def smooth_crease(expression: np.ndarray, faces: np.ndarray, weight: np.ndarray, rounds: int = 12) -> None:
    """Evens the cheek's sharp fold out of the shapes that have one, in place; ``weight`` (V,) 1 smooths."""
    average = _averaging(faces, expression.shape[1])
    for name in CREASED:
        field = expression[EXPRESSION_INDEX[name]]
        for _ in range(rounds):
            field = field + 0.6 * weight[:, None] * (average @ field - field)
        expression[EXPRESSION_INDEX[name]] = field
