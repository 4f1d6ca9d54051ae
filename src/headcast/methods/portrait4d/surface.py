"""Isosurface of a tri-plane head's density, coloured by its features."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from headcast.errors import HeadcastError
from headcast.methods.portrait4d.network import Synthesizer
from headcast.render.isosurface import isosurface, largest_part
from headcast.render.types import ColouredSurface

__all__ = ["extract_surface"]

SIDE = 112
"""Grid points along each side of the cube."""
LEVEL = 10.0
"""Density: half of the light is gone after 7 % of a unit (23 mm); as EG3D's shape scripts take it."""
CHUNK = 1 << 17
"""Points decoded at once."""


def extract_surface(
    psi: Synthesizer, planes: Float[Tensor, "1 3 f h w"], side: int = SIDE
) -> ColouredSurface:
    """Extract the head's surface (straight neck) by marching tetrahedra; the largest component alone.

    Raises:
        HeadcastError: nothing in it is solid.
    """
    c = psi.config
    with torch.no_grad():

        def decode(points: Float[np.ndarray, "n 3"]) -> tuple[Tensor, Tensor]:
            parts = torch.from_numpy(points).float()[None].split(CHUNK, 1)
            decoded = [psi.radiance(planes, p) for p in parts]
            return torch.cat([d[0, :, 0] for d, _ in decoded]), torch.cat([f[0, :, :3] for _, f in decoded])

        axis_points = (np.arange(side) / (side - 1) - 0.5) * c.cube_side
        grid = np.stack(np.meshgrid(axis_points, axis_points, axis_points, indexing="ij"), -1).reshape(-1, 3)
        density = softplus(decode(grid)[0] - 1).numpy().reshape(side, side, side)
        for axis in range(3):  # close what reaches the cube's walls
            edge = np.moveaxis(density, axis, 0)
            edge[0], edge[-1] = 0, 0
        points, faces = isosurface(density, LEVEL)
        if not len(faces):
            raise HeadcastError(
                "mesh-ply: this head has no solid surface; its networks were trained too little"
            )
        faces = largest_part(len(points), faces)
        used, faces = np.unique(faces, return_inverse=True)
        points = (points[used] / (side - 1) - 0.5) * c.cube_side
        colours = decode(points)[1].clamp(0, 1).numpy()
    return ColouredSurface(points / c.units_per_metre + np.array(c.origin), colours, faces.reshape(-1, 3))
