"""StyleGAN2's synthesis layers with skip connections to RGB: its blocks, and EG3D's super-resolution.

Parameter names are those of the published networks, so that converted checkpoints load.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, interpolate, leaky_relu, pad

from headcast.nets.linear import EqualizedLinear
from headcast.nets.sft import Condition, modulate_last_channels

__all__ = [
    "Noise",
    "SkipBlock",
    "SuperResolution",
    "SynthesisLayer",
    "ToRGB",
    "fir",
    "modulated_conv2d",
    "upsample",
]

Noise = Literal["none", "const", "random"]
CLAMP = 256.0
"""Largest absolute value of activations, for half precision."""


def fir() -> Float[Tensor, "4 4"]:
    """Return the low-pass filter [1, 3, 3, 1] in both directions, of sum 1."""
    k = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(k, k) / 64


def convolve_channels(
    x: Float[Tensor, "b c h w"], kernel: Float[Tensor, "4 4"], gain: float
) -> Float[Tensor, "b c i j"]:
    """Convolve every channel with the filter, without padding."""
    c = x.shape[1]
    return conv2d(x, (kernel * gain).to(x)[None, None].expand(c, 1, -1, -1), groups=c)


def upsample(x: Float[Tensor, "b c h w"], kernel: Float[Tensor, "4 4"]) -> Float[Tensor, "b c i j"]:
    """Upsample by 2: zeros between the pixels, then the filter."""
    b, c, h, w = x.shape
    spread = x.new_zeros(b, c, h, 2, w, 2)
    spread[:, :, :, 0, :, 0] = x
    return convolve_channels(pad(spread.reshape(b, c, 2 * h, 2 * w), (2, 1, 2, 1)), kernel, 4.0)


def modulated_conv2d(
    x: Float[Tensor, "b i h w"],
    weight: Float[Tensor, "o i k k"],
    style: Float[Tensor, "b i"],
    kernel: Float[Tensor, "4 4"] | None = None,
    demodulate: bool = True,
) -> Float[Tensor, "b o h2 w2"]:
    """Convolve with weights scaled by the style (StyleGAN2 Eq. 1-3); with ``kernel`` the size doubles."""
    b, i, h, w = x.shape
    o, _, k, _ = weight.shape
    scaled = weight[None] * style[:, None, :, None, None]
    if demodulate:
        scaled = scaled * (scaled.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    grouped = x.reshape(1, b * i, h, w)
    if kernel is None:
        out = conv2d(grouped, scaled.reshape(b * o, i, k, k), padding=k // 2, groups=b)
    else:
        transposed = scaled.transpose(1, 2).reshape(b * i, o, k, k)
        out = conv_transpose2d(grouped, transposed, stride=2, groups=b)
        out = convolve_channels(pad(out, (1, 1, 1, 1)), kernel, 4.0)
    return out.reshape(b, o, *out.shape[2:])


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU of unit gain, clamp."""

    def __init__(self, inputs: int, outputs: int, styles: int, side: int, up: bool) -> None:
        super().__init__()
        self.up = up
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("resample_filter", fir())
        self.register_buffer("noise_const", torch.randn(side, side))
        self.affine = EqualizedLinear(styles, inputs, bias=1)

    def forward(
        self, x: Float[Tensor, "b i h w"], w: Float[Tensor, "b s"], noise: Noise
    ) -> Float[Tensor, "b o h2 w2"]:
        """Compute the features of the next layer."""
        kernel = self.get_buffer("resample_filter") if self.up else None
        x = modulated_conv2d(x, self.weight, self.affine(w), kernel)
        if noise == "const":
            x = x + self.get_buffer("noise_const") * self.noise_strength
        elif noise == "random":
            x = x + torch.randn_like(x[:, :1]) * self.noise_strength
        x = leaky_relu(x + self.bias[:, None, None], 0.2) * math.sqrt(2)
        return x.clamp(-CLAMP, CLAMP)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to colour, without demodulation."""

    def __init__(self, inputs: int, styles: int, colours: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(colours, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(colours))
        self.affine = EqualizedLinear(styles, inputs, bias=1)
        self.gain = 1 / math.sqrt(inputs)

    def forward(self, x: Float[Tensor, "b i h w"], w: Float[Tensor, "b s"]) -> Float[Tensor, "b c h w"]:
        """Compute the colour of every pixel."""
        out = modulated_conv2d(x, self.weight, self.affine(w) * self.gain, demodulate=False)
        return (out + self.bias[:, None, None]).clamp(-CLAMP, CLAMP)


class SkipBlock(nn.Module):
    """Two layers, the first of which doubles the size; their colour is added to the upsampled one before."""

    def __init__(self, inputs: int, outputs: int, styles: int, side: int, colours: int = 3) -> None:
        super().__init__()
        self.register_buffer("resample_filter", fir())
        self.conv0 = SynthesisLayer(inputs, outputs, styles, side, up=True)
        self.conv1 = SynthesisLayer(outputs, outputs, styles, side, up=False)
        self.torgb = ToRGB(outputs, styles, colours)

    def forward(
        self,
        x: Float[Tensor, "b i h w"],
        rgb: Float[Tensor, "b c h w"],
        w: Float[Tensor, "b 3 s"],
        noise: Noise,
        condition: Condition | None = None,
    ) -> tuple[Float[Tensor, "b o h2 w2"], Float[Tensor, "b c h2 w2"]]:
        """Compute features and colour at twice the size.

        Args:
            w: styles of the two layers and of the colour. condition: of the features between the layers.
        """
        x = self.conv0(x, w[:, 0], noise)
        if condition is not None:
            x = modulate_last_channels(x, condition)
        x = self.conv1(x, w[:, 1], noise)
        return x, upsample(rgb, self.get_buffer("resample_filter")) + self.torgb(x, w[:, 2])


class SuperResolution(nn.Module):
    """Super-resolution of a feature image of ``side``² to an image of four times that side.

    All layers share one style vector. An input of another size is resampled first.
    """

    def __init__(self, features: int, widths: tuple[int, int], styles: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.block0 = SkipBlock(features, widths[0], styles, 2 * side)
        self.block1 = SkipBlock(widths[0], widths[1], styles, 4 * side)

    def forward(
        self,
        rgb: Float[Tensor, "b 3 h w"],
        x: Float[Tensor, "b c h w"],
        w: Float[Tensor, "b s"],
        noise: Noise = "none",
    ) -> Float[Tensor, "b 3 h2 w2"]:
        """Upsample features and colour to an image, about -1..1."""
        if x.shape[-1] != self.side:
            size = (self.side, self.side)
            x, rgb = (interpolate(i, size, mode="bilinear", antialias=True) for i in (x, rgb))
        styles = w[:, None].expand(-1, 3, -1)
        x, rgb = self.block0(x, rgb, styles, noise)
        return self.block1(x, rgb, styles, noise)[1]
