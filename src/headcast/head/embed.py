"""Embed points on a surface as triangle and barycentric weights, so that they follow its deformation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from headcast.head.names import EXPRESSION_INDEX
from headcast.head.warp import closest_bary
from headcast.parsing import load_json

if TYPE_CHECKING:
    from headcast.head.model import HeadModel

__all__ = [
    "EYE_POINTS",
    "LIPS",
    "OURS",
    "closest_among",
    "closest_on_mesh",
    "embed_landmarks",
    "guards",
    "landmark_table",
    "near_triangles",
    "usual_landmarks",
]

EYE_POINTS = {"eyeRight": range(468, 473), "eyeLeft": range(473, 478)}
"""MediaPipe's iris points by the subject's eye."""

LIPS = {
    "upper": (
        (
            40,
            39,
            37,
            0,
            267,
            269,
            270,
            80,
            81,
            82,
            13,
            312,
            311,
            310,
            74,
            73,
            72,
            11,
            302,
            303,
            304,
            42,
            41,
            38,
            12,
            268,
            271,
            272,
        ),
        0.0,
        0.3,
    ),
    "upper corner": ((185, 409, 191, 415, 184, 408, 183, 407), 0.0, 0.5),
    "lower": (
        (
            91,
            181,
            84,
            17,
            314,
            405,
            321,
            88,
            178,
            87,
            14,
            317,
            402,
            318,
            90,
            180,
            85,
            16,
            315,
            404,
            320,
            89,
            179,
            86,
            15,
            316,
            403,
            319,
        ),
        0.3,
        1.0,
    ),
    "lower corner": ((146, 375, 95, 324, 77, 307, 96, 325), 0.12, 1.0),
}
"""MediaPipe's points of the lips, which touch at rest, with the fraction of the largest jawOpen movement that
the
surface there may have: a guard that keeps each on its own lip."""

FORWARD = -0.1
"""Triangles that face further back carry no landmark: the insides of lids, lips and nostrils."""

OURS = "headcast-head"
"""Prefix of the names of our own heads."""

Triangles = tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n 3"]]


def closest_on_mesh(
    points: Float[np.ndarray, "n 3"],
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    allowed: Bool[np.ndarray, " f"] | None = None,
    candidates: int = 96,
) -> Triangles:
    """Find the nearest surface point of each point: triangle index and barycentric weights.

    Searched exactly among the ``candidates`` triangles with the nearest centres, of those ``allowed``.
    """
    pool = np.arange(len(faces)) if allowed is None else np.flatnonzero(allowed)
    near = pool[near_triangles(points, vertices[faces[pool]].astype(np.float64).mean(1), candidates)]
    return closest_among(points, vertices, faces, near)


def near_triangles(
    points: Float[np.ndarray, "n 3"], centres: Float[np.ndarray, "f 3"], count: int
) -> Int[np.ndarray, "n k"]:
    """Find the (at most ``count``) centres nearest to each point, in no order.

    Only a box around the points is searched where that box is found to have been large enough.
    """
    k = min(count, len(centres))
    out = np.empty((len(points), k), np.int64)
    for part in np.array_split(np.argsort(points[:, 1], kind="stable"), max(1, len(points) // 48)):
        p = points[part].astype(np.float64)
        for margin in (0.015, 0.04, np.inf):
            inside = ((centres > p.min(0) - margin) & (centres < p.max(0) + margin)).all(1)
            rows = np.flatnonzero(inside)
            if len(rows) < k:
                continue
            c = centres[rows] - p[0]
            d2 = (c * c).sum(1) - 2 * (p - p[0]) @ c.T + ((p - p[0]) ** 2).sum(1)[:, None]
            near = np.argpartition(d2, k - 1, axis=1)[:, :k]
            if np.take_along_axis(d2, near, 1).max() <= margin**2:
                break
        out[part] = rows[near]
    return out


def closest_among(
    points: Float[np.ndarray, "n 3"],
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    near: Int[np.ndarray, "n k"],
) -> Triangles:
    """Find the nearest surface point of each point among its own candidate triangles."""
    p, rows = points.astype(np.float64), np.arange(len(points))
    corners = vertices[faces[near]].astype(np.float64)
    b = closest_bary(torch.from_numpy(p)[:, None], torch.from_numpy(corners)).numpy()
    hit = (b[..., None] * corners).sum(-2)
    best = ((hit - p[:, None]) ** 2).sum(-1).argmin(1)
    return near[rows, best], b[rows, best]


def landmark_table(path: Path | None = None) -> dict:
    """Load the bundled landmark positions on the neutral head: ``points478``, ``points68`` (metres),
    ``sigma478``."""
    from headcast.weights import weights_path

    return load_json(path or weights_path("landmarks").with_suffix(".json"), "reinstall headcast")


def guards(head: HeadModel, count: int) -> dict[str, tuple[list[int], np.ndarray]]:
    """Return groups of points with the triangles each may lie on: eyes on eyeballs, lips each on its own."""
    part = head.part.numpy()
    skin = (part == head.part_names.index("skin")) & (_forward(head) > FORWARD)
    if count != 478:
        return {"skin": (list(range(count)), skin)}
    jaw = head.expression_basis[EXPRESSION_INDEX["jawOpen"]].norm(dim=-1)
    moved = (jaw[head.faces].mean(1) / jaw.max()).numpy()
    groups = {name: (list(rows), part == head.part_names.index(name)) for name, rows in EYE_POINTS.items()}
    for name, (rows, low, high) in LIPS.items():
        groups[name] = (list(rows), skin & (moved >= low) & (moved <= high))
    taken = {i for rows, _ in groups.values() for i in rows}
    groups["skin"] = ([i for i in range(count) if i not in taken], skin)
    return groups


def _forward(head: HeadModel) -> Float[np.ndarray, " f"]:
    """Return how frontal each triangle of the neutral head is: z of its unit normal."""
    a, b, c = (head.neutral[head.faces[:, k]].double().cpu().numpy() for k in range(3))
    n = np.cross(b - a, c - a)
    return n[:, 2] / np.maximum(np.linalg.norm(n, axis=1), 1e-20)


def usual_landmarks(head: HeadModel, count: int = 478) -> Triangles:
    """Return the 478 (or 68) landmarks on a head: by the bundled table, or a foreign head's own."""
    if head.name.startswith(OURS):
        table = landmark_table()
        return embed_landmarks(head, np.asarray(table[f"points{count}"]))
    triangle, bary = getattr(head, f"landmark{count}_faces"), getattr(head, f"landmark{count}_bary")
    return triangle.numpy(), bary.double().numpy()


def embed_landmarks(head: HeadModel, points: Float[np.ndarray, "n 3"]) -> Triangles:
    """Embed 478 (or 68) landmark positions given on the neutral head into any topology of it."""
    vertices, faces = head.neutral.cpu().numpy(), head.faces.cpu().numpy()
    triangle, bary = np.zeros(len(points), np.int64), np.zeros((len(points), 3))
    for rows, allowed in guards(head, len(points)).values():
        triangle[rows], bary[rows] = closest_on_mesh(points[rows], vertices, faces, allowed)
    return triangle, bary
