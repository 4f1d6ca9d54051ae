"""Register our neutral head to a foreign one: first in our identity space, then non-rigidly.

Both heads open their mouths a little meanwhile, so that upper and lower lip cannot be taken for each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from headcast.head.foreign.carry import MOUTH, beside
from headcast.head.foreign.raw import GROUPS, RawHead
from headcast.head.foreign.surface import (
    MeshPoints,
    boundary_edges,
    edges_of,
    nearest,
    normals_of,
    smoothest,
)
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX

__all__ = ["Registration", "register"]

JAW = EXPRESSION_INDEX["jawOpen"]
ROUNDS = (0.02, 0.02, 0.015, 0.012, 0.01, 0.008, 0.008, 0.006, 0.006, 0.005)
"""Metres beyond which a correspondence is rejected, per round."""
CLOTH = ((3.0, 0.006), (0.7, 0.005), (0.2, 0.004), (0.05, 0.004))
"""Stiffness and largest accepted distance (metres) of each non-rigid round."""
PRIOR = 3e-4
"""Metres that a standard deviation of identity must be worth, for a typical point."""
STRIDE = 3


@dataclass(frozen=True)
class Registration:
    """Our head registered to the foreign one.

    Attributes:
        rotation, translation: ``ours = rotation @ foreign + translation`` brings the foreign head into our
            head frame (no scale: metres are metres).
        neutral, opened: (V, 3) our vertices on the foreign head at rest and with an open mouth, our frame.
        distance: (V,) metres from the foreign skin; large where it has none.
    """

    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]
    neutral: Float[np.ndarray, "v 3"]
    opened: Float[np.ndarray, "v 3"]
    distance: Float[np.ndarray, " v"]

    def place(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Transform foreign points to our head frame."""
        return points @ self.rotation.T + self.translation


def register(raw: RawHead, ours: HeadModel) -> Registration:
    """Find where every vertex of ours lies on the foreign head."""
    head = _Ours(ours)
    foreign_faces = raw.faces[raw.group == GROUPS.index("skin")]
    rotation, translation, coefficients, jaw = _fit_identity(raw, foreign_faces, head)
    opened = raw.opened @ rotation.T + translation
    shaped = head.neutral + np.tensordot(coefficients, head.identity, 1)
    ours_open, distance = _fit_nonrigid(shaped + jaw * head.jaw_open, opened, foreign_faces, head)
    # the non-rigid displacement of the open mouth is applied at rest, too
    neutral = shaped + (ours_open - shaped - jaw * head.jaw_open)
    neutral, _ = _relax_at_rest(neutral, raw.neutral @ rotation.T + translation, foreign_faces, head)
    eyes = raw.eyes @ rotation.T + translation
    neutral = _move_inner_parts(neutral, head.neutral, head, eyes)
    ours_open = _move_inner_parts(ours_open, head.neutral + jaw * head.jaw_open, head, eyes)
    return Registration(
        rotation=rotation, translation=translation, neutral=neutral, opened=ours_open, distance=distance
    )


class _Ours:
    """Our head as arrays, with the queries of registration."""

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        self.neutral = head.neutral.double().numpy()
        self.identity = head.identity_basis.double().numpy()
        self.jaw_open = head.expression_basis[JAW].double().numpy()
        self.joints = head.joint_neutral.double().numpy()
        self.joint_identity = head.joint_identity.double().numpy()
        part = head.part.numpy()
        self.faces = head.faces.numpy()
        self.skin_faces = self.faces[part == head.part_names.index("skin")]
        self.skin = np.unique(self.skin_faces)
        region = np.array(head.region_names)[head.region.numpy()]
        weight = np.full(len(self.neutral), 0.0)
        for names, w in (
            (("face", "lips", "lids", "nose", "brows"), 1.0),
            (("ears", "scalp"), 0.3),
            (("neck",), 0.15),
        ):
            weight[np.isin(region, names)] = w
        weight[np.setdiff1d(np.arange(len(weight)), self.skin)] = 0
        self.weight = weight
        self.edges = edges_of(self.faces)

    def vertices_of(self, *names: str) -> Int[np.ndarray, " n"]:
        """Return the vertices of the named parts."""
        return self.head.faces[self.head.part_faces(*names)].unique().numpy()


class _SurfaceMatches(NamedTuple):
    """Points of the foreign head matched to ours: target, its normal, gap to ours, and trust in it."""

    target: np.ndarray
    normal: np.ndarray
    gap: np.ndarray
    trust: np.ndarray


class _IdentityFit(NamedTuple):
    """Rotation and translation of the foreign head; our identity coefficients and jawOpen."""

    rotation: np.ndarray
    translation: np.ndarray
    coefficients: np.ndarray
    jaw: float


def _fit_identity(raw: RawHead, faces: Int[np.ndarray, "f 3"], head: _Ours) -> _IdentityFit:
    """Fit rotation and translation of the foreign head, and our identity and jawOpen, to each other."""
    centre = raw.eyes.mean(0)
    rotation, coefficients, jaw = np.eye(3), np.zeros(len(head.identity)), 0.3
    translation = head.joints[4:6].mean(0) - centre
    rows = np.flatnonzero(head.weight > 0)[::STRIDE]
    n = len(coefficients)
    for limit in ROUNDS:
        ours = head.neutral + np.tensordot(coefficients, head.identity, 1) + jaw * head.jaw_open
        theirs = raw.opened @ rotation.T + translation
        matches = _match_surfaces(head, ours, rows, theirs, faces, limit)
        total = matches.trust.sum()
        H, g = _surface_term(head, rows, matches)
        H, g = _eyes_term(H, g, raw, rotation, translation, coefficients, head, total)
        step = _solve_with_prior(H, g, coefficients, total)
        coefficients = np.clip(coefficients + step[:n], -4, 4)
        jaw = float(np.clip(jaw + step[n], 0.0, 1.0))
        turned = _rotation(step[n + 1 : n + 4])
        rotation, translation = turned @ rotation, turned @ translation + step[n + 4 : n + 7]
    return _IdentityFit(rotation, translation, coefficients, jaw)


def _solve_with_prior(H: np.ndarray, g: np.ndarray, coefficients: np.ndarray, weight: float) -> np.ndarray:
    """Solve for a step, identity coefficients drawn to 0; ``weight``: the sum over all points."""
    n = len(coefficients)
    prior = np.zeros(len(g))
    prior[:n] = PRIOR**2 * weight
    prior[n:] = 1e-9 * weight
    g = g - prior * np.concatenate([coefficients, np.zeros(len(g) - n)])
    return np.linalg.solve(H + np.diag(prior), g)


def _surface_term(
    head: _Ours, rows: Int[np.ndarray, "n"], matches: _SurfaceMatches
) -> tuple[np.ndarray, np.ndarray]:
    """Return the least-squares term that closes the gaps: by identity, jaw, and the foreign head's pose."""
    target, normal, gap, trust = matches
    moves = np.concatenate([head.identity[:, rows], head.jaw_open[None, rows]])
    # along the normal it counts fully, along the surface a little
    along_normal = np.einsum("inc,nc->ni", moves, normal)
    turn = -np.cross(target, normal)  # how the foreign head's own turn and shift change the gap
    A = np.concatenate([along_normal, turn, -normal], 1)
    b = (gap * normal).sum(1)
    slide = 0.05
    flat_moves = np.moveaxis(moves, 0, -1)
    flat_turn = -_cross_matrix(target)
    B = np.concatenate([flat_moves, -flat_turn, -np.broadcast_to(np.eye(3), (len(rows), 3, 3))], -1)
    H = (A * trust[:, None]).T @ A + slide * np.einsum("nci,ncj,n->ij", B, B, trust)
    g = A.T @ (trust * b) + slide * np.einsum("nci,nc,n->i", B, gap, trust)
    return H, g


def _match_surfaces(
    head: _Ours,
    ours: Float[np.ndarray, "v 3"],
    rows: Int[np.ndarray, "n"],
    theirs: Float[np.ndarray, "w 3"],
    faces: Int[np.ndarray, "f 3"],
    limit: float,
) -> _SurfaceMatches:
    """Match some of our vertices to the foreign surface; trust fades at distances of ``limit``."""
    found = nearest(ours[rows], normals_of(ours, head.skin_faces)[rows], theirs, faces, candidates=16)
    target, normal = found.on(theirs, faces), found.on(normals_of(theirs, faces), faces)
    trust = head.weight[rows] / (1 + (found.distance / limit) ** 2) ** 2
    trust *= ~_on_boundary(found, faces)
    return _SurfaceMatches(target, normal, target - ours[rows], trust)


def _eyes_term(
    H: np.ndarray,
    g: np.ndarray,
    raw: RawHead,
    rotation: np.ndarray,
    translation: np.ndarray,
    coefficients: np.ndarray,
    head: _Ours,
    scale: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the least-squares term that aligns the known eyeball centres."""
    n = len(coefficients)
    theirs = raw.eyes @ rotation.T + translation
    ours = head.joints[4:6] + np.tensordot(coefficients, head.joint_identity[:, 4:6], 1)
    B = np.zeros((2, 3, n + 7))
    B[:, :, :n] = np.moveaxis(head.joint_identity[:, 4:6], 0, -1)
    B[:, :, n + 1 : n + 4] = _cross_matrix(theirs)
    B[:, :, n + 4 :] = -np.eye(3)
    w = 0.2 * scale * np.array([1.0, 1.0, 0.3])  # depth of the eyeballs differs between makers
    return (
        H + np.einsum("eci,ecj,c->ij", B, B, w),
        g + np.einsum("eci,ec,c->i", B, theirs - ours, w),
    )


def _cross_matrix(p: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """Return [p]x: the matrix of the cross product."""
    o = np.zeros(len(p))
    x, y, z = p.T
    return np.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(-1, 3, 3)


def _rotation(w: np.ndarray) -> np.ndarray:
    """Return the rotation matrix of an axis-angle (Rodrigues)."""
    angle = float(np.linalg.norm(w))
    k = _cross_matrix(w[None] / max(angle, 1e-12))[0]
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def _on_boundary(found: MeshPoints, faces: Int[np.ndarray, "f 3"]) -> np.ndarray:
    """Return which points fell on the boundary of a mesh: their true match lies beyond it."""
    rim = boundary_edges(faces)
    key = set(map(tuple, rim.tolist()))
    out = np.zeros(len(found.triangle), bool)
    on_edge = np.flatnonzero(found.bary.min(1) < 1e-6)
    for i in on_edge:
        f = faces[found.triangle[i]]
        k = int(found.bary[i].argmin())
        a, b = int(f[(k + 1) % 3]), int(f[(k + 2) % 3])
        out[i] = (min(a, b), max(a, b)) in key
    return out


def _fit_nonrigid(
    start: Float[np.ndarray, "v 3"],
    theirs: Float[np.ndarray, "w 3"],
    faces: Int[np.ndarray, "f 3"],
    head: _Ours,
    rounds: tuple[tuple[float, float], ...] = CLOTH,
) -> tuple[np.ndarray, np.ndarray]:
    """Move our vertices smoothly onto a surface; return also their distances in the last round."""
    ours = start.copy()
    known = np.flatnonzero(head.weight > 0)
    distance = np.full(len(ours), np.inf)
    for stiffness, limit in rounds:
        found = nearest(ours[known], normals_of(ours, head.skin_faces)[known], theirs, faces, candidates=24)
        believed = (found.distance < limit) & ~_on_boundary(found, faces)
        trust, value = np.zeros(len(ours)), np.zeros_like(ours)
        trust[known] = believed / (1 + (found.distance / limit) ** 2)
        value[known] = found.on(theirs, faces) - start[known]
        ours = start + smoothest(head.edges, value, trust, stiffness, ours - start)
        distance[known] = found.distance
    return ours, distance


def _relax_at_rest(
    start: np.ndarray, theirs: np.ndarray, faces: np.ndarray, head: _Ours
) -> tuple[np.ndarray, np.ndarray]:
    """Apply a last soft non-rigid step at rest."""
    return _fit_nonrigid(start, theirs, faces, head, ((0.3, 0.003), (0.1, 0.003)))


def _move_inner_parts(
    vertices: np.ndarray, before: np.ndarray, head: _Ours, eyes: Float[np.ndarray, "2 3"]
) -> np.ndarray:
    """Move eyeballs to the foreign centres, and the mouth interior with the face around it.

    Args:
        before: the same pose of our mean head.
    """
    out, skin = vertices.copy(), head.skin[head.weight[head.skin] >= 1]
    for side, name in enumerate(("eyeLeft", "eyeRight")):
        own = head.vertices_of(name)
        out[own] = head.neutral[own] - head.joints[4 + side] + eyes[side]
    inside = head.vertices_of(*MOUTH)
    out[inside] = before[inside] + beside(before[inside], before[skin], (vertices - before)[skin], 0.012)
    return out
