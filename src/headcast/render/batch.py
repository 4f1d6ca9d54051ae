"""Rasterize a batch of meshes, each into its own image, with depth peeling."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.device import is_cuda
from headcast.render import raster_numba, raster_reference, raster_triton
from headcast.render.mesh import Backend
from headcast.render.types import Fragments

__all__ = ["batch_pixels", "rasterize_batch"]

APART = 1e-6
"""Fragments behind a surface by less than this fraction of its depth belong to the same surface."""


def batch_pixels(
    vertices: Float[Tensor, "b v 3"], K: Float[Tensor, "b 3 3"], cam_from_world: Float[Tensor, "b 4 4"]
) -> Float[Tensor, "b v 3"]:
    """Compute K (R x + t) in float64 of world points (metres): (u z, v z, z), u and v in pixels."""
    P = (K.double() @ cam_from_world[:, :3].double())[..., None]
    x, y, z = vertices.double().unbind(-1)
    return torch.stack([P[:, i, 0] * x + P[:, i, 1] * y + P[:, i, 2] * z + P[:, i, 3] for i in range(3)], -1)


def rasterize_batch(
    points: Float[Tensor, "b v 3"],
    faces: Int[Tensor, "f 3"] | Int[Tensor, "b f 3"],
    width: int,
    height: int,
    *,
    near: float = 0.01,
    cull_back: bool = False,
    beyond: Float[Tensor, "b h w"] | None = None,
    backend: Backend = "auto",
) -> Fragments:
    """Find the nearest triangle at every pixel centre of every image; barycentrics in float32, no gradients.

    Args:
        points: homogeneous pixels from :func:`batch_pixels`.
        faces: of one topology for all, or of each mesh (pad with triangles of one vertex thrice).
        beyond: depth per pixel, metres; only what lies farther is rendered, everything where it is 0, nothing
            where it is infinite. The last depth given back here peels a scene layer by layer.
        backend: as for :func:`headcast.render.mesh.rasterize_mesh`. On CUDA all is one launch.
    """
    count = len(points)
    faces = faces.expand(count, -1, 3) if faces.dim() == 2 else faces
    limit = torch.full((count, height, width), 1 / near, device=points.device)
    if beyond is not None:
        limit = torch.where(beyond > 0, ((1 - APART) / beyond.float()).minimum(limit), limit)
    if backend == "auto":
        backend = "numba"
        if is_cuda(points):
            backend = "triton" if raster_triton.available() else "reference"
    if backend == "triton":
        triangle, depth = raster_triton.rasterize_all(
            points, faces.long(), width, height, near, cull_back, limit
        )
        return Fragments(triangle, _barycentrics(points, faces, triangle), depth)
    where = raster_numba if backend == "numba" else raster_reference
    index = faces.int() if backend == "numba" else faces.long()
    each = [
        where.rasterize(points[i], index[i], width, height, near, cull_back, limit[i]) for i in range(count)
    ]
    triangle, depth = (torch.stack(x) for x in zip(*each, strict=True))
    if backend == "reference":
        return Fragments(triangle, _barycentrics(points, faces, triangle), depth)
    b = [raster_numba.barycentrics(points[i], index[i], triangle[i]).float() for i in range(count)]
    return Fragments(triangle, torch.stack(b), depth)


def _barycentrics(points: Tensor, faces: Tensor, triangle: Tensor) -> Float[Tensor, "b h w 3"]:
    """Compute barycentrics as in ``raster_reference``, for covered pixels only."""
    count, height, width = triangle.shape
    flat = triangle.reshape(-1)
    hit = torch.nonzero(flat >= 0)[:, 0]
    image = hit // (height * width)
    corners = faces[image, flat[hit].long()].long() + image[:, None] * points.shape[1]
    d = torch.stack([hit % width + 0.5, hit // width % height + 0.5, torch.ones_like(hit)], 1).to(points)
    e = (raster_reference.edge_normals(points.reshape(-1, 3), corners) * d[:, None]).sum(-1)
    out = points.new_zeros(len(flat), 3, dtype=torch.float32)
    out[hit] = (e / e.sum(-1, keepdim=True)).float()
    return out.view(count, height, width, 3)
