"""The surface inside of a tri-plane head: where its density passes a level, coloured by its features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from headcast.errors import HeadcastError
from headcast.methods.portrait4d.network import Synthesizer
from headcast.render.isosurface import isosurface, largest_part

__all__ = ["Surface", "surface_of"]

SIDE = 112
"""Grid points along each side of the cube."""
LEVEL = 10.0
"""Density: half of the light is gone after 7 % of a unit (23 mm); as EG3D's shape scripts take it."""
AT_ONCE = 1 << 17


@dataclass(frozen=True)
class Surface:
    """Vertices in the head frame, metres; sRGB colours 0..1 with the photo's light; triangles."""

    points: Float[np.ndarray, "v 3"]
    colours: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]


def surface_of(psi: Synthesizer, planes: Float[Tensor, "1 3 f h w"], side: int = SIDE) -> Surface:
    """Marching tetrahedra on the densities of the head with a straight neck; the largest part alone.

    Raises:
        HeadcastError: nothing in it is solid.
    """
    c = psi.config
    with torch.no_grad():

        def asked(points: Float[np.ndarray, "n 3"]) -> tuple[Tensor, Tensor]:
            parts = torch.from_numpy(points).float()[None].split(AT_ONCE, 1)
            found = [psi.radiance(planes, p) for p in parts]
            return torch.cat([d[0, :, 0] for d, _ in found]), torch.cat([f[0, :, :3] for _, f in found])

        at = (np.arange(side) / (side - 1) - 0.5) * c.cube
        grid = np.stack(np.meshgrid(at, at, at, indexing="ij"), -1).reshape(-1, 3)
        density = softplus(asked(grid)[0] - 1).numpy().reshape(side, side, side)
        for axis in range(3):  # what reaches the cube's wall is closed there
            edge = np.moveaxis(density, axis, 0)
            edge[0], edge[-1] = 0, 0
        points, faces = isosurface(density, LEVEL)
        if not len(faces):
            raise HeadcastError(
                "mesh-ply: this head has no solid surface; its networks were trained too little"
            )
        faces = largest_part(len(points), faces)
        used, faces = np.unique(faces, return_inverse=True)
        points = (points[used] / (side - 1) - 0.5) * c.cube
        colours = asked(points)[1].clamp(0, 1).numpy()
    return Surface(points / c.units_per_metre, colours, faces.reshape(-1, 3))
