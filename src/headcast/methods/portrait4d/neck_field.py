"""The neck's pose as a field of rotations around the head (Portrait4D-v2, supplement A).

Ψ renders the head as if its neck were straight. Where a sample of the bent head lies in that straight head is
read off the nearest triangle of a coarse posed mesh (``head.warp``), on a grid of 24³ points, and off a
smoothed grid of 8³ far from the surface.
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
CLUSTER = 0.016
"""Metres: vertices of one cell of this side become one."""
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
            [warp_grid(p, c, faces, FINE, cube) for p, c in zip(posed, canonical, strict=True)]
        )
        smooth = torch.stack(
            [warp_grid(p, c, faces, COARSE, cube) for p, c in zip(posed, canonical, strict=True)]
        )
        for _ in range(2):
            smooth = avg_pool3d(pad(smooth, (1,) * 6, mode="replicate"), 3, 1)
        self.smooth = smooth

    @classmethod
    def stored(
        cls, fine: Float[Tensor, "b 4 n n n"], smooth: Float[Tensor, "b 4 m m m"], cube: float
    ) -> NeckField:
        """A field whose grids were made before."""
        field = cls.__new__(cls)
        field.cube, field.fine, field.smooth = cube, fine, smooth
        return field

    def __call__(self, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n 3"]:
        """Where points of the posed heads lie in the canonical ones."""
        near, far = (sample_grid(g, points, self.cube) for g in (self.fine, self.smooth))
        share = torch.exp(-FALL * (near[..., 3:] - CLOSE).clamp(min=0))
        return points + share * near[..., :3] + (1 - share) * far[..., :3]
