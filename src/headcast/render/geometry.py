"""Normals of a mesh, and what a camera sees of it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.camera import Camera
from headcast.render.mesh import rasterize_mesh, sum_rows

__all__ = ["depth_at", "vertex_normals", "visibility"]


def vertex_normals(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "v 3"]:
    """Unit normals, each triangle weighted by its area; zero where no triangle is."""
    a, b, c = vertices[faces].unbind(1)
    n = torch.linalg.cross(b - a, c - a)
    total = sum_rows(faces.reshape(-1).long(), n.repeat_interleave(3, 0), len(vertices))
    return torch.nn.functional.normalize(total, dim=-1, eps=1e-30)


def depth_at(depth: Float[Tensor, "h w"], pixels: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b"]:
    """Farthest of the four depths around positions in a depth map (pixel centres at +0.5).

    Infinite where one of the four is empty or outside, so that a silhouette never hides what lies on it.
    """
    height, width = depth.shape
    x, y = (pixels[..., 0] - 0.5).floor().long(), (pixels[..., 1] - 0.5).floor().long()
    best = torch.zeros(pixels.shape[:-1], dtype=depth.dtype, device=depth.device)
    for j in (0, 1):
        for i in (0, 1):
            u, v = x + i, y + j
            inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
            z = depth[v.clamp(0, height - 1), u.clamp(0, width - 1)]
            best = torch.maximum(best, torch.where(inside & (z > 0), z, torch.inf))
    return best


def visibility(
    points: Float[Tensor, "n 3"], camera: Camera, vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"],
    *, tolerance: float = 0.002, depth: Float[Tensor, "h w"] | None = None,
) -> Bool[Tensor, " n"]:  # fmt: skip
    """Whether world points lie inside the picture and no more than ``tolerance`` metres behind what is seen there.

    ``depth``: the mesh's depth from this camera when it is known already.
    """
    if depth is None:
        depth = rasterize_mesh(vertices, faces, camera).depth
    z = camera.to_camera(points)[..., 2]
    uv = camera.project(points)
    inside = (z > 0) & (uv >= 0).all(-1) & (uv[..., 0] <= camera.width) & (uv[..., 1] <= camera.height)
    uv = torch.where(inside[..., None], uv, 0)
    return inside & (z <= depth_at(depth, uv) + tolerance)
