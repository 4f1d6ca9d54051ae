"""Tri-planes: a volume of features as three axis-aligned images (EG3D; Portrait4D-v2 Eq. 1).

Coordinates: +X right, +Y up, +Z out of the face, a cube of side ``side`` about the origin.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headcast.nets.linear import EqualizedLinear

__all__ = [
    "XY_XZ_ZX",
    "XY_YZ_ZX",
    "JointRadianceDecoder",
    "PlaneAxes",
    "RadianceDecoder",
    "sample_planes",
]

PlaneAxes = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""For each plane the coordinate (0: x, 1: y, 2: z) along its rows, then the one along its columns."""

XY_YZ_ZX: PlaneAxes = ((0, 1), (1, 2), (2, 0))
"""Planes (x, y), (y, z), (z, x): the published Portrait4D."""

XY_XZ_ZX: PlaneAxes = ((0, 1), (0, 2), (2, 0))
"""Planes (x, y), (x, z), (z, x): EG3D's published checkpoints and what descends from them (InvertAvatar). Two
of the planes span the same coordinates, transposed; no plane spans (y, z)."""


def sample_planes(
    planes: Float[Tensor, "b 3 c h w"],
    points: Float[Tensor, "b n 3"],
    side: float,
    axes: PlaneAxes = XY_YZ_ZX,
) -> Float[Tensor, "b n c"]:
    """Sample features of points: the mean over the three planes, bilinear, zero outside the cube of ``side``.

    Eq. 1 of Portrait4D-v2 prints the sum; the published network averages.

    Args:
        points: in the unit of ``side``. axes: which coordinates span each plane.
    """
    b, _, c, h, w = planes.shape
    coordinates = (points * (2 / side)).unbind(-1)
    at = torch.stack([torch.stack([coordinates[u], coordinates[v]], -1) for u, v in axes], 1)  # (b, 3, n, 2)
    samples = torch.nn.functional.grid_sample(
        planes.reshape(b * 3, c, h, w),
        at.reshape(b * 3, 1, -1, 2).to(planes),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return samples.reshape(b, 3, c, -1).mean(1).transpose(1, 2)


class RadianceDecoder(nn.Module):
    """The small MLP of Eq. 1: a feature becomes density (before its activation) and colour features."""

    def __init__(self, features: int, hidden: int, colours: int) -> None:
        super().__init__()
        self.net = nn.Sequential(EqualizedLinear(features, hidden), nn.Softplus())
        self.out_sigma = EqualizedLinear(hidden, 1)
        self.out_rgb = EqualizedLinear(hidden, colours)

    def forward(self, feature: Float[Tensor, "*b f"]) -> tuple[Float[Tensor, "*b 1"], Float[Tensor, "*b c"]]:
        """Decode density logits, and colours in about 0..1 (a sigmoid widened by .001 on both sides)."""
        hidden = self.net(feature)
        return self.out_sigma(hidden), widened_sigmoid(self.out_rgb(hidden))


class JointRadianceDecoder(nn.Module):
    """The same MLP with one output layer for both, the density first: EG3D's parameter names."""

    def __init__(self, features: int, hidden: int, colours: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            EqualizedLinear(features, hidden), nn.Softplus(), EqualizedLinear(hidden, 1 + colours)
        )

    def forward(self, feature: Float[Tensor, "*b f"]) -> tuple[Float[Tensor, "*b 1"], Float[Tensor, "*b c"]]:
        """Decode as :class:`RadianceDecoder` does."""
        out = self.net(feature)
        return out[..., :1], widened_sigmoid(out[..., 1:])


def widened_sigmoid(x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
    """Map logits to -.001..1.001, so that 0 and 1 are reached (MipNeRF)."""
    return torch.sigmoid(x) * 1.002 - 0.001
