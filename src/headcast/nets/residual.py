"""Convolution with group norm, and the residual block of two of them (He et al. 2015; Wu & He 2018)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

__all__ = ["ConvNorm", "Residual"]

SLOPE = 0.1
"""Of the leaky ReLU."""
GROUP = 8
"""Channels normalised together."""


class ConvNorm(nn.Module):
    """3x3 convolution, group norm, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.GroupNorm(max(1, outputs // GROUP), outputs)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Compute features at the size divided by the stride."""
        return leaky_relu(self.norm(self.conv(x)), SLOPE)


class Residual(nn.Module):
    """x + two convolutions, the last without its nonlinearity; starts as the leaky ReLU of x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width)
        self.conv = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm = nn.GroupNorm(max(1, width // GROUP), width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Compute features of the same size."""
        return leaky_relu(x + self.norm(self.conv(self.first(x))), SLOPE)
