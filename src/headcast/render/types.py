"""Result types of the renderers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["ColouredSurface", "Fragments", "Rendering", "SplatImage"]


@dataclass(frozen=True)
class Rendering:
    """A rendered image of a head.

    Attributes:
        rgb: (*b, H, W, 3) straight (not premultiplied) colour in 0..1, in ``colour_space``.
        alpha: (*b, H, W) coverage in 0..1.
        depth: (*b, H, W) camera z in metres, 0 where nothing is.
        colour_space: ``srgb`` (display values) or ``linear``.
    """

    rgb: Float[Tensor, "*b h w 3"]
    alpha: Float[Tensor, "*b h w"]
    depth: Float[Tensor, "*b h w"]
    colour_space: Literal["srgb", "linear"]


class SplatImage(NamedTuple):
    """Rendered Gaussians: colour of any number of channels, alpha 0..1, camera z in metres."""

    colour: Float[Tensor, "h w c"]
    alpha: Float[Tensor, "h w"]
    depth: Float[Tensor, "h w"]


class ColouredSurface(NamedTuple):
    """Vertices in the head frame, metres; sRGB colours 0..1 with the photo's light; triangles."""

    points: Float[np.ndarray, "v 3"]
    colours: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]


@dataclass(frozen=True)
class Fragments:
    """Fragments: the nearest triangle at every pixel centre.

    Attributes:
        triangle: (*b, H, W) int32 index into the faces, -1 where nothing is.
        barycentric: (*b, H, W, 3) perspective-correct weights of the triangle's three vertices (sum 1), 0
            where nothing is. Differentiable in the vertices.
        depth: (*b, H, W) camera z in metres, 0 where nothing is. Not differentiable: interpolate z for that.
    """

    triangle: Int[Tensor, "*b h w"]
    barycentric: Float[Tensor, "*b h w 3"]
    depth: Float[Tensor, "*b h w"]
