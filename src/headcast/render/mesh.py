"""The mesh rasterizer: triangle index, barycentrics and depth per pixel; differentiable interpolation."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from headcast.camera import Camera
from headcast.device import is_cuda
from headcast.render import raster_numba, raster_reference, raster_triton
from headcast.render.types import Fragments

__all__ = [
    "Backend",
    "Fragments",
    "homogeneous_pixels",
    "interpolate",
    "pixels_from_world",
    "rasterize_mesh",
    "sum_rows",
]

Backend = Literal["auto", "reference", "numba", "triton"]


def homogeneous_pixels(vertices: Float[Tensor, "v 3"], camera: Camera) -> Float[Tensor, "v 3"]:
    """Compute K (R x + t) in float64: (u z, v z, z) with u, v in pixels and z in metres."""
    P = pixels_from_world(camera).to(vertices.device)
    x, y, z = vertices.double().unbind(-1)  # term by term: a matrix product would wake all of torch's threads
    return torch.stack([P[i, 0] * x + P[i, 1] * y + P[i, 2] * z + P[i, 3] for i in range(3)], -1)


def pixels_from_world(camera: Camera) -> Float[Tensor, "3 4"]:
    """Return the projection matrix K (R | t) in float64."""
    return camera.K.double() @ camera.cam_from_world[:3].double()


def rasterize_mesh(
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    camera: Camera,
    *,
    near: float = 0.01,
    cull_back: bool = False,
    backend: Backend = "auto",
) -> Fragments:
    """Find the nearest triangle at every pixel centre, barycentrics (differentiable in vertices) and depth.

    Args:
        vertices: world, metres.
        faces: counter-clockwise from outside.
        near: nothing closer than this (metres, camera z) is rendered; triangles that cross it are cut there.
        cull_back: leave out back-facing triangles.
        backend: ``auto`` takes numba on the CPU and Triton on CUDA; ``reference`` is plain torch.

    The outcome does not depend on the number of threads; of triangles at the same depth (in float32) the
    one with the lower index is visible. There are no gradients through what covers what (silhouettes).
    """
    points, faces = homogeneous_pixels(vertices, camera), faces.long()
    chosen = _backend(backend, vertices)
    where = {"numba": raster_numba, "triton": raster_triton, "reference": raster_reference}[chosen]
    triangle, depth = where.rasterize(points.detach(), faces, camera.width, camera.height, near, cull_back)
    barycentric = _Barycentrics.apply(points, faces, triangle, chosen == "numba")
    return Fragments(triangle, barycentric.to(vertices.dtype), depth.to(vertices.dtype))


def _backend(backend: Backend, vertices: Tensor) -> Backend:
    if backend != "auto":
        return backend
    if is_cuda(vertices):
        return "triton" if raster_triton.available() else "reference"
    return "numba"


def interpolate(
    fragments: Fragments, faces: Int[Tensor, "f 3"], attributes: Float[Tensor, "n c"]
) -> Float[Tensor, "h w c"]:
    """Interpolate attributes over the image, 0 where nothing is; differentiable in both inputs.

    ``faces`` are the rows of ``attributes`` at each triangle's corners: the mesh's faces for vertex
    attributes, ``faces_uv`` for texture coordinates.
    """
    b, triangle = fragments.barycentric, fragments.triangle
    grad = torch.is_grad_enabled() and (b.requires_grad or attributes.requires_grad)
    if not grad and b.dtype == attributes.dtype == torch.float32 and not is_cuda(b):
        return raster_numba.interpolated(triangle, b, faces, attributes)
    return _Interpolate.apply(b, attributes, triangle, faces)  # type: ignore[no-any-return]


def sum_rows(index: Int[Tensor, " m"], values: Float[Tensor, "m c"], rows: int) -> Float[Tensor, "rows c"]:
    """Sum the values that go to each row; deterministic, the same bits on every run."""
    out = values.new_zeros(rows, values.shape[1])
    if is_cuda(values):  # sorted inside, not atomic
        return out.index_put_((index,), values, accumulate=True)
    return out.scatter_add_(0, index[:, None].expand_as(values), values)


class _Barycentrics(torch.autograd.Function):
    """b_i = e_i / sum(e), e_0 = d · (p1 x p2) and so on; see ``raster_reference``."""

    @staticmethod
    def forward(ctx: Any, points: Tensor, faces: Tensor, triangle: Tensor, numba: bool) -> Tensor:
        ctx.save_for_backward(points, faces, triangle)
        if numba:
            return raster_numba.barycentrics(points, faces, triangle)
        hit, _, _, e = _hits(points, faces, triangle)
        out = points.new_zeros(triangle.numel(), 3)
        out[hit] = e / e.sum(-1, keepdim=True)
        return out.view(*triangle.shape, 3)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor, None, None, None]:
        points, faces, triangle = ctx.saved_tensors
        hit, d, corners, e = _hits(points, faces, triangle)
        total = e.sum(-1, keepdim=True)
        g = grads[0].reshape(-1, 3)[hit]
        h = (g - (g * e).sum(-1, keepdim=True) / total) / total  # d loss / d e
        h0, h1, h2 = h[:, :1], h[:, 1:2], h[:, 2:]
        p0, p1, p2 = corners.unbind(1)
        inner = torch.stack([h1 * p2 - h2 * p1, h2 * p0 - h0 * p2, h0 * p1 - h1 * p0], 1)
        out = torch.linalg.cross(d[:, None].expand_as(inner), inner)
        index = faces[triangle.reshape(-1)[hit].long()].reshape(-1).long()
        return sum_rows(index, out.reshape(-1, 3), len(points)), None, None, None


class _CoveredPixels(NamedTuple):
    """Covered pixels: flat index (m,), homogeneous centre (m, 3), corners (m, 3, 3), edges (m, 3)."""

    flat: Tensor
    centre: Tensor
    corners: Tensor
    edges: Tensor


def _hits(points: Tensor, faces: Tensor, triangle: Tensor) -> _CoveredPixels:
    """Return covered pixels: flat index (m,), homogeneous centre (m, 3), corners (m, 3, 3), edges (m, 3)."""
    flat = triangle.reshape(-1)
    hit = torch.nonzero(flat >= 0)[:, 0]
    width = triangle.shape[1]
    d = torch.stack([hit % width + 0.5, hit // width + 0.5, torch.ones_like(hit)], 1).to(points)
    corners = faces[flat[hit].long()]
    e = (raster_reference.edge_normals(points, corners) * d[:, None]).sum(-1)
    return _CoveredPixels(hit, d, points[corners], e)


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, barycentric: Tensor, attributes: Tensor, triangle: Tensor, faces: Tensor) -> Tensor:
        hit = torch.nonzero(triangle.reshape(-1) >= 0)[:, 0]
        rows = faces[triangle.reshape(-1)[hit].long()].long()
        b = barycentric.reshape(-1, 3)[hit].to(attributes.dtype)
        ctx.save_for_backward(b, attributes, hit, rows)
        ctx.like = barycentric.shape, barycentric.dtype
        out = attributes.new_zeros(triangle.numel(), attributes.shape[1])
        out[hit] = (attributes[rows] * b[..., None]).sum(1)
        return out.view(*triangle.shape, -1)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        b, attributes, hit, rows = ctx.saved_tensors
        g = grads[0].reshape(-1, grads[0].shape[-1])[hit]
        grad_b = grad_attributes = None
        if ctx.needs_input_grad[0]:
            shape, dtype = ctx.like
            grad_b = g.new_zeros(shape, dtype=dtype)
            grad_b.view(-1, 3)[hit] = (attributes[rows] * g[:, None]).sum(-1).to(dtype)
        if ctx.needs_input_grad[1]:
            spread = (b[..., None] * g[:, None]).reshape(-1, g.shape[-1])
            grad_attributes = sum_rows(rows.reshape(-1), spread, len(attributes))
        return grad_b, grad_attributes, None, None
