"""The neck's pose as a field of rotations around the head (Portrait4D-v2, supplement A).

Ψ renders the head as if its neck were straight. Samples of the bent head are mapped to that straight head by
the nearest triangle of a coarse posed mesh (``head.warp``), on a grid of 24³ points, and far from the surface
on a smoothed grid of 8³.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool3d, pad

from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.head.warp import sample_grid, warp_grid

__all__ = ["NeckField", "coarse_skin"]

FINE, COARSE = 24, 8
"""Points along each side of the two grids."""
CLUSTER = 0.016
"""Side of the cells whose vertices are merged into one, metres."""
FINE_GRID_DISTANCE2, FALLOFF = 0.003, 1000.0
"""Squared distance (world units²) up to which the fine grid has weight 1; rate of its exponential falloff."""


def coarse_skin(head: HeadModel) -> tuple[Int[Tensor, " v"], Int[Tensor, "f 3"]]:
    """Simplify the head's skin: chosen vertices, and triangles as rows of these."""
    skin = head.faces[head.part_faces("skin")]
    used = torch.unique(skin)
    group, chosen = _cluster(head, used, skin)
    row = torch.full((len(head.neutral),), -1, device=skin.device)
    row[used] = group
    faces = row[skin]
    a, b, c = faces.unbind(-1)
    faces = faces[(a != b) & (b != c) & (a != c)]
    first = _first_of_equal(faces, skin)
    return chosen, faces[first]


def _first_of_equal(faces: Tensor, skin: Tensor) -> Tensor:
    """Return the first of triangles with the same vertices."""
    group_of_face = torch.unique(torch.sort(faces, 1)[0], dim=0, return_inverse=True)[1]
    first = torch.full((int(group_of_face.max()) + 1,), len(faces), device=skin.device)
    return first.scatter_reduce(0, group_of_face, torch.arange(len(faces), device=skin.device), "amin")


def _cluster(head: HeadModel, used: Tensor, skin: Tensor) -> tuple[Tensor, Tensor]:
    """Group vertices by cells; return each one's group, and the vertex nearest to each group's mean."""
    cell = torch.div(head.neutral[used], CLUSTER, rounding_mode="floor").long()
    _, group = torch.unique(cell, dim=0, return_inverse=True)
    count = int(group.max()) + 1
    total = torch.zeros(count, 3, device=skin.device).index_add_(0, group, head.neutral[used])
    mean = total / torch.bincount(group, minlength=count)[:, None]
    distance = (head.neutral[used] - mean[group]).norm(dim=-1)
    # the vertex nearest to its cell's mean stands for the cell: sort by distance, later writes win
    order = distance.argsort(descending=True)
    chosen = torch.zeros(count, dtype=torch.long, device=skin.device)
    chosen[group[order]] = used[order]
    return group, chosen


class NeckField:
    """Rotation field from heads with bent necks to the same heads with straight ones.

    Args:
        head: model. params: (b,) of the heads; global rotation and translation are ignored.
        cube: side of the volume. units: world units per metre. origin: of the world, head frame, metres.
    """

    def __init__(
        self,
        head: HeadModel,
        params: HeadParams,
        cube: float,
        units: float,
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        chosen, faces = coarse_skin(head)
        in_head_frame = params.replace(
            rotation=torch.zeros_like(params.rotation), translation=torch.zeros_like(params.translation)
        )
        straight = in_head_frame.replace(neck=torch.zeros_like(in_head_frame.neck))
        with torch.no_grad():
            middle = in_head_frame.neck.new_tensor(origin)
            posed, canonical = ((head(p)[:, chosen] - middle) * units for p in (in_head_frame, straight))
        self.cube = cube
        self.fine = torch.stack(
            [warp_grid(p, c, faces, FINE, cube) for p, c in zip(posed, canonical, strict=True)]
        )
        smooth = torch.stack(
            [warp_grid(p, c, faces, COARSE, cube) for p, c in zip(posed, canonical, strict=True)]
        )
        for _ in range(2):
            smooth = avg_pool3d(pad(smooth, (1,) * 6, mode="replicate"), 3, 1)
        self.smooth = smooth

    @classmethod
    def from_grids(
        cls, fine: Float[Tensor, "b 4 n n n"], smooth: Float[Tensor, "b 4 m m m"], cube: float
    ) -> NeckField:
        """Create a field from grids that were computed before."""
        field = cls.__new__(cls)
        field.cube, field.fine, field.smooth = cube, fine, smooth
        return field

    def __call__(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n 3"]:
        """Map points of the posed heads to the canonical ones, world units."""
        near, far = (sample_grid(g, points, self.cube) for g in (self.fine, self.smooth))
        weight = torch.exp(-FALLOFF * (near[..., 3:] - FINE_GRID_DISTANCE2).clamp(min=0))
        return points + weight * near[..., :3] + (1 - weight) * far[..., :3]
