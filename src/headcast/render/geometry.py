"""Vertex normals of a mesh, and visibility of points from a camera."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.camera import Camera
from headcast.device import is_cuda
from headcast.render.jit import kernel
from headcast.render.mesh import rasterize_mesh, sum_rows

__all__ = ["depth_at", "vertex_normals", "visibility"]


def vertex_normals(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "v 3"]:
    """Compute area-weighted unit normals; zero at vertices without triangles. Differentiable."""
    grad = torch.is_grad_enabled() and vertices.requires_grad
    if not grad and vertices.dtype == torch.float32 and not is_cuda(vertices):
        out = np.empty((len(vertices), 3), np.float32)
        v = np.ascontiguousarray(vertices.detach().numpy())
        sum_normals(v, np.ascontiguousarray(faces.numpy(), np.int32), out)
        return torch.from_numpy(out)
    a, b, c = vertices[faces].unbind(1)
    n = torch.linalg.cross(b - a, c - a)
    total = sum_rows(faces.reshape(-1).long(), n.repeat_interleave(3, 0), len(vertices))
    return torch.nn.functional.normalize(total, dim=-1, eps=1e-30)


@kernel("void(f4[:,::1], i4[:,::1], f4[:,::1])")
def sum_normals(v, faces, out):
    """Compute :func:`vertex_normals` on arrays."""
    out[:] = 0.0
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = v[j, 0] - v[i, 0], v[j, 1] - v[i, 1], v[j, 2] - v[i, 2]
        bx, by, bz = v[k, 0] - v[i, 0], v[k, 1] - v[i, 1], v[k, 2] - v[i, 2]
        x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for m in range(3):
            at = faces[f, m]
            out[at, 0] += x
            out[at, 1] += y
            out[at, 2] += z
    for n in range(len(out)):
        length = math.sqrt(out[n, 0] * out[n, 0] + out[n, 1] * out[n, 1] + out[n, 2] * out[n, 2])
        scale = np.float32(1.0 / length) if length > 0.0 else np.float32(0.0)
        out[n, 0] *= scale
        out[n, 1] *= scale
        out[n, 2] *= scale


def depth_at(depth: Float[Tensor, "h w"], pixels: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b"]:
    """Return the farthest covered depth of the four pixels around positions (pixel centres at +0.5).

    Infinite where none of the four is covered or inside.
    """
    height, width = depth.shape
    x, y = (pixels[..., 0] - 0.5).floor().long(), (pixels[..., 1] - 0.5).floor().long()
    best = torch.zeros(pixels.shape[:-1], dtype=depth.dtype, device=depth.device)
    for j in (0, 1):
        for i in (0, 1):
            u, v = x + i, y + j
            inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
            best = torch.maximum(best, depth[v.clamp(0, height - 1), u.clamp(0, width - 1)] * inside)
    return torch.where(best > 0, best, torch.inf)


def visibility(
    points: Float[Tensor, "n 3"],
    camera: Camera,
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    *,
    tolerance: float = 0.002,
    depth: Float[Tensor, "h w"] | None = None,
) -> Bool[Tensor, " n"]:
    """Whether world points lie in the image and at most ``tolerance`` metres behind the surface there.

    ``depth``: the mesh's depth from this camera when it is known already.
    """
    if depth is None:
        depth = rasterize_mesh(vertices, faces, camera).depth
    z = camera.to_camera(points)[..., 2]
    uv = camera.project(points)
    inside = (z > 0) & (uv >= 0).all(-1) & (uv[..., 0] <= camera.width) & (uv[..., 1] <= camera.height)
    uv = torch.where(inside[..., None], uv, 0)
    return inside & (z <= depth_at(depth, uv) + tolerance)
