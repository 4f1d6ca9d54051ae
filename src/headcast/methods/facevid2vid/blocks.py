"""Blocks that the networks share: convolutions with batch norm in two and three dimensions, volume grids.

Synchronized batch norms of the published training are plain ones here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, avg_pool3d, conv2d, interpolate, leaky_relu, relu

__all__ = [
    "AntiAliasDownsample",
    "ConvNormBlock",
    "ResBlock",
    "conv",
    "named",
    "single_precision",
    "volume_grid",
]

Resize = Literal["up", "down"]


def conv(dims: int, inputs: int, outputs: int, size: int) -> nn.Module:
    """Make a convolution of two or three dimensions that keeps the size."""
    return (nn.Conv2d if dims == 2 else nn.Conv3d)(inputs, outputs, size, padding=size // 2)


def batch_norm(dims: int, width: int) -> nn.Module:
    """Make a batch norm of two or three dimensions."""
    return (nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d)(width)


def named(modules: Iterable[nn.Module], pattern: str) -> nn.Sequential:
    """Chain modules under names with their numbers in them; ``pattern``: such as ``down{}``."""
    return nn.Sequential(OrderedDict((pattern.format(k), m) for k, m in enumerate(modules)))


class ConvNormBlock(nn.Module):
    """Convolution, batch norm, leaky ReLU; before it twice or after it half the height and width.

    Args:
        dims: 2 or 3; a volume's depth is never resized. slope: of the ReLU, negative side.
    """

    def __init__(
        self,
        dims: int,
        inputs: int,
        outputs: int,
        size: int = 3,
        resize: Resize | None = None,
        slope: float = 0.0,
    ) -> None:
        super().__init__()
        self.dims, self.resize, self.slope = dims, resize, slope
        self.conv = conv(dims, inputs, outputs, size)
        self.norm = batch_norm(dims, outputs)

    def forward(self, x: Float[Tensor, "b i *d h w"]) -> Float[Tensor, "b o *d h2 w2"]:
        """Compute features of the new size."""
        if self.resize == "up":
            x = interpolate(x, scale_factor=(1.0, 2.0, 2.0)[-self.dims :], mode="nearest")
        x = leaky_relu(self.norm(self.conv(x)), self.slope)
        if self.resize == "down":
            x = avg_pool2d(x, 2) if self.dims == 2 else avg_pool3d(x, (1, 2, 2))
        return x


class ResBlock(nn.Module):
    """x + two convolutions, each after batch norm and ReLU (He et al. 2016, pre-activation)."""

    def __init__(self, dims: int, width: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = batch_norm(dims, width), conv(dims, width, width, 3)
        self.norm2, self.conv2 = batch_norm(dims, width), conv(dims, width, width, 3)

    def forward(self, x: Float[Tensor, "b c *d h w"]) -> Float[Tensor, "b c *d h w"]:
        """Compute features of the same size."""
        y = self.conv1(relu(self.norm1(x)))
        return x + self.conv2(relu(self.norm2(y)))


class AntiAliasDownsample(nn.Module):
    """Gaussian blur with zeros beyond the border, then every ``factor``-th pixel from the first on."""

    weight: Tensor

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.factor, sigma = factor, (factor - 1) / 2
        self.reach = round(4 * sigma)
        x = torch.arange(-self.reach, self.reach + 1.0)
        kernel = torch.exp(-(x**2) / (2 * sigma**2)) if factor > 1 else torch.ones(1)
        kernel = torch.outer(kernel, kernel) / kernel.sum() ** 2
        self.register_buffer("weight", kernel.expand(channels, 1, -1, -1).clone())

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Blur and downsample images."""
        x = conv2d(x, self.weight, padding=self.reach, groups=len(self.weight))
        return x[..., :: self.factor, :: self.factor]


def single_precision(like: Tensor) -> torch.autocast:
    """Return a context in which products of coordinates keep their digits, whatever networks compute in."""
    return torch.autocast(like.device.type, enabled=False)


def volume_grid(depth: int, height: int, width: int, like: Tensor) -> Float[Tensor, "d h w 3"]:
    """Make the coordinates (x, y, z) of a volume's voxels: corner voxels at -1 and 1, y down."""
    z, y, x = (torch.linspace(-1, 1, n, device=like.device, dtype=like.dtype) for n in (depth, height, width))
    return torch.stack(torch.meshgrid(z, y, x, indexing="ij")[::-1], -1)
