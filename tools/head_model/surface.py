"""The own topology of the skin and of the mouth's lining: half meshes, rings of quads at lids and lips."""

from __future__ import annotations

from dataclasses import dataclass

import igl
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from head_model.remesh import FREE, LOCKED, MIDLINE, Remesher, boundary_edges
from head_model.source import Source, ring_grid

__all__ = [
    "HalfSkin",
    "boundary_loops",
    "build_half_mouth",
    "build_half_skin",
    "size_field",
    "strip_faces",
    "triangulate",
]

EYE_RINGS = (-5, -4, -3, -2, -1, 0, 1, 2)
"""Rings of ICT's quads kept around an eye's opening: negative ones lie on the lid's inside."""
LID_ROWS = 4
"""Further rows of ICT's quads kept as they are around the rings: the skin that a blink unrolls."""
LIP_RINGS = (-6, -4, -2, -1, 0, 1, 2, 4, 6, 8, 10, 12)


@dataclass(frozen=True)
class HalfSkin:
    """Half of the skin (x >= 0): vertices (metres), faces, and its rings as grids of own vertices."""

    vertices: np.ndarray
    faces: np.ndarray
    eye_rings: np.ndarray
    lip_rings: np.ndarray


def triangulate(polys: np.ndarray) -> np.ndarray:
    """Fan triangles of quads and triangles (-1 in column 3)."""
    quads = polys[polys[:, 3] >= 0]
    return np.concatenate([polys[:, :3], quads[:, [0, 2, 3]]])


def strip_faces(grid: np.ndarray, closed: bool) -> np.ndarray:
    """Triangles of the quads between successive rows of a grid, split by alternating diagonals."""
    out = []
    columns = grid.shape[1]
    for r in range(len(grid) - 1):
        for c in range(columns if closed else columns - 1):
            a, b = grid[r, c], grid[r, (c + 1) % columns]
            d, e = grid[r + 1, c], grid[r + 1, (c + 1) % columns]
            out += [(a, b, e), (a, e, d)] if (r + c) % 2 else [(a, b, d), (b, e, d)]
    return np.array(out)


def boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
    """Ordered boundary loops, each in the direction of its triangles' edges."""
    following = {int(a): int(b) for a, b in boundary_edges(faces)}
    loops = []
    while following:
        start = next(iter(following))
        loop, v = [], start
        while v in following:
            loop.append(v)
            v = following.pop(v)
        loops.append(np.array(loop))
    return loops


def _half(source: Source, polys: np.ndarray) -> np.ndarray:
    x = np.where(polys >= 0, source.neutral[polys, 0], np.nan)
    return polys[np.nanmean(x, axis=1) > 0]


def _grids(source: Source) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """ICT vertices: all rings at the left eye and the half mouth, from the innermost; and those kept."""
    v = source.neutral
    skin = _half(source, source.polys[source.polys_of("face", "head_and_neck")])
    socket = source.polys[source.polys_of("eye_socket_left")]
    mouth = _half(source, source.polys[source.polys_of("mouth_socket")])
    loops = boundary_loops(triangulate(source.polys[source.polys_of("face", "head_and_neck")]))
    eye = next(p for p in loops if v[p, 0].min() > 0.01)
    lips = next(p for p in loops if np.abs(v[p, 0]).max() < 0.03 and v[p, 2].min() > 0.09)
    eye = np.roll(eye, -int(v[eye, 0].argmin()))
    left = np.roll(lips, -int(np.flatnonzero((v[lips, 0] <= 1e-9) & (np.roll(v[lips, 0], -1) > 1e-9))[0]))
    left = left[: int(np.flatnonzero(v[left, 0] <= 1e-9)[1]) + 1]
    if v[left[0], 1] < v[left[-1], 1]:
        left = left[::-1]
    out_e = ring_grid(skin, eye, max(EYE_RINGS), True)
    in_e = ring_grid(socket, eye, -min(EYE_RINGS), True)
    out_l = ring_grid(skin, left, max(LIP_RINGS), False)
    in_l = ring_grid(mouth, left, -min(LIP_RINGS), False)
    eye_all = np.concatenate([in_e[:0:-1], out_e])
    lip_all = np.concatenate([in_l[:0:-1], out_l])
    rows = [np.array(k) - min(k) for k in (EYE_RINGS, LIP_RINGS)]
    return eye_all, lip_all, eye_all[rows[0]], lip_all[rows[1]]


def _agree(patch: np.ndarray, strips: np.ndarray) -> np.ndarray:
    """Patch and strips together, the strips turned as the patch is."""
    turned, component = igl.bfs_orient(np.concatenate([patch, strips]))[:2]
    if component.max() > 0:
        raise ValueError("rings and patch do not meet")
    same = (turned[: len(patch)] == patch).all(1).mean()
    return turned if same > 0.5 else turned[:, ::-1]


def _grown(polys: np.ndarray, seed: np.ndarray, rows: int) -> np.ndarray:
    """Vertices within ``rows`` polygons of a set."""
    inside = seed
    for _ in range(rows):
        touched = polys[np.isin(polys, inside).any(1)]
        inside = np.union1d(inside, touched[touched >= 0])
    return inside


def size_field(source: Source, faces: np.ndarray) -> np.ndarray:
    """Wanted edge length (metres) at every ICT vertex, fine at lids, lips, nose and where it curves."""
    v = source.neutral
    lm = v[source.landmarks68]

    def distance(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(v[:, None] - points, axis=-1).min(1)

    eye = distance(lm[36:48])
    nose = distance(np.concatenate([lm[30:36], lm[[31, 35]] + [0, 0.008, 0]]))
    lips = distance(lm[48:68])
    size = np.full(len(v), 0.0047)
    face = np.linalg.norm((v - [0, 0, 0.06]) / [0.078, 0.105, 0.09], axis=1)
    size += 0.0085 * np.clip((face - 1.0) / 0.55, 0, 1) ** 1.0
    size = np.minimum(size, 0.0016 + 0.14 * np.maximum(eye - 0.006, 0))
    size = np.minimum(size, 0.0019 + 0.10 * np.maximum(nose - 0.004, 0))
    size = np.minimum(size, 0.0018 + 0.11 * np.maximum(lips - 0.006, 0))
    e = np.unique(np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    tri = v[faces]
    n = np.zeros_like(v)
    for k in range(3):
        np.add.at(n, faces[:, k], np.cross(tri[:, 1] - tri[:, 0], tri[:, 2] - tri[:, 0]))
    n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-20)
    length = np.linalg.norm(v[e[:, 0]] - v[e[:, 1]], axis=1)
    bend = np.linalg.norm(n[e[:, 0]] - n[e[:, 1]], axis=1) / np.maximum(length, 1e-6)
    most = np.zeros(len(v))
    for k in range(2):
        np.maximum.at(most, e[:, k], bend)
    size = np.minimum(size, np.clip(0.75 / np.maximum(most, 1e-3), 0.0024, 1.0))
    graph = coo_matrix((length + 1e-9, (e[:, 0], e[:, 1])), shape=(len(v),) * 2)
    size = _graded(size, graph, np.unique(faces), 0.22)
    return (size + size[source.mirror]) / 2


def _graded(size: np.ndarray, graph: coo_matrix, used: np.ndarray, slope: float) -> np.ndarray:
    """Lowers sizes so that they grow by at most ``slope`` per metre along the surface."""
    n = len(size)
    rows, cols = np.full(len(used), n), used
    data = np.concatenate([graph.data * slope, size[used]])
    at = (np.concatenate([graph.row, rows]), np.concatenate([graph.col, cols]))
    whole = coo_matrix((data, at), shape=(n + 1, n + 1))
    reached = dijkstra(whole.tocsr(), directed=False, indices=n)[:n]
    out = size.copy()
    out[used] = reached[used]
    return out


def build_half_skin(source: Source, rounds: int = 6) -> HalfSkin:
    """Rings at the left eye and at the lips, remeshed skin between."""
    v = source.neutral
    eye_all, lip_all, eye, lips = _grids(source)
    skin = _half(source, source.polys[source.polys_of("face", "head_and_neck")])
    inside_eye = np.isin(skin, eye_all[-min(EYE_RINGS) :]) | (skin < 0)
    inside_lip = np.isin(skin, lip_all[-min(LIP_RINGS) :]) | (skin < 0)
    patch = triangulate(skin[~(inside_eye.all(1) | inside_lip.all(1))])
    faces = _agree(patch, np.concatenate([strip_faces(eye, True), strip_faces(lips, False)]))
    used = np.unique(faces)
    back = np.full(len(v), -1)
    back[used] = np.arange(len(used))
    kind = np.where(v[used, 0] < 1e-9, MIDLINE, FREE)
    kind[back[eye]] = LOCKED
    kind[back[lips]] = LOCKED
    kind[back[np.intersect1d(_grown(skin, eye[-1], LID_ROWS), used)]] = LOCKED
    for loop in boundary_loops(faces):
        kind[back[loop[v[loop, 1] < -0.12]]] = np.where(
            v[loop[v[loop, 1] < -0.12], 0] > 1e-9, LOCKED, MIDLINE
        )
    rim = boundary_loops(triangulate(source.polys[source.polys_of("face", "head_and_neck")]))
    shoulder = next(p for p in rim if v[p, 1].max() < -0.12)
    kind[back[np.intersect1d(shoulder, used)]] = LOCKED
    reference = triangulate(skin)
    size = size_field(source, triangulate(source.polys[source.polys_of("face", "head_and_neck")]))
    start = v[used].copy()
    start[v[used, 0] < 1e-9, 0] = 0.0
    made, half, before = Remesher(start, back[faces], kind, (v, reference), size).run(rounds)
    now = np.full(len(used), -1)
    now[before[before >= 0]] = np.flatnonzero(before >= 0)
    return HalfSkin(made, half, now[back[eye]], now[back[lips]])


def build_half_mouth(source: Source, rounds: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Half of the mouth's lining, beginning where the lips' innermost ring ends: vertices, faces."""
    v = source.neutral
    _, lip_all, _, lips = _grids(source)
    mouth = _half(source, source.polys[source.polys_of("mouth_socket")])
    inside = np.isin(mouth, lip_all[: 1 - min(LIP_RINGS)]) | (mouth < 0)
    faces = triangulate(mouth[~inside.all(1)])
    used = np.unique(faces)
    back = np.full(len(v), -1)
    back[used] = np.arange(len(used))
    kind = np.where(v[used, 0] < 1e-9, MIDLINE, FREE)
    kind[back[lips[0]]] = LOCKED
    start = v[used].copy()
    start[v[used, 0] < 1e-9, 0] = 0.0
    depth = np.linalg.norm(v - v[lips[0]].mean(0), axis=1)
    size = np.clip(0.0016 + 0.12 * np.maximum(depth - 0.012, 0), 0.0016, 0.006)
    made, half, _ = Remesher(start, back[faces], kind, (v, triangulate(mouth)), size).run(rounds)
    return made, half
