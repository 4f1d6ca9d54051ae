"""Eyeballs, teeth, gums and tongue: own meshes, each for the subject's left half (x >= 0)."""

from __future__ import annotations

from itertools import pairwise

import igl
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from head_model.remesh import FREE, LOCKED, MIDLINE, Remesher
from head_model.source import Source
from head_model.surface import boundary_loops

__all__ = ["EYE_RADIUS", "eyeball", "gums_and_tongue", "teeth"]

EYE_RADIUS = 0.01535
IRIS_RADIUS = 0.00585
PUPIL_RADIUS = 0.0018
BULGE_HEIGHT, BULGE_ANGLE = 0.0015, 0.50
SEGMENTS = 32
EYE_OPEN_BACK = np.radians(125.0)


def bulge(cos_theta: np.ndarray) -> np.ndarray:
    """Height of the cornea over the eyeball's sphere (metres) by the angle from the optical axis."""
    t = np.clip((1 - cos_theta) / (1 - np.cos(BULGE_ANGLE)), 0, 1)
    return BULGE_HEIGHT * (1 - t) ** 2


def eyeball() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """An eyeball around the origin that looks along +Z: vertices, faces, polar chart (0..1), angles."""
    limbus, pupil = np.arcsin(IRIS_RADIUS / EYE_RADIUS), np.arcsin(PUPIL_RADIUS / EYE_RADIUS)
    theta = np.concatenate(
        [
            [pupil * 0.6, pupil],
            np.linspace(pupil, limbus, 5)[1:],
            [limbus * 1.08, limbus * 1.2, limbus * 1.4],
            np.linspace(limbus * 1.4, EYE_OPEN_BACK, 8)[1:],
        ]
    )
    phi = np.arange(SEGMENTS) / SEGMENTS * 2 * np.pi
    t = np.concatenate([[0.0], np.repeat(theta, SEGMENTS)])
    f = np.concatenate([[0.0], np.tile(phi, len(theta))])
    r = EYE_RADIUS + bulge(np.cos(t))
    vertices = r[:, None] * np.stack([np.sin(t) * np.cos(f), np.sin(t) * np.sin(f), np.cos(t)], 1)
    vertices[np.abs(vertices) < 1e-15] = 0
    grid = 1 + np.arange(len(theta) * SEGMENTS).reshape(-1, SEGMENTS)
    faces = [(0, grid[0, k], grid[0, (k + 1) % SEGMENTS]) for k in range(SEGMENTS)]
    for a, b in pairwise(grid):
        for k in range(SEGMENTS):
            m = (k + 1) % SEGMENTS
            faces += [(a[k], b[k], b[m]), (a[k], b[m], a[m])]
    radius = 0.5 * (t / EYE_OPEN_BACK) ** 0.75
    chart = 0.5 + radius[:, None] * np.stack([np.cos(f), np.sin(f)], 1)
    return vertices, np.array(faces), chart, t


def teeth(source: Source) -> dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Left teeth by jaw, front to back: (vertices, faces, ICT faces to carry bases from)."""
    jaw = np.linalg.norm(source.expression[17], axis=1)
    f = source.faces[source.faces_of("teeth")]
    f = f[source.neutral[f][:, :, 0].mean(1) > 0]
    graph = coo_matrix((np.ones(len(f) * 2), (f[:, [0, 1]].ravel(), f[:, [1, 2]].ravel())), (len(jaw),) * 2)
    label = connected_components(graph, directed=False)[1][f[:, 0]]
    out: dict[str, list] = {"teethUpper": [], "teethLower": []}
    for k in np.unique(label):
        own = f[label == k]
        v, local = _compact(source.neutral, own)
        if len(v) > 105:
            kind = np.full(len(v), FREE)
            v, local, _ = Remesher(v, local, kind, (v, local), np.full(len(v), 0.0021)).run(4)
        v, local = _without_root(v, local, upper=jaw[own].mean() <= 0.005)
        out["teethLower" if jaw[own].mean() > 0.005 else "teethUpper"].append((v, local, own))
    for rows in out.values():
        rows.sort(key=lambda t: -t[0][:, 2].mean())
    return out


def _without_root(vertices: np.ndarray, faces: np.ndarray, upper: bool) -> tuple[np.ndarray, np.ndarray]:
    """Opens a tooth where the gum hides it, so that it is a disk: the far 28 % of its height go."""
    y = vertices[:, 1] if upper else -vertices[:, 1]
    share = (y - y.min()) / np.ptp(y)
    kept = faces[~(share[faces] > 0.72).any(1)]
    graph = coo_matrix(
        (np.ones(len(kept) * 2), (kept[:, [0, 1]].ravel(), kept[:, [1, 2]].ravel())), (len(y),) * 2
    )
    label = connected_components(graph, directed=False)[1][kept[:, 0]]
    kept = kept[label == np.bincount(label).argmax()]
    return _compact(vertices, kept)


def _compact(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used, back = np.unique(faces, return_inverse=True)
    v = vertices[used].copy()
    v[np.abs(v[:, 0]) < 1e-9, 0] = 0
    return v, back.reshape(-1, 3)


def gums_and_tongue(source: Source) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Left halves of gums (with palate and floor) and tongue: (vertices, faces, ICT faces)."""
    mask = source.faces_of("gums_and_tongue")
    f, uv = source.faces[mask], source.face_uv[mask]
    n = uv.max() + 1
    graph = coo_matrix((np.ones(len(uv) * 2), (uv[:, [0, 1]].ravel(), uv[:, [1, 2]].ravel())), (n, n))
    island = connected_components(graph, directed=False)[1][uv[:, 0]]
    v = source.neutral
    jaw = np.linalg.norm(source.expression[17], axis=1)
    sizes = {k: (island == k).sum() for k in np.unique(island)}
    lower = [k for k in sizes if 0.02 < jaw[f[island == k]].mean() < 0.0295]
    tongue = max(lower, key=lambda k: sizes[k])
    half = v[f][:, :, 0].mean(1) > 0
    out = {}
    for name, own in (("tongue", f[half & (island == tongue)]), ("gums", f[half & (island != tongue)])):
        p, local = _compact(v, own)
        kind = np.where(p[:, 0] == 0, MIDLINE, FREE)
        for loop in boundary_loops(local):
            kind[loop[p[loop, 0] > 0]] = LOCKED
        size = np.full(len(p), 0.0028 if name == "tongue" else 0.0042)
        out[name] = (*Remesher(p, local, kind, (p, local), size).run(4)[:2], own)
    return out


def attach(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray | None = None
) -> coo_matrix:
    """(N, V) weights that express points by the nearest surface points; faces looking away are avoided."""
    _, face, foot = igl.point_mesh_squared_distance(points, vertices, faces)[:3]
    t = vertices[faces]
    n = np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0])
    if normals is not None:
        for sign in range(6):
            axis, way = divmod(sign, 2)
            d = np.eye(3)[axis] * (1 - 2 * way)
            bad = np.flatnonzero(((n[face] * normals).sum(1) < 0) & (normals @ d > 0.55))
            allowed = np.flatnonzero(n @ d > 0)
            if len(bad):
                _, g, h = igl.point_mesh_squared_distance(points[bad], vertices, faces[allowed])[:3]
                close = np.linalg.norm(h - points[bad], axis=1) < 0.0015
                face[bad[close]], foot[bad[close]] = allowed[g[close]], h[close]
    corners = [np.ascontiguousarray(vertices[faces[face, k]]) for k in range(3)]
    b = igl.barycentric_coordinates(np.ascontiguousarray(foot), *corners)
    rows = np.repeat(np.arange(len(points)), 3)
    return coo_matrix((b.ravel(), (rows, faces[face].ravel())), shape=(len(points), len(vertices)))
