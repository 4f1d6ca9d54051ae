"""Rasterize in plain torch: the reference that the other backends are tested against.

Vertices come as homogeneous pixels p = K (R x + t) = (u z, v z, z). For the pixel centre d = (u, v, 1), the
edge values e_i = d · (p_j x p_k) of a triangle are the barycentric weights up to their sum, perspective
included, and the reciprocal of depth is sum(e) / det. No division by a vertex's z happens, so a triangle that
crosses the camera's plane needs no clipping into smaller ones: the near plane is a test at each pixel. All in
float64: neighbours have equal bits on a common edge, up to the sign, and so cover every pixel between them
exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["EMPTY", "ROUNDING", "Setup", "edge_normals", "rasterize", "resolve"]

PAIRS_AT_ONCE = 1 << 21
ROUNDING = 1e-14
"""Edge values below this part of their terms' size are zero: the pixel centre lies on the edge."""

EMPTY = torch.iinfo(torch.int64).max
"""Key of a pixel that no triangle covers."""


def edge_normals(points: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "f 3 3"]:
    """Compute (p1 x p2, p2 x p0, p0 x p1) of triangles in homogeneous pixels.

    Each product is taken from the lower to the higher vertex: two triangles at an edge then get the same
    bits, even where a device fuses multiplications and subtractions.
    """
    start, end = faces[:, [1, 2, 0]], faces[:, [2, 0, 1]]
    px, py, pz = points[torch.minimum(start, end)].unbind(-1)
    qx, qy, qz = points[torch.maximum(start, end)].unbind(-1)
    n = torch.stack([py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx], -1)
    return torch.where((start < end)[..., None], n, -n)


@dataclass(frozen=True)
class Setup:
    """Triangles prepared for rasterization.

    Attributes:
        normals: (F, 3 edges, 3) coefficients of the edge values, positive inside.
        min_inside: (F, 3) smallest edge value that is inside: zero within rounding, from below where the
            triangle owns the edge and from above where its neighbour does.
        scale: (F,) factor that turns the sum of edge values into 1 / depth.
        box: (F, 4) first and last pixel (x0, y0, x1, y1).
        count: (F,) pixels in the box, 0 for culled triangles.
    """

    normals: Tensor
    min_inside: Tensor
    scale: Tensor
    box: Tensor
    count: Tensor

    @staticmethod
    def of(points: Tensor, faces: Tensor, width: int, height: int, near: float, cull: bool) -> Setup:
        """Prepare the triangles of a mesh in homogeneous pixels."""
        normals = edge_normals(points, faces)
        corners = points[faces]
        det = (corners[:, 0] * normals[:, 0]).sum(-1)
        box = _boxes(corners, width, height, near)
        extent = (box[:, 2:] - box[:, :2] + 1).clamp(min=0)
        visible = (det < 0) if cull else (det.abs() > 0)
        normals = normals * torch.where(det > 0, 1.0, -1.0)[:, None, None]
        a, b, c = normals.unbind(-1)
        zero = ROUNDING * (a.abs() * width + b.abs() * height + c.abs())
        min_inside = torch.where((a > 0) | ((a == 0) & (b > 0)), -zero, zero)
        return Setup(
            normals=normals,
            min_inside=min_inside,
            scale=1 / det.abs(),
            box=box,
            count=extent[:, 0] * extent[:, 1] * visible,
        )


def _boxes(corners: Tensor, width: int, height: int, near: float) -> Tensor:
    """Compute the pixel box of each triangle's part beyond the near plane; x1 < x0 or y1 < y0: none."""
    p, q = corners, corners.roll(-1, 1)
    zp, zq = p[..., 2:], q[..., 2:]
    near_point = p + (q - p) * ((near - zp) / (zq - zp))
    points = torch.cat([p[..., :2] / zp, near_point[..., :2] / near], 1)
    is_valid = torch.cat([zp >= near, (zp >= near) != (zq >= near)], 1)
    low = torch.where(is_valid, points, torch.inf).amin(1)
    high = torch.where(is_valid, points, -torch.inf).amax(1)
    size = torch.tensor([width, height], dtype=low.dtype, device=low.device)
    first = (low - 0.5 - 1e-6).ceil().nan_to_num(nan=torch.inf).clamp(min=0).minimum(size)
    last = (high - 0.5 + 1e-6).floor().nan_to_num(nan=-torch.inf).clamp(min=-1).minimum(size - 1)
    return torch.cat([first, last], 1).long()


def rasterize(
    points: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    width: int,
    height: int,
    near: float,
    cull: bool,
    limit: Float[Tensor, "h w"] | None = None,
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Find the nearest triangle (int32, -1 none) and depth (float32, 0 none) at every pixel centre.

    Reciprocals of depth are compared as float32; of equal ones the lower triangle wins. A pixel centre
    exactly on an edge belongs to the side towards +x, then +y. Reciprocals above ``limit`` (at first
    1 / ``near``) are not rasterized.
    """
    if limit is None:
        limit = torch.full((height, width), 1 / near, device=points.device)
    setup = Setup.of(points, faces, width, height, near, cull)
    best = torch.full((width * height,), EMPTY, device=points.device)
    first, total = 0, setup.count.cumsum(0)
    while first < len(faces):
        most = PAIRS_AT_ONCE + (int(total[first - 1]) if first else 0)
        last = max(first + 1, int(torch.searchsorted(total, most)))
        pixel, key = _covered(setup, slice(first, last), width, limit)
        best.scatter_reduce_(0, pixel, key, "amin")
        first = last
    return resolve(best.view(height, width))


def _covered(setup: Setup, part: slice, width: int, limit: Tensor) -> tuple[Tensor, Tensor]:
    """Return pixels inside some triangles, and their keys: minus the bits of 1 / depth, then the triangle."""
    n = setup.count[part]
    f = torch.repeat_interleave(torch.arange(part.start, part.stop, device=n.device), n)
    k = torch.arange(len(f), device=n.device) - torch.repeat_interleave(n.cumsum(0) - n, n)
    box = setup.box[f]
    across = box[:, 2] - box[:, 0] + 1
    x, y = box[:, 0] + k % across, box[:, 1] + k // across
    A, B, C = setup.normals[f].unbind(-1)
    e = A * (x + 0.5)[:, None] + (B * (y + 0.5)[:, None] + C)
    inside = (e >= setup.min_inside[f]).all(1)
    w = ((e[:, 0] + e[:, 1] + e[:, 2]) * setup.scale[f]).float()
    pixel = y * width + x
    inside &= (w > 0) & (w <= limit.reshape(-1)[pixel])
    key = (-w.view(torch.int32).long() << 32) | f
    return pixel[inside], key[inside]


def resolve(best: Int[Tensor, "*b h w"]) -> tuple[Int[Tensor, "*b h w"], Float[Tensor, "*b h w"]]:
    """Decode triangle and depth from each pixel's smallest key."""
    empty = best == EMPTY
    depth = 1 / (-(best >> 32)).int().view(torch.float32)
    return torch.where(empty, -1, best & 0xFFFFFFFF).int(), torch.where(empty, 0, depth)
