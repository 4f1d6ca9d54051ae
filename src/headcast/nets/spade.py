"""Spatially adaptive normalization (SPADE) and spectrally normalized convolutions.

Park et al. 2019, "Semantic Image Synthesis with Spatially-Adaptive Normalization", Eq. 1 and supplement A;
Miyato et al. 2018 for the spectral norm. Parameter names are those of the published code.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, instance_norm, interpolate, leaky_relu, normalize

__all__ = ["Spade", "SpadeResBlock", "SpectralConv2d"]

SLOPE = 0.2
"""Negative slope of the leaky ReLUs."""


class SpectralConv2d(nn.Module):
    """Convolution at the same size whose weight, seen as a matrix, is divided by its largest singular value.

    That value is u^T W v. While training, one power iteration updates u and v before each use.

    Args:
        size: side of the kernel, pixels. stride, padding: as for ``nn.Conv2d``; padding None: size // 2.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 3,
        *,
        stride: int = 1,
        padding: int | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        like = nn.Conv2d(inputs, outputs, size, bias=bias)
        self.stride, self.padding = stride, size // 2 if padding is None else padding
        self.weight_orig = nn.Parameter(like.weight.detach().clone())
        self.bias = like.bias
        self.register_buffer("weight_u", normalize(torch.randn(outputs), dim=0))
        self.register_buffer("weight_v", normalize(torch.randn(inputs * size * size), dim=0))

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Convolve with the normalized weight."""
        return conv2d(x, self.weight(), self.bias, self.stride, self.padding)

    def weight(self) -> Float[Tensor, "o i k k"]:
        """Compute the normalized weight, in single precision."""
        with torch.autocast(self.weight_orig.device.type, enabled=False):
            matrix = self.weight_orig.flatten(1)
            if self.training:
                with torch.no_grad():
                    self.weight_v.copy_(normalize(matrix.T @ self.weight_u, dim=0))
                    self.weight_u.copy_(normalize(matrix @ self.weight_v, dim=0))
            # copies: a later use must not change what this one's gradient needs
            u, v = self.weight_u.clone(), self.weight_v.clone()
            return self.weight_orig / (u @ (matrix @ v))


class Spade(nn.Module):
    """Instance normalization whose scale and shift are computed from a condition, place by place.

    Args:
        width: channels of what is normalized. condition, hidden: of the condition and of the layer between.
    """

    def __init__(self, width: int, condition: int, hidden: int = 128) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(condition, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, width, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, width, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "b c h w"], condition: Float[Tensor, "b d h2 w2"]
    ) -> Float[Tensor, "b c h w"]:
        """Normalize, scale and shift; the condition is resized by nearest neighbours."""
        shared = self.mlp_shared(interpolate(condition, x.shape[-2:], mode="nearest"))
        return instance_norm(x, eps=1e-5) * (1 + self.mlp_gamma(shared)) + self.mlp_beta(shared)


class SpadeResBlock(nn.Module):
    """Residual block of two SPADE layers; where the widths differ a third is on the shortcut."""

    def __init__(self, inputs: int, outputs: int, condition: int, hidden: int = 128) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.conv_0 = SpectralConv2d(inputs, middle)
        self.conv_1 = SpectralConv2d(middle, outputs)
        self.norm_0 = Spade(inputs, condition, hidden)
        self.norm_1 = Spade(middle, condition, hidden)
        self.conv_s = self.norm_s = None
        if inputs != outputs:
            self.conv_s = SpectralConv2d(inputs, outputs, 1, bias=False)
            self.norm_s = Spade(inputs, condition, hidden)

    def forward(
        self, x: Float[Tensor, "b i h w"], condition: Float[Tensor, "b d h2 w2"]
    ) -> Float[Tensor, "b o h w"]:
        """Compute features of the same size."""
        y = self.conv_0(leaky_relu(self.norm_0(x, condition), SLOPE))
        y = self.conv_1(leaky_relu(self.norm_1(y, condition), SLOPE))
        if self.conv_s is not None and self.norm_s is not None:
            x = self.conv_s(self.norm_s(x, condition))
        return x + y
