"""Charts of the atlas: the skin's, symmetric about u = 0, and disks of the other parts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from head_model.flatten import flatten, tutte
from head_model.surface import HalfSkin, boundary_loops

__all__ = ["disk_chart", "skin_chart", "skin_density"]


def skin_density(vertices: np.ndarray) -> np.ndarray:
    """Wanted texel density: 2.75 on the face, 1.5 on the ears, 1 on scalp, neck, shoulders."""
    r = np.linalg.norm((vertices - [0, -0.008, 0.075]) / [0.075, 0.088, 0.075], axis=1)
    t = np.clip((r - 0.85) / 0.5, 0, 1)
    face = 1 + 1.75 * (1 - t * t * (3 - 2 * t))
    ear = 1 + 0.6 * np.clip(
        1.6 - np.linalg.norm((np.abs(vertices) - [0.08, 0.012, 0.015]) / [0.02, 0.04, 0.03], axis=1), 0, 1
    )
    return np.maximum(face, ear)


def _arc(points: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def skin_chart(half: HalfSkin, rounds: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Half chart (V, 2), u >= 0, front midline at u = 0, v up; and the half's vertices on the back's cut."""
    v, f = half.vertices, half.faces
    loops = sorted(boundary_loops(f), key=len)
    eye, outer = loops[0], loops[-1]
    lips = half.lip_rings[0]
    n = len(v)
    pupil, mouth = n, n + 1
    fan = [(int(b), int(a), pupil) for a, b in zip(eye, np.roll(eye, -1), strict=True)]
    at = np.flatnonzero(np.isin(outer, lips))
    gap = int(np.flatnonzero(~np.isin(np.roll(outer, 1), lips) & np.isin(outer, lips))[0])
    outer = np.roll(outer, -gap)
    rim, rest = outer[: len(at)], outer[len(at) :]
    fan += [(int(b), int(a), mouth) for a, b in pairwise(rim)]
    filled = np.concatenate([f, np.array(fan)])
    middle = (v[rim[0]] + v[rim[-1]]) / 2
    points = np.concatenate([v, v[eye].mean(0)[None], middle[None]])
    loop = np.concatenate([[mouth], rim[-1:], rest, rim[:1]])
    crown = int(np.argmax(np.where(points[loop, 0] < 1e-9, points[loop, 1] - 0.35 * points[loop, 2], -1)))
    low = np.where(points[loop, 0] < 1e-9, -points[loop, 1] + 0.5 * points[loop, 2], -9)
    bottom = int(np.argmax(low))
    if crown > bottom:
        loop = np.concatenate([loop[:1], loop[:0:-1]])
        crown, bottom = len(loop) - crown, len(loop) - bottom
    # loop: mouth, up the front to the crown, down the back, shoulder's edge, bottom front, up to the mouth
    front = np.concatenate([loop[bottom:], loop[: crown + 1]])
    around = loop[crown : bottom + 1]
    s, r = _arc(points[front]), _arc(points[around])
    s, r = s / s[-1] * 2 - 1, r / r[-1] * np.pi
    pos = np.zeros((len(points), 2))
    pos[around] = np.stack([np.sin(r), np.cos(r)], 1)
    pos[front] = np.stack([np.zeros(len(s)), s], 1)
    fixed = np.union1d(front, around)
    start = tutte(filled, len(points), fixed, pos[fixed])
    density = skin_density(points)
    t = start[filled]
    a, b = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]
    if (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() < 0:
        filled = filled[:, ::-1]
    weight = np.where((filled >= n).any(1), 0.02, 1.0)
    hidden = np.isin(filled, np.concatenate([half.eye_rings[:4].ravel(), half.lip_rings[:3].ravel()])).all(1)
    weight[hidden] = 0.15
    uv = flatten(points, filled, start, density, weight, front, rounds)
    return uv[:n], around[points[around, 0] < 1e-9]


def disk_chart(vertices: np.ndarray, faces: np.ndarray, rounds: int = 40) -> np.ndarray:
    """Flattens one disk (its longest boundary loop outside, other loops filled)."""
    loops = sorted(boundary_loops(faces), key=lambda p: -_arc(vertices[p])[-1])
    points, filled, n = vertices, faces, len(vertices)
    for loop in loops[1:]:
        fan = [(int(b), int(a), len(points)) for a, b in zip(loop, np.roll(loop, -1), strict=True)]
        filled = np.concatenate([filled, np.array(fan)])
        points = np.concatenate([points, vertices[loop].mean(0)[None]])
    loop = loops[0]
    s = _arc(vertices[np.append(loop, loop[0])])
    s = s[:-1] / s[-1] * 2 * np.pi
    start = tutte(filled, len(points), loop, np.stack([np.cos(s), np.sin(s)], 1))
    weight = np.where((filled >= n).any(1), 0.02, 1.0)
    uv = flatten(points, filled, start, np.ones(len(points)), weight, np.array([], int), rounds)[:n]
    c = uv - uv.mean(0)
    _, axes = np.linalg.eigh(c.T @ c)
    axes = axes[:, ::-1]
    return c @ (axes if np.linalg.det(axes) > 0 else axes * [1, -1])
