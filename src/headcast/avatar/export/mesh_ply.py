"""The avatar as one posed mesh with coloured vertices (PLY), subdivided to the resolution of the texture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from headcast.avatar.base import Avatar
from headcast.avatar.export.base import mesh_of
from headcast.avatar.export.look import check_shading, textures
from headcast.avatar.export.pieces import split
from headcast.avatar.export.ply import write_ply
from headcast.avatar.export.splats import rest_pose
from headcast.errors import HeadcastError
from headcast.marks import header_lines
from headcast.render.geometry import vertex_normals
from headcast.render.texture import sample_texture

__all__ = ["write_mesh_ply"]

TEXELS = 1.5
MAX_TRIANGLES = 1 << 19
VERTEX = [(k, "<f4") for k in ("x", "y", "z", "nx", "ny", "nz")] + [
    (k, "u1") for k in ("red", "green", "blue", "alpha")
]


def write_mesh_ply(
    avatar: Avatar,
    path: Path,
    *,
    expression: Mapping[str, float] | None = None,
    shading: str = "baked",
    subdivide: int | None = None,
) -> None:
    """Write head, hair and body as one mesh in the head frame (metres, +Y up), normals and colours included.

    Args:
        expression: weights by ARKit name; the head is upright and otherwise at rest.
        shading: ``baked``: colours with the photo's light; ``lit``: de-lit albedo, to be shaded elsewhere.
        subdivide: subdivision levels, 0 to 3 (each cuts a triangle into four), since colours are per vertex;
            None: up to the density of the texture, within limits.
    """
    check_shading(shading)
    if subdivide is not None and not 0 <= subdivide <= 3:
        raise HeadcastError(f"--subdivide {subdivide}: give 0 to 3")
    params = rest_pose(avatar, expression)
    lines = (*header_lines(avatar.info), "axes: y-up, metres")
    if avatar.mesh is None and (surface := avatar.isosurface(params)) is not None:
        if shading == "lit":
            raise HeadcastError("--shading lit: this avatar's colours hold the photo's light; bake it first")
        write_surface(path, *surface, lines)
        return
    mesh = mesh_of(avatar)
    head = mesh.head
    images = textures(mesh, shading)
    with torch.no_grad():
        parts = [(head(params), head.faces, head.uv, head.faces_uv)]
        parts += [(s.posed(head, params), s.faces, s.uv, s.faces_uv) for s in mesh.shells]
    vertices, faces, start = [], [], 0
    for (points, triangles, uv, triangles_uv), image in zip(parts, images, strict=True):
        piece = split("", triangles, uv, triangles_uv)
        normals = vertex_normals(points, triangles)
        values = torch.cat([points[piece.rows], normals[piece.rows], piece.uv], 1).numpy()
        index = piece.faces.numpy()
        levels = subdivision_level(values[:, 6:], index, image.shape[:2]) if subdivide is None else subdivide
        values, index = subdivide_mesh(values, index, levels)
        vertices.append(vertex_rows(values, image))
        faces.append(index + start)
        start += len(values)
    triangles = np.zeros(sum(map(len, faces)), [("vertex_indices", "<i4", (3,))])
    triangles["vertex_indices"] = np.concatenate(faces)
    write_ply(path, {"vertex": np.concatenate(vertices), "face": triangles}, lines)


def write_surface(
    path: Path,
    points: Float[np.ndarray, "v 3"],
    colours: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    lines: tuple[str, ...],
) -> None:
    """Write a surface with vertex colours, without subdivision."""
    normal = vertex_normals(torch.from_numpy(points).float(), torch.from_numpy(faces)).numpy()
    rows = np.zeros(len(points), VERTEX)
    for k, name in enumerate(("x", "y", "z")):
        rows[name], rows[f"n{name}"] = points[:, k], normal[:, k]
    for k, name in enumerate(("red", "green", "blue")):
        rows[name] = np.round(colours[:, k] * 255)
    rows["alpha"] = 255
    triangles = np.zeros(len(faces), [("vertex_indices", "<i4", (3,))])
    triangles["vertex_indices"] = faces
    write_ply(path, {"vertex": rows, "face": triangles}, lines)


def subdivision_level(
    uv: Float[np.ndarray, "n 2"], faces: Int[np.ndarray, "f 3"], size: tuple[int, ...]
) -> int:
    """Return the subdivision level at which edges are about a texel long, or triangles too many."""
    corners = (uv * np.array(size[::-1]))[faces]
    edge = float(np.sqrt(((corners - np.roll(corners, 1, axis=1)) ** 2).sum(-1).mean()))
    needed = math.ceil(math.log2(max(1.0, edge / TEXELS)))
    affordable = int(math.log(MAX_TRIANGLES / len(faces), 4)) if len(faces) < MAX_TRIANGLES else 0
    return min(needed, affordable)


def subdivide_mesh(
    values: Float[np.ndarray, "n c"], faces: Int[np.ndarray, "f 3"], levels: int
) -> tuple[Float[np.ndarray, "m c"], Int[np.ndarray, "g 3"]]:
    """Subdivide triangles into four at their edge midpoints; values there are the mean of both ends."""
    for _ in range(levels):
        edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
        keys, index = np.unique(edges[:, 0].astype(np.int64) * len(values) + edges[:, 1], return_inverse=True)
        middle = (values[keys // len(values)] + values[keys % len(values)]) / 2
        ab, bc, ca = (index.reshape(-1, 3) + len(values)).T
        a, b, c = faces.T
        faces = np.concatenate(
            [np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        )
        values = np.concatenate([values, middle])
    return values, faces


def vertex_rows(values: Float[np.ndarray, "n 8"], image: UInt8[np.ndarray, "h w c"]) -> np.ndarray:
    """Return the file's vertex rows from position, normal and uv, with the texture's colour there."""
    texture = torch.from_numpy(image.astype(np.float32))
    sampled = sample_texture(texture, torch.from_numpy(values[:, 6:])).round().numpy()
    if sampled.shape[1] == 3:
        sampled = np.concatenate([sampled, np.full((len(sampled), 1), 255.0)], 1)
    normal = values[:, 3:6] / np.linalg.norm(values[:, 3:6], axis=1, keepdims=True).clip(1e-12)
    out = np.zeros(len(values), VERTEX)
    for k, name in enumerate(("x", "y", "z")):
        out[name], out[f"n{name}"] = values[:, k], normal[:, k]
    for k, name in enumerate(("red", "green", "blue", "alpha")):
        out[name] = sampled[:, k]
    return out
