"""StyleGAN2's generator in plain operations ("clean"): bilinear upsampling, gains folded into the weights.

Parameter names are those of the published GFPGANv1Clean, so that its checkpoints load. Karras et al. 2020
(StyleGAN2), section 2.2 for weight demodulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from headcast.nets.sft import Condition, modulate_last_channels
from headcast.nets.skip_synthesis import modulated_conv2d

__all__ = ["CleanGenerator", "StyleConv", "ToColour", "upsample_bilinear"]

SLOPE = 0.2
"""Negative slope of the leaky ReLUs."""


def upsample_bilinear(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """Upsample to twice the size, bilinear."""
    return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class PixelNorm(nn.Module):
    """Normalization of each vector by the root mean square of its entries."""

    def forward(self, x: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """Normalize vectors to unit RMS."""
        return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by the style, and whose outputs are normalized for it."""

    def __init__(self, inputs: int, outputs: int, side: int, styles: int, demodulate: bool = True) -> None:
        super().__init__()
        self.demodulate = demodulate
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, side, side) / sqrt(inputs * side * side))
        self.modulation = nn.Linear(styles, inputs)
        nn.init.ones_(self.modulation.bias)

    def forward(self, x: Float[Tensor, "b i h w"], style: Float[Tensor, "b s"]) -> Float[Tensor, "b o h w"]:
        """Convolve at the same size, with weights scaled by the style."""
        return modulated_conv2d(x, self.weight[0], self.modulation(style), demodulate=self.demodulate)


class StyleConv(nn.Module):
    """Optional upsampling by 2, modulated 3x3 convolution, gain, noise, bias, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, styles: int, up: bool) -> None:
        super().__init__()
        self.up = up
        self.modulated_conv = ModulatedConv(inputs, outputs, 3, styles)
        self.weight = nn.Parameter(torch.zeros(1))  # of the noise
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(
        self, x: Float[Tensor, "b i h w"], style: Float[Tensor, "b s"], noise: Float[Tensor, "n 1 h2 w2"]
    ) -> Float[Tensor, "b o h2 w2"]:
        """Compute the features of the next layer."""
        x = self.modulated_conv(upsample_bilinear(x) if self.up else x, style) * sqrt(2)
        return leaky_relu(x + self.weight * noise + self.bias, SLOPE)


class ToColour(nn.Module):
    """Features to RGB, added to the upsampled image of the layers before."""

    def __init__(self, inputs: int, styles: int) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv(inputs, 3, 1, styles, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(
        self,
        x: Float[Tensor, "b i h w"],
        style: Float[Tensor, "b s"],
        image: Float[Tensor, "b 3 h2 w2"] | None = None,
    ) -> Float[Tensor, "b 3 h w"]:
        """Compute the image at this size; ``image`` is that of half the size."""
        rgb = self.modulated_conv(x, style) + self.bias
        return rgb if image is None else rgb + upsample_bilinear(image)


class CleanGenerator(nn.Module):
    """Generator from one latent a layer to an image; conditions may scale and shift half of the channels.

    Args:
        widths: channels at 4, 8, 16, ... pixels a side.
        styles: length of a latent.
        layers: of the mapping network.
    """

    def __init__(self, widths: Sequence[int], styles: int = 512, layers: int = 8) -> None:
        super().__init__()
        mapping: list[nn.Module] = [PixelNorm()]
        for _ in range(layers):
            mapping += [nn.Linear(styles, styles), nn.LeakyReLU(SLOPE)]
        self.style_mlp = nn.Sequential(*mapping)
        self.constant_input = nn.Module()
        self.constant_input.register_parameter("weight", nn.Parameter(torch.randn(1, widths[0], 4, 4)))
        self.style_conv1 = StyleConv(widths[0], widths[0], styles, up=False)
        self.to_rgb1 = ToColour(widths[0], styles)
        self.style_convs, self.to_rgbs, self.noises = nn.ModuleList(), nn.ModuleList(), nn.Module()
        self.noises.register_buffer("noise0", torch.randn(1, 1, 4, 4))
        for k, (before, width) in enumerate(pairwise(widths), 1):
            self.style_convs.append(StyleConv(before, width, styles, up=True))
            self.style_convs.append(StyleConv(width, width, styles, up=False))
            self.to_rgbs.append(ToColour(width, styles))
            for j in (2 * k - 1, 2 * k):
                self.noises.register_buffer(f"noise{j}", torch.randn(1, 1, 4 << k, 4 << k))

    def forward(
        self,
        w: Float[Tensor, "b n s"],
        conditions: Sequence[Condition] = (),
        noise: torch.Generator | None = None,
    ) -> Float[Tensor, "b 3 h w"]:
        """Generate an image, about [-1, 1].

        Args:
            w: latents; layer pairs of one size use i, i + 1 and (colour) i + 2, i = 1, 3, 5, ...
            conditions: of the sizes from 8 on, for the second half of the channels.
            noise: generator of fresh noise; None: use the stored noise.
        """
        x = self.constant_input.get_parameter("weight").expand(len(w), -1, -1, -1)
        x = self.style_conv1(x, w[:, 0], self.noise(0, noise))
        rgb = self.to_rgb1(x, w[:, 1])
        for k, to_rgb in enumerate(self.to_rgbs):
            i = 2 * k + 1
            x = self.style_convs[2 * k](x, w[:, i], self.noise(i, noise))
            if conditions:
                x = modulate_last_channels(x, conditions[k])
            x = self.style_convs[2 * k + 1](x, w[:, i + 1], self.noise(i + 1, noise))
            rgb = to_rgb(x, w[:, i + 2], rgb)
        return rgb

    def noise(self, layer: int, generator: torch.Generator | None) -> Float[Tensor, "1 1 h w"]:
        """Return the stored noise of a layer, or sample fresh noise."""
        stored = self.noises.get_buffer(f"noise{layer}")
        return stored if generator is None else torch.randn(stored.shape, generator=generator).to(stored)
