"""Isotropic remeshing of half a surface whose border on x = 0 stays a straight mirror line."""

from __future__ import annotations

import igl
import numpy as np

__all__ = ["FREE", "LOCKED", "MIDLINE", "Remesher", "boundary_edges"]

FREE, MIDLINE, LOCKED = 0, 1, 2


def boundary_edges(faces: np.ndarray) -> np.ndarray:
    """(B, 2) directed edges that only one triangle has."""
    e = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, inverse, counts = np.unique(np.sort(e, axis=1), axis=0, return_inverse=True, return_counts=True)
    return e[counts[inverse.ravel()] == 1]


class Remesher:
    """Splits, collapses, flips and smooths until edges have the length that ``size`` asks for.

    Args:
        vertices, faces: the half mesh to start from, consistently oriented.
        kind: per vertex FREE, MIDLINE (moves within x = 0) or LOCKED (stays, and edges between such).
        reference: (vertices, faces) of the surface to stay on. size: wanted edge length per reference vertex.
    """

    def __init__(
        self,
        vertices: np.ndarray,
        faces: np.ndarray,
        kind: np.ndarray,
        reference: tuple[np.ndarray, np.ndarray],
        size: np.ndarray,
    ) -> None:
        self.p = [tuple(v) for v in vertices]
        self.f: list[tuple[int, int, int] | None] = [(int(a), int(b), int(c)) for a, b, c in faces]
        self.kind = list(kind)
        self.ref_v, self.ref_f, self.ref_size = reference[0], reference[1], size
        e = self.ref_v[self.ref_f]
        n = np.cross(e[:, 1] - e[:, 0], e[:, 2] - e[:, 0])
        self.ref_n = n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-20)
        self.around: list[set[int]] = [set() for _ in self.p]
        for i, (a, b, c) in enumerate(faces):
            self.around[a].add(i)
            self.around[b].add(i)
            self.around[c].add(i)
        self.h = self._sizes(np.array(self.p)).tolist()

    def run(self, rounds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compact vertices, faces, and each vertex's index before (-1 for new ones)."""
        first = len(self.p)
        for k in range(rounds):
            self._split()
            self._collapse()
            self._flip()
            for _ in range(2 if k < rounds - 1 else 3):
                self._smooth()
            self._flip()
        faces = np.array([f for f in self.f if f is not None])
        used = np.unique(faces)
        back = np.full(len(self.p), -1)
        back[used] = np.arange(len(used))
        return np.array(self.p)[used], back[faces], np.where(used < first, used, -1)

    def _sizes(self, points: np.ndarray) -> np.ndarray:
        _, face, foot = igl.point_mesh_squared_distance(points, self.ref_v, self.ref_f)[:3]
        b = igl.barycentric_coordinates(
            foot, *(np.ascontiguousarray(self.ref_v[self.ref_f[face, k]]) for k in range(3))
        )
        return (b * self.ref_size[self.ref_f[face]]).sum(1)

    def _edges(self) -> list[tuple[int, int]]:
        faces = np.array([f for f in self.f if f is not None])
        e = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        return [(int(a), int(b)) for a, b in np.unique(e, axis=0)]

    def _length(self, a: int, b: int) -> float:
        p, q = self.p[a], self.p[b]
        return ((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 + (p[2] - q[2]) ** 2) ** 0.5

    def _ratio(self, a: int, b: int) -> float:
        return self._length(a, b) / (0.5 * (self.h[a] + self.h[b]))

    def _split(self) -> None:
        todo = [(self._ratio(a, b), a, b) for a, b in self._edges()]
        for r, a, b in sorted(todo, reverse=True):
            if r < 4 / 3:
                break
            if self.kind[a] == LOCKED and self.kind[b] == LOCKED:
                continue
            shared = self.around[a] & self.around[b]
            m = len(self.p)
            p = (np.array(self.p[a]) + self.p[b]) / 2
            middle = len(shared) == 1 and self.kind[a] != FREE and self.kind[b] != FREE
            self.p.append((0.0, *p[1:]) if middle else tuple(p))
            self.kind.append(MIDLINE if middle else FREE)
            self.h.append((self.h[a] + self.h[b]) / 2)
            self.around.append(set())
            for i in shared:
                f = self.f[i]
                assert f is not None
                self._set(i, tuple(m if v == b else v for v in f))
                self._set(len(self.f), tuple(m if v == a else v for v in f))

    def _set(self, i: int, face: tuple | None) -> None:
        if i == len(self.f):
            self.f.append(None)
        for v in self.f[i] or ():
            self.around[v].discard(i)
        self.f[i] = face
        for v in face or ():
            self.around[v].add(i)

    def _neighbours(self, v: int) -> set[int]:
        out: set[int] = set()
        for i in self.around[v]:
            out.update(self.f[i] or ())
        out.discard(v)
        return out

    def _normal(self, f: tuple, moved: dict[int, tuple]) -> np.ndarray:
        a, b, c = (moved.get(v, self.p[v]) for v in f)
        u = (b[0] - a[0], b[1] - a[1], b[2] - a[2])
        w = (c[0] - a[0], c[1] - a[1], c[2] - a[2])
        n = (u[1] * w[2] - u[2] * w[1], u[2] * w[0] - u[0] * w[2], u[0] * w[1] - u[1] * w[0])
        s = (n[0] ** 2 + n[1] ** 2 + n[2] ** 2) ** 0.5 + 1e-30
        return np.array((n[0] / s, n[1] / s, n[2] / s))

    def _collapse(self) -> None:
        todo = [(self._ratio(a, b), a, b) for a, b in self._edges()]
        for r, a, b in sorted(todo):
            if r > 4 / 5:
                break
            if self.around[a] and self.around[b] and self._ratio(a, b) < 4 / 5:
                self._try_collapse(a, b)

    def _try_collapse(self, a: int, b: int) -> None:
        if self.kind[a] < self.kind[b]:
            a, b = b, a  # a stays
        shared = self.around[a] & self.around[b]
        if self.kind[b] == LOCKED or not shared or (self.kind[b] == MIDLINE and len(shared) != 1):
            return
        na, nb = self._neighbours(a), self._neighbours(b)
        if len(na & nb) != len(shared):
            return
        p = self.p[a]
        if self.kind[a] == self.kind[b]:
            p = tuple((np.array(self.p[a]) + self.p[b]) / 2)
        moved = {a: p, b: p}
        for i in (self.around[a] | self.around[b]) - shared:
            f = self.f[i]
            assert f is not None
            if float(self._normal(f, {}) @ self._normal(f, moved)) < 0.6:
                return
        for v in (na | nb) - {a, b}:
            q = self.p[v]
            length = ((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 + (p[2] - q[2]) ** 2) ** 0.5
            if length > 1.4 * 0.5 * (self.h[a] + self.h[v]):
                return
        for i in shared:
            self._set(i, None)
        for i in list(self.around[b]):
            f = self.f[i]
            assert f is not None
            self._set(i, tuple(a if v == b else v for v in f))
        self.p[a] = p

    def _flip(self) -> None:
        for a, b in self._edges():
            if self.kind[a] == LOCKED and self.kind[b] == LOCKED:
                continue
            shared = self.around[a] & self.around[b]
            if len(shared) != 2:
                continue
            i, j = shared
            fi, fj = self.f[i], self.f[j]
            assert fi is not None and fj is not None
            c = next(v for v in fi if v not in (a, b))
            d = next(v for v in fj if v not in (a, b))
            if self.around[c] & self.around[d] or fi[(fi.index(a) + 1) % 3] != b:
                fi, fj, c, d, i, j = fj, fi, d, c, j, i
                if fi[(fi.index(a) + 1) % 3] != b or self.around[c] & self.around[d]:
                    continue
            off = [len(self.around[v]) - self._wanted(v) for v in (a, b, c, d)]
            gain = sum(o * o for o in off) - sum(
                (o + s) ** 2 for o, s in zip(off, (-1, -1, 1, 1), strict=True)
            )
            if gain <= 0 or (off[0] < 0 and off[1] < 0):
                continue
            n = self._normal(fi, {}) + self._normal(fj, {})
            new = ((a, d, c), (d, b, c))
            if min(float(self._normal(f, {}) @ n) for f in new) < 1.5 or float(n @ n) < 3.3:
                continue
            if self._length(c, d) > 1.5 * self._length(a, b):
                continue
            self._set(i, new[0])
            self._set(j, new[1])

    def _wanted(self, v: int) -> int:
        """Triangles a vertex should have: 6, or 3 on the mirror line."""
        return 3 if self.kind[v] == MIDLINE or (self.kind[v] == LOCKED and self.p[v][0] == 0.0) else 6

    def _smooth(self) -> None:
        faces = np.array([f for f in self.f if f is not None])
        p, h, kind = np.array(self.p), np.array(self.h), np.array(self.kind)
        tri = p[faces]
        n = np.cross(tri[:, 1] - tri[:, 0], tri[:, 2] - tri[:, 0])
        area = np.linalg.norm(n, axis=1)
        w = area / (h[faces].mean(1) ** 2 + 1e-20)
        num, den, vn = np.zeros_like(p), np.zeros(len(p)), np.zeros_like(p)
        for k in range(3):
            np.add.at(num, faces[:, k], w[:, None] * tri.mean(1))
            np.add.at(den, faces[:, k], w)
            np.add.at(vn, faces[:, k], n)
        vn /= np.maximum(np.linalg.norm(vn, axis=1, keepdims=True), 1e-20)
        used = np.zeros(len(p), bool)
        used[faces] = True
        move = num / np.maximum(den, 1e-20)[:, None] - p
        border = boundary_edges(faces)
        num, den = np.zeros_like(p), np.zeros(len(p))
        for s, t in (border.T, border.T[::-1]):
            np.add.at(num, s, p[t])
            np.add.at(den, s, 1.0)
        middle = kind == MIDLINE
        move[middle] = (num / np.maximum(den, 1)[:, None] - p)[middle] * 0.5
        move -= (move * vn).sum(1, keepdims=True) * vn
        move[(kind == LOCKED) | ~used] = 0
        limit = np.minimum(1, 0.5 * h / np.maximum(np.linalg.norm(move, axis=1), 1e-12))
        new = p + 0.7 * limit[:, None] * move
        new[middle, 0] = 0
        todo = np.flatnonzero(used & (kind != LOCKED))
        _, face, foot = igl.point_mesh_squared_distance(new[todo], self.ref_v, self.ref_f)[:3]
        good = (self.ref_n[face] * vn[todo]).sum(1) > 0.2
        foot[kind[todo] == MIDLINE, 0] = 0
        p[todo[good]] = foot[good]
        self.p = [tuple(v) for v in p]
        self.h = self._sizes(p).tolist()
