"""The neck's pose as a field of rotations around the head (Portrait4D-v2, supplement A).

Ψ draws the head as if its neck were straight. Where a sample of the bent head lies in that straight head is
read off the nearest triangle of a coarse posed mesh, on a grid of 24³ points, and off a smoothed grid of 8³
far from the surface.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool3d, grid_sample, normalize, pad

from headcast.head.model import HeadModel
from headcast.head.params import HeadParams

__all__ = ["NeckField", "coarse_skin"]

FINE, COARSE = 24, 8
CLUSTER = 0.016
"""Metres: vertices of one cell of this side become one."""
BLOCK, AROUND, NEAR = 3, 96, 8
"""BLOCK³ cells share the AROUND triangles nearest to their middle; each cell tries its NEAR of these."""
CLOSE, FALL = 0.003, 1000.0
"""Squared distance (world units) up to which the fine grid counts alone, and how soon it stops to count."""


def coarse_skin(head: HeadModel) -> tuple[Int[Tensor, " v"], Int[Tensor, "f 3"]]:
    """Some of the head's skin vertices, and triangles over them (rows of these)."""
    skin = head.faces[head.part_faces("skin")]
    used = torch.unique(skin)
    cell = torch.div(head.neutral[used], CLUSTER, rounding_mode="floor").long()
    _, group = torch.unique(cell, dim=0, return_inverse=True)
    count = int(group.max()) + 1
    total = torch.zeros(count, 3, device=skin.device).index_add_(0, group, head.neutral[used])
    middle = total / torch.bincount(group, minlength=count)[:, None]
    far = (head.neutral[used] - middle[group]).norm(dim=-1)
    # the vertex nearest to its cell's mean stands for the cell: sort by distance, later writes win
    order = far.argsort(descending=True)
    chosen = torch.zeros(count, dtype=torch.long, device=skin.device)
    chosen[group[order]] = used[order]
    row = torch.full((len(head.neutral),), -1, device=skin.device)
    row[used] = group
    faces = row[skin]
    a, b, c = faces.unbind(-1)
    faces = faces[(a != b) & (b != c) & (a != c)]
    kept = torch.unique(torch.sort(faces, 1)[0], dim=0, return_inverse=True)[1]
    first = torch.full((int(kept.max()) + 1,), len(faces), device=skin.device)
    first = first.scatter_reduce(0, kept, torch.arange(len(faces), device=skin.device), "amin")
    return chosen, faces[first]


class NeckField:
    """Takes points of heads with bent necks to the same heads with straight ones.

    Args:
        head: model. params: (b,) of the heads; global rotation and translation are not looked at.
        cube: side of the volume. units: world units a metre.
    """

    def __init__(self, head: HeadModel, params: HeadParams, cube: float, units: float) -> None:
        chosen, faces = coarse_skin(head)
        still = params.replace(
            rotation=torch.zeros_like(params.rotation), translation=torch.zeros_like(params.translation)
        )
        straight = still.replace(neck=torch.zeros_like(still.neck))
        with torch.no_grad():
            posed, canonical = (head(p)[:, chosen] * units for p in (still, straight))
        self.cube = cube
        self.fine = torch.stack(
            [field_on(centres(FINE, cube, p), p, c, faces) for p, c in zip(posed, canonical, strict=True)]
        )
        smooth = torch.stack(
            [field_on(centres(COARSE, cube, p), p, c, faces) for p, c in zip(posed, canonical, strict=True)]
        )
        for _ in range(2):
            smooth = avg_pool3d(pad(smooth, (1,) * 6, mode="replicate"), 3, 1)
        self.smooth = smooth

    @classmethod
    def stored(
        cls, fine: Float[Tensor, "b 4 n n n"], smooth: Float[Tensor, "b 4 m m m"], cube: float
    ) -> NeckField:  # fmt: skip
        """A field whose grids were made before."""
        field = cls.__new__(cls)
        field.cube, field.fine, field.smooth = cube, fine, smooth
        return field

    def __call__(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n 3"]:
        """Where points of the posed heads lie in the canonical ones."""
        near, far = looked_up(self.fine, points, self.cube), looked_up(self.smooth, points, self.cube)
        share = torch.exp(-FALL * (near[..., 3:] - CLOSE).clamp(min=0))
        return points + share * near[..., :3] + (1 - share) * far[..., :3]


def centres(n: int, cube: float, like: Tensor) -> Float[Tensor, "m 3"]:
    """Middles of n³ cells, x running fastest."""
    at = ((torch.arange(n, device=like.device) + 0.5) / n - 0.5) * cube
    z, y, x = torch.meshgrid(at, at, at, indexing="ij")
    return torch.stack([x, y, z], -1).reshape(-1, 3).to(like)


def field_on(
    points: Float[Tensor, "m 3"], posed: Float[Tensor, "v 3"], canonical: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
) -> Float[Tensor, "4 d h w"]:  # fmt: skip
    """Offsets to the canonical head and squared distances to the posed one, on a cubic grid.

    A point keeps its place relative to the nearest triangle: barycentric foot, and the rest turned with the
    triangle (for points above the triangle that is the signed distance along its normal).
    """
    corner = posed[faces]
    near = nearby(points, corner.mean(1))
    bary = closest_bary(points[:, None], corner[near])
    foot = (bary[..., None] * corner[near]).sum(-2)
    square = (points[:, None] - foot).square().sum(-1)
    best = square.argmin(1)
    rows = torch.arange(len(points), device=points.device)
    triangle, bary, foot, square = near[rows, best], bary[rows, best], foot[rows, best], square[rows, best]
    to = (bary[..., None] * canonical[faces][triangle]).sum(-2)
    turn = frames(canonical[faces]) @ frames(corner).transpose(1, 2)
    moved = to + (turn[triangle] @ (points - foot)[..., None])[..., 0]
    n = round(len(points) ** (1 / 3))
    return torch.cat([moved - points, square[:, None]], 1).T.reshape(4, n, n, n)


def nearby(points: Float[Tensor, "m 3"], middle: Float[Tensor, "f 3"]) -> Int[Tensor, "m k"]:
    """Rows of the middles nearest to each point of a cubic grid, first coarsely for blocks of cells."""
    n = round(len(points) ** (1 / 3))
    step = BLOCK if n % BLOCK == 0 else 1
    m = n // step
    blocks = points.reshape(m, step, m, step, m, step, 3).permute(0, 2, 4, 1, 3, 5, 6)
    blocks = blocks.reshape(m**3, step**3, 3)
    around = torch.cdist(blocks.mean(1), middle).topk(min(AROUND, len(middle)), largest=False, sorted=False)[
        1
    ]
    far = (blocks[:, :, None] - middle[around][:, None]).square().sum(-1)
    best = far.topk(min(NEAR, far.shape[-1]), largest=False, sorted=False)[1]
    rows = around[:, None].expand(-1, step**3, -1).gather(2, best)
    rows = rows.reshape(m, m, m, step, step, step, -1).permute(0, 3, 1, 4, 2, 5, 6)
    return rows.reshape(len(points), -1)


def closest_bary(p: Float[Tensor, "m 1 3"], corner: Float[Tensor, "m k 3 3"]) -> Float[Tensor, "m k 3"]:
    """Barycentric weights of the point of each triangle nearest to p: the foot, else of the best edge."""
    a = corner[..., 0, :]
    u, v, w = corner[..., 1, :] - a, corner[..., 2, :] - a, p - a
    uu, uv, vv = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    wu, wv = (w * u).sum(-1), (w * v).sum(-1)
    det = (uu * vv - uv * uv).clamp(min=1e-30)
    s, t = (vv * wu - uv * wv) / det, (uu * wv - uv * wu) / det
    plane = torch.stack([1 - s - t, s, t], -1)
    edges = []
    for i, j in ((0, 1), (1, 2), (2, 0)):
        e = corner[..., j, :] - corner[..., i, :]
        along = (((p - corner[..., i, :]) * e).sum(-1) / (e * e).sum(-1).clamp(min=1e-30)).clamp(0, 1)
        weights = torch.zeros_like(plane)
        weights[..., i], weights[..., j] = 1 - along, along
        edges.append(weights)
    edge = torch.stack(edges, -2)
    foot = (edge[..., None] * corner[..., None, :, :]).sum(-2)
    best = (foot - p[..., None, :]).square().sum(-1).argmin(-1)
    edge = edge.gather(-2, best[..., None, None].expand(*best.shape, 1, 3)).squeeze(-2)
    return torch.where((plane < 0).any(-1, keepdim=True), edge, plane)


def frames(corner: Float[Tensor, "f 3 3"]) -> Float[Tensor, "f 3 3"]:
    """Axes of triangles in columns: along the first edge, normal, and across."""
    x = normalize(corner[:, 1] - corner[:, 0], dim=-1)
    n = normalize(torch.linalg.cross(x, corner[:, 2] - corner[:, 0]), dim=-1)
    return torch.stack([x, n, torch.linalg.cross(x, n)], -1)


def looked_up(
    grid: Float[Tensor, "b 4 d h w"], points: Float[Tensor, "b n 3"], cube: float
) -> Float[Tensor, "b n 4"]:
    """Trilinear values of a grid of cell middles; the outermost ones reach on."""
    n = grid.shape[-1]
    at = points / (cube / 2 * (1 - 1 / n))
    found = grid_sample(
        grid, at[:, None, None], mode="bilinear", padding_mode="border", align_corners=True
    )  # fmt: skip
    return found[:, :, 0, 0].transpose(1, 2)
