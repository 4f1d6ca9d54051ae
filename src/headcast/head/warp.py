"""Warp of space by the surface of a deforming mesh: from the posed frame into the canonical one.

A point keeps its place relative to the nearest triangle: the barycentric foot moves with the triangle, and
the remaining offset rotates with the triangle's frame (for points above a triangle, the signed distance along
its normal). This is the neck's rotation field of Portrait4D-v2 (supplement A); INSTA's mapping (Zielonka et
al. 2023, Sec. 3.2) is the same with a deformation gradient in place of the rotation.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

__all__ = [
    "WarpedPoints",
    "cell_centres",
    "closest_bary",
    "deformation_gradients",
    "sample_grid",
    "triangle_frames",
    "warp_grid",
    "warp_to_canonical",
]

BLOCK, AROUND, NEAR = 3, 96, 8
"""Candidates on a grid: BLOCK³ cells share the AROUND triangles with the centres nearest to their middle, and
each cell tries the NEAR nearest of these."""
TINY_VOLUME = 1e-10
"""Least area of a triangle, in squared units of its vertices, that has a deformation gradient."""
TINY = 1e-30
"""Least squared length and squared area that are divided by: degenerate triangles give a corner."""


class WarpedPoints(NamedTuple):
    """Points in the canonical frame, and which part of the posed surface carried them.

    Attributes:
        points: (m, 3) canonical. squared_distance: (m,) to the posed surface.
        triangle: (m,) row of the nearest triangle. bary: (m, 3) of the nearest point in it.
    """

    points: Float[Tensor, "m 3"]
    squared_distance: Float[Tensor, " m"]
    triangle: Int[Tensor, " m"]
    bary: Float[Tensor, "m 3"]


def warp_to_canonical(
    points: Float[Tensor, "m 3"],
    posed: Float[Tensor, "v 3"],
    canonical: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    candidates: Int[Tensor, "m k"] | None = None,
) -> WarpedPoints:
    """Carry points of the posed frame into the canonical one with the nearest triangle of the surface.

    Args:
        posed, canonical: vertices of one mesh in both frames, in one unit.
        candidates: rows of the triangles that each point tries; None: all of them, exactly, in (m, f) memory.
    """
    corner = posed[faces]
    if candidates is None:
        candidates = torch.arange(len(faces), device=points.device).expand(len(points), -1)
    bary = closest_bary(points[:, None], corner[candidates])
    foot = (bary[..., None] * corner[candidates]).sum(-2)
    squared = (points[:, None] - foot).square().sum(-1)
    best, rows = squared.argmin(1), torch.arange(len(points), device=points.device)
    triangle, bary, foot = candidates[rows, best], bary[rows, best], foot[rows, best]
    to = (bary[..., None] * canonical[faces][triangle]).sum(-2)
    turn = triangle_frames(canonical[faces]) @ triangle_frames(corner).transpose(1, 2)
    moved = to + (turn[triangle] @ (points - foot)[..., None])[..., 0]
    return WarpedPoints(moved, squared[rows, best], triangle, bary)


def closest_bary(p: Float[Tensor, "#m #k 3"], corner: Float[Tensor, "m k 3 3"]) -> Float[Tensor, "m k 3"]:
    """Find barycentric weights of each triangle's point nearest to p: the foot, else the best edge's."""
    a = corner[..., 0, :]
    u, v, w = corner[..., 1, :] - a, corner[..., 2, :] - a, p - a
    uu, uv, vv = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    wu, wv = (w * u).sum(-1), (w * v).sum(-1)
    det = (uu * vv - uv * uv).clamp(min=TINY)
    s, t = (vv * wu - uv * wv) / det, (uu * wv - uv * wu) / det
    plane = torch.stack([1 - s - t, s, t], -1)
    edge = _closest_on_edges(p, corner, plane)
    return torch.where((plane < 0).any(-1, keepdim=True), edge, plane)


def _closest_on_edges(p: Float[Tensor, "#m #k 3"], corner: Float[Tensor, "m k 3 3"], plane: Tensor) -> Tensor:
    """Find barycentric weights of the nearest point on the edges."""
    edges = []
    for i, j in ((0, 1), (1, 2), (2, 0)):
        e = corner[..., j, :] - corner[..., i, :]
        along = (((p - corner[..., i, :]) * e).sum(-1) / (e * e).sum(-1).clamp(min=TINY)).clamp(0, 1)
        weights = torch.zeros_like(plane)
        weights[..., i], weights[..., j] = 1 - along, along
        edges.append(weights)
    edge = torch.stack(edges, -2)
    foot = (edge[..., None] * corner[..., None, :, :]).sum(-2)
    best = (foot - p[..., None, :]).square().sum(-1).argmin(-1)
    return edge.gather(-2, best[..., None, None].expand(*best.shape, 1, 3)).squeeze(-2)


def triangle_frames(corner: Float[Tensor, "f 3 3"]) -> Float[Tensor, "f 3 3"]:
    """Compute the axes of triangles in columns: along the first edge, normal, and across."""
    x = normalize(corner[:, 1] - corner[:, 0], dim=-1)
    n = normalize(torch.linalg.cross(x, corner[:, 2] - corner[:, 0]), dim=-1)
    return torch.stack([x, n, torch.linalg.cross(x, n)], -1)


def deformation_gradients(
    posed: Float[Tensor, "v 3"], canonical: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]
) -> tuple[Float[Tensor, "f 3 3"], Float[Tensor, "f 3"]]:
    """Compute each triangle's affine map from the posed frame to the canonical one (INSTA, Sec. 3.2).

    The gradient takes the posed edges and unit normal to the canonical ones: a point keeps its barycentric
    foot and its height above the triangle. Degenerate triangles map everything to their first corner.

    Returns:
        Matrices F and offsets c: a point p of the posed frame lies at F p + c in the canonical one.
    """
    edges = []
    for vertices in (posed, canonical):
        corner = vertices[faces]
        u, v = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
        edges.append(torch.stack([u, v, normalize(torch.linalg.cross(u, v), dim=-1)], -1))
    flat = torch.linalg.det(edges[0]).abs() < TINY_VOLUME
    posed_edges = torch.where(flat[:, None, None], torch.eye(3).to(posed), edges[0])
    gradient = torch.where(flat[:, None, None], 0.0, edges[1] @ torch.linalg.inv(posed_edges))
    origin = posed[faces[:, 0]]
    return gradient, canonical[faces[:, 0]] - (gradient @ origin[..., None])[..., 0]


def warp_grid(
    posed: Float[Tensor, "v 3"],
    canonical: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    n: int,
    side: float,
) -> Float[Tensor, "4 n n n"]:
    """Bake the warp on n³ cell centres of a cube about the origin: offsets to canonical, squared distance.

    Candidates are found block by block (see ``BLOCK``): approximate far from the surface.

    Args:
        side: of the cube, in the unit of the vertices.
    """
    points = cell_centres(n, side, posed)
    near = _candidates_on_grid(points, posed[faces].mean(1))
    found = warp_to_canonical(points, posed, canonical, faces, near)
    return torch.cat([found.points - points, found.squared_distance[:, None]], 1).T.reshape(4, n, n, n)


def cell_centres(n: int, side: float, like: Tensor) -> Float[Tensor, "m 3"]:
    """Compute the centres of n³ cells of a cube about the origin, x running fastest."""
    at = ((torch.arange(n, device=like.device) + 0.5) / n - 0.5) * side
    z, y, x = torch.meshgrid(at, at, at, indexing="ij")
    return torch.stack([x, y, z], -1).reshape(-1, 3).to(like)


def sample_grid(
    grid: Float[Tensor, "b c n n n"], points: Float[Tensor, "b m 3"], side: float
) -> Float[Tensor, "b m c"]:
    """Sample a grid of cell centres trilinearly; the outermost values reach on beyond the cube."""
    n = grid.shape[-1]
    at = points / (side / 2 * (1 - 1 / n))
    found = grid_sample(grid, at[:, None, None], mode="bilinear", padding_mode="border", align_corners=True)
    return found[:, :, 0, 0].transpose(1, 2)


def _candidates_on_grid(points: Float[Tensor, "m 3"], centres: Float[Tensor, "f 3"]) -> Int[Tensor, "m k"]:
    """Find the centres nearest to each point of a cubic grid, first coarsely for blocks of cells."""
    n = round(len(points) ** (1 / 3))
    step = BLOCK if n % BLOCK == 0 else 1
    m = n // step
    blocks = points.reshape(m, step, m, step, m, step, 3).permute(0, 2, 4, 1, 3, 5, 6)
    blocks = blocks.reshape(m**3, step**3, 3)
    count = min(AROUND, len(centres))
    around = torch.cdist(blocks.mean(1), centres).topk(count, largest=False, sorted=False)[1]
    far = (blocks[:, :, None] - centres[around][:, None]).square().sum(-1)
    best = far.topk(min(NEAR, far.shape[-1]), largest=False, sorted=False)[1]
    rows = around[:, None].expand(-1, step**3, -1).gather(2, best)
    rows = rows.reshape(m, m, m, step, step, step, -1).permute(0, 3, 1, 4, 2, 5, 6)
    return rows.reshape(len(points), -1)
