"""Rasterization in plain torch: the specification that the other backends are tested against.

Vertices come as homogeneous pixels p = K (R x + t) = (u z, v z, z). For the pixel centre d = (u, v, 1), the edge
values e_i = d · (p_j x p_k) of a triangle are the barycentric weights up to their sum, perspective included, and
depth is det / sum(e). No division by a vertex's z happens, so a triangle that crosses the camera's plane needs no
clipping into smaller ones: the near plane is a test of the depth at each pixel. All in float64: neighbours share
the bits of their common edge, up to the sign, and so cover every pixel between them exactly once.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["edge_normals", "rasterize", "screen_boxes"]

PAIRS_AT_ONCE = 1 << 21
EMPTY = torch.iinfo(torch.int64).max


def edge_normals(corners: Float[Tensor, "f 3 3"]) -> Float[Tensor, "f 3 3"]:
    """(p1 x p2, p2 x p0, p0 x p1) of triangles in homogeneous pixels."""
    p0, p1, p2 = corners.unbind(1)
    return torch.stack(
        [torch.linalg.cross(p1, p2), torch.linalg.cross(p2, p0), torch.linalg.cross(p0, p1)], 1
    )


def screen_boxes(corners: Float[Tensor, "f 3 3"], width: int, height: int, near: float) -> Int[Tensor, "f 4"]:
    """First and last pixel (x0, y0, x1, y1; empty where x1 < x0) of each triangle's part beyond the near plane."""
    p, q = corners, corners.roll(-1, 1)
    zp, zq = p[..., 2:], q[..., 2:]
    cut = p + (q - p) * ((near - zp) / (zq - zp))
    points = torch.cat([p[..., :2] / zp, cut[..., :2] / near], 1)
    there = torch.cat([zp >= near, (zp >= near) != (zq >= near)], 1)
    low = torch.where(there, points, torch.inf).amin(1)
    high = torch.where(there, points, -torch.inf).amax(1)
    size = torch.tensor([width, height], dtype=low.dtype, device=low.device)
    first = (low - 0.5 - 1e-6).ceil().nan_to_num(nan=torch.inf).clamp(min=0).minimum(size)
    last = (high - 0.5 + 1e-6).floor().nan_to_num(nan=-torch.inf).clamp(min=-1).minimum(size - 1)
    return torch.cat([first, last], 1).long()


def rasterize(
    points: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], width: int, height: int, near: float, cull: bool
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Nearest triangle (int32, -1 none) and depth (float32, 0 none) at every pixel centre.

    Reciprocals of depth are compared as float32; of equal ones the lower triangle wins. A pixel centre exactly on
    an edge belongs to the side towards +x, then +y.
    """
    corners = points[faces]
    normals = edge_normals(corners)
    det = (corners[:, 0] * normals[:, 0]).sum(-1)
    normals = normals * torch.where(det > 0, 1.0, -1.0)[:, None, None]
    box = screen_boxes(corners, width, height, near)
    extent = (box[:, 2:] - box[:, :2] + 1).clamp(min=0)
    count = extent[:, 0] * extent[:, 1] * ((det < 0) if cull else (det.abs() > 0))
    best = torch.full((width * height,), EMPTY, device=points.device)
    first, total = 0, count.cumsum(0)
    while first < len(faces):
        limit = PAIRS_AT_ONCE + (int(total[first - 1]) if first else 0)
        last = max(first + 1, int(torch.searchsorted(total, limit)))
        pixel, key = _covered(slice(first, last), normals, det.abs(), box, extent, count, width, near)
        best.scatter_reduce_(0, pixel, key, "amin")
        first = last
    empty = best == EMPTY
    triangle = torch.where(empty, -1, best & 0xFFFFFFFF).int()
    depth = 1 / (-(best >> 32)).int().view(torch.float32)
    return triangle.view(height, width), torch.where(empty, 0, depth).view(height, width)


def _covered(
    part: slice,
    normals: Tensor,
    det: Tensor,
    box: Tensor,
    extent: Tensor,
    count: Tensor,
    width: int,
    near: float,
) -> tuple[Tensor, Tensor]:
    """Pixel and sorting key (minus the bits of 1 / depth, above the triangle's number) of each pixel centre inside a triangle."""
    n = count[part]
    f = torch.repeat_interleave(torch.arange(part.start, part.stop, device=n.device), n)
    k = torch.arange(len(f), device=n.device) - torch.repeat_interleave(n.cumsum(0) - n, n)
    x = box[f, 0] + k % extent[f, 0]
    y = box[f, 1] + k // extent[f, 0]
    A, B, C = normals[f].unbind(-1)
    e = A * (x + 0.5)[:, None] + (B * (y + 0.5)[:, None] + C)
    inside = ((e > 0) | ((e == 0) & ((A > 0) | ((A == 0) & (B > 0))))).all(1)
    w = ((e[:, 0] + e[:, 1] + e[:, 2]) * (1 / det)[f]).float()
    inside &= (w > 0) & (w <= torch.tensor(1 / near, dtype=torch.float32))
    key = (-w.view(torch.int32).long() << 32) | f
    return (y * width + x)[inside], key[inside]
