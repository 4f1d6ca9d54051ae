"""Rasterize a UV layout: the triangle and the barycentric coordinates at each texel of a texture."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.camera import Camera
from headcast.render.mesh import rasterize_mesh

__all__ = ["UvFragments", "rasterize_uv"]


class UvFragments(NamedTuple):
    """Rasterized UV layout: values per texel of a square texture, row by row.

    Attributes:
        triangle: index into the faces, -1 outside the layout.
        barycentric: weights of its corners, 0 outside the layout.
    """

    triangle: Int[Tensor, "t"]
    barycentric: Float[Tensor, "t 3"]


def rasterize_uv(uv: Float[Tensor, "u 2"], faces_uv: Int[Tensor, "f 3"], size: int) -> UvFragments:
    """Find the triangle at the centre of every texel of a ``size`` x ``size`` texture.

    The layout is rendered as a flat mesh one unit before a camera whose pixels are the texels.

    Args:
        uv: 0..1, origin at the top left.
    """
    layout = torch.cat([uv * size, torch.ones(len(uv), 1)], 1)
    fragments = rasterize_mesh(layout, faces_uv, Camera(torch.eye(3), torch.eye(4), size, size))
    return UvFragments(fragments.triangle.reshape(-1), fragments.barycentric.reshape(-1, 3))
