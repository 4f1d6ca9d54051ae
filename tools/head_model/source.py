"""ICT-FaceKit as this tool uses it: metres, symmetric, identity as principal components, ARKit names."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headcast.head.names import EXPRESSIONS, mirrored_name

__all__ = ["FLIP", "Source", "load", "ring_grid"]

FLIP = np.array([-1.0, 1.0, 1.0])
COMPONENTS = 60
"""Carried over; the asset keeps fewer, made orthogonal on its own vertices."""


@dataclass(frozen=True)
class Source:
    """The parts of ICT-FaceKit that the build needs; V vertices, all lengths in metres.

    Attributes:
        neutral: (V, 3). identity: (60, V, 3) orthogonal components of unit variance, each exactly even or odd
        under mirroring (``parity`` +1 / -1). expression: (52, V, 3), pairs mirrored exactly.
        mirror: (V,) the vertex on the other side. polys: (P, 4), -1 for triangles. region: (P,) names' index.
        landmarks68: (68,) vertices. kept: share of the identity variance that the components keep.
    """

    neutral: np.ndarray
    identity: np.ndarray
    parity: np.ndarray
    expression: np.ndarray
    mirror: np.ndarray
    polys: np.ndarray
    region: np.ndarray
    region_names: list[str]
    faces: np.ndarray
    face_region: np.ndarray
    face_uv: np.ndarray
    landmarks68: np.ndarray
    eye_center: np.ndarray
    eye_vertices: np.ndarray
    kept: float

    def polys_of(self, *names: str) -> np.ndarray:
        """Mask of the polygons of the named regions."""
        return np.isin(self.region, [self.region_names.index(n) for n in names])

    def faces_of(self, *names: str) -> np.ndarray:
        """Mask of the triangles of the named regions."""
        return np.isin(self.face_region, [self.region_names.index(n) for n in names])


def flip(x: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """A field of vectors seen in the mirror."""
    return x[..., mirror, :] * FLIP


def load(path: Path) -> Source:
    """Reads the repack of ICT-FaceKit and makes it symmetric."""
    d = np.load(path)
    mirror = d["mirror"].astype(np.int64)
    names = [str(n) for n in d["region_names"]]
    regions = d["poly_region"].astype(np.int64)
    neutral = d["neutral"].astype(np.float64) * 0.01
    neutral = (neutral + flip(neutral, mirror)) / 2
    face_region = regions[d["faces_poly"]]
    skin = np.isin(face_region, [names.index("face"), names.index("head_and_neck")])
    identity, parity, kept = _principal(
        d["identity_basis"].astype(np.float64) * 0.01, neutral, d["faces"][skin], mirror
    )
    ranges = {str(n): r for n, r in zip(d["subregion_names"], d["subregion_ranges"], strict=True)}
    sclera = np.arange(*ranges["sclera_left"][:2])
    return Source(
        neutral=neutral,
        identity=identity,
        parity=parity,
        kept=kept,
        mirror=mirror,
        expression=_expressions(d, mirror),
        polys=d["polys"].astype(np.int64),
        region=regions,
        region_names=names,
        faces=d["faces"].astype(np.int64),
        face_region=face_region,
        face_uv=d["faces_uv"].astype(np.int64),
        landmarks68=d["landmarks68"].astype(np.int64),
        eye_center=d["eye_center_left"].astype(np.float64) * 0.01,
        eye_vertices=sclera,
    )


def _principal(
    basis: np.ndarray, neutral: np.ndarray, faces: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Principal components of N(0,1) coefficients on ``basis``, made symmetric in distribution.

    A head and its mirror image are equally likely: the covariance then splits into even and odd fields, whose
    components are found apart and merged by variance. Area weights, three times as heavy on the face.
    """
    area = (
        np.linalg.norm(
            np.cross(
                neutral[faces[:, 1]] - neutral[faces[:, 0]], neutral[faces[:, 2]] - neutral[faces[:, 0]]
            ),
            axis=1,
        )
        / 6
    )
    weight = np.zeros(len(neutral))
    for k in range(3):
        np.add.at(weight, faces[:, k], area)
    front = np.linalg.norm((neutral - [0, 0, 0.09]) / [0.08, 0.11, 0.07], axis=1) < 1
    weight *= np.where(front, 3.0, 1.0)
    weight = (weight + weight[mirror]) / 2
    found = []
    for sign in (1.0, -1.0):
        field = (basis + sign * flip(basis, mirror)) / 2
        flat = (field * np.sqrt(weight)[:, None]).reshape(len(field), -1)
        values, vectors = np.linalg.eigh(flat @ flat.T)
        found += [(v, sign, vec, field) for v, vec in zip(values, vectors.T, strict=True)]
    found.sort(key=lambda f: -f[0])
    total = sum(max(f[0], 0.0) for f in found)
    kept = sum(f[0] for f in found[:COMPONENTS]) / total
    components = np.stack([np.tensordot(vec, field, 1) for _, _, vec, field in found[:COMPONENTS]])
    return components, np.array([f[1] for f in found[:COMPONENTS]]), float(kept)


def _expressions(d: np.lib.npyio.NpzFile, mirror: np.ndarray) -> np.ndarray:
    """The 52 shapes by ARKit name, split halves summed, tongueOut zero for now."""
    known = {str(n): i for i, n in enumerate(d["expression_names"])}
    data = d["expression_basis"]
    whole = {"jawLeft", "jawRight", "mouthLeft", "mouthRight"}

    def raw(name: str) -> np.ndarray:
        if name == "tongueOut":
            return np.zeros(data.shape[1:])
        if name in ("browInnerUp", "cheekPuff"):
            keys = [f"{name}_L", f"{name}_R"]
        elif name not in whole and name.endswith(("Left", "Right")):
            keys = [name.replace("Left", "_L").replace("Right", "_R")]
        else:
            keys = [name]
        return sum(data[known[k]].astype(np.float64) * 0.01 for k in keys)  # type: ignore[return-value]

    return np.stack([(raw(n) + flip(raw(mirrored_name(n)), mirror)) / 2 for n in EXPRESSIONS])


def ring_grid(polys: np.ndarray, loop: np.ndarray, count: int, closed: bool) -> np.ndarray:
    """Follows quads outward from an ordered boundary loop: (count + 1, C) vertices, columns connected."""
    edge_to_poly: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, q in enumerate(polys):
        if q[3] < 0:
            continue
        for k in range(4):
            a, b = int(q[k]), int(q[(k + 1) % 4])
            edge_to_poly[min(a, b), max(a, b)].append(i)
    rows, used = [np.asarray(loop)], set()
    for _ in range(count):
        now = rows[-1]
        n = len(now)
        following = np.full(n, -1)
        for k in range(n if closed else n - 1):
            a, b = int(now[k]), int(now[(k + 1) % n])
            poly = next(i for i in edge_to_poly[min(a, b), max(a, b)] if i not in used)
            used.add(poly)
            q = polys[poly].tolist()
            at = q.index(a)
            step = -1 if q[(at + 1) % 4] == b else 1
            following[k] = q[(at + step) % 4]
            at = q.index(b)
            step = -1 if q[(at + 1) % 4] == a else 1
            following[(k + 1) % n] = q[(at + step) % 4]
        rows.append(following)
    return np.stack(rows)
