"""Tri-planes: a volume of features as three axis-aligned images (EG3D; Portrait4D-v2 Eq. 1).

Coordinates: +X right, +Y up, +Z out of the face, a cube of side ``side`` about the origin.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["EqualizedLinear", "RadianceDecoder", "sample_planes"]


def sample_planes(
    planes: Float[Tensor, "b 3 c h w"], points: Float[Tensor, "b n 3"], side: float
) -> Float[Tensor, "b n c"]:
    """Features of points: the mean over the planes (x, y), (y, z), (z, x), the first coordinate running along
    the picture's rows. Zero outside the cube of side ``side``.

    Eq. 1 of Portrait4D-v2 prints the sum; the published network averages.
    """
    b, _, c, h, w = planes.shape
    x, y, z = (points * (2 / side)).unbind(-1)
    at = torch.stack([torch.stack(p, -1) for p in ((x, y), (y, z), (z, x))], 1)  # (b, 3, n, 2)
    found = torch.nn.functional.grid_sample(
        planes.reshape(b * 3, c, h, w), at.reshape(b * 3, 1, -1, 2).to(planes),
        mode="bilinear", padding_mode="zeros", align_corners=False,
    )  # fmt: skip
    return found.reshape(b, 3, c, -1).mean(1).transpose(1, 2)


class EqualizedLinear(nn.Module):
    """A linear layer whose weights have unit variance at the start and are scaled when used (StyleGAN2)."""

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.full((outputs,), float(bias)))
        self.gain = 1 / math.sqrt(inputs)

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        """Scaled weights times ``x``, plus the bias."""
        return torch.nn.functional.linear(x, self.weight * self.gain, self.bias)


class RadianceDecoder(nn.Module):
    """The small MLP of Eq. 1: a feature becomes density (before its activation) and colour features."""

    def __init__(self, features: int, hidden: int, colours: int) -> None:
        super().__init__()
        self.net = nn.Sequential(EqualizedLinear(features, hidden), nn.Softplus())
        self.out_sigma = EqualizedLinear(hidden, 1)
        self.out_rgb = EqualizedLinear(hidden, colours)

    def forward(self, feature: Float[Tensor, "*b f"]) -> tuple[Float[Tensor, "*b 1"], Float[Tensor, "*b c"]]:
        """Density logit, and colours in about 0..1 (a sigmoid widened by .001 on both sides)."""
        hidden = self.net(feature)
        return self.out_sigma(hidden), torch.sigmoid(self.out_rgb(hidden)) * 1.002 - 0.001
