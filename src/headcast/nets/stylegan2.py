"""StyleGAN2's synthesis network with skip connections (Karras et al. 2020), which returns its feature maps.

Parameter names are those of the published networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headcast.nets.mapping import MappingNetwork
from headcast.nets.sft import Condition
from headcast.nets.skip_synthesis import Noise, SkipBlock, SynthesisLayer, ToRGB, fir

__all__ = ["FeaturePyramid", "StyleBackbone", "Synthesis"]

START = 4
"""Side of the learned constant, pixels."""


class FeaturePyramid(NamedTuple):
    """Maps of a synthesis network from an eighth of its side on.

    Attributes:
        skip: (b, colours, s/8, s/8) the image that the skip connections have summed up to there.
        maps: (b, c, n, n) features after the blocks of side s/8, s/4, s/2 and s.
        image: (b, colours, s, s) what comes out.
    """

    skip: Float[Tensor, "b _ n n"]
    maps: list[Tensor]
    image: Float[Tensor, "b _ s s"]

    @property
    def levels(self) -> list[Tensor]:
        """All of them from coarse to fine: skip, four maps, image."""
        return [self.skip, *self.maps, self.image]


class StartBlock(nn.Module):
    """The learned constant of 4², one layer and its colour."""

    def __init__(self, width: int, styles: int, colours: int) -> None:
        super().__init__()
        self.const = nn.Parameter(torch.randn(width, START, START))
        self.register_buffer("resample_filter", fir())
        self.conv1 = SynthesisLayer(width, width, styles, START, up=False)
        self.torgb = ToRGB(width, styles, colours)

    def forward(self, w: Float[Tensor, "b 2 s"], noise: Noise) -> tuple[Tensor, Tensor]:
        """Compute features and colour at 4²."""
        x = self.conv1(self.const.expand(len(w), -1, -1, -1), w[:, 0], noise)
        return x, self.torgb(x, w[:, 1])


class Synthesis(nn.Module):
    """From one latent a layer to an image, by blocks of 4², 8², ... ``side``².

    Args:
        side: of the image, pixels, a power of two. colours: its channels. styles: length of a latent.
        base, most: a block of side n has min(base / n, most) channels.
    """

    def __init__(self, side: int, colours: int, styles: int, base: int, most: int) -> None:
        super().__init__()
        self.sides = [START << k for k in range(side.bit_length() - START.bit_length() + 1)]
        if self.sides[-1] != side or side < 8 * START:
            raise ValueError(f"a synthesis network has a side of 32, 64, ..., not {side}")
        widths = [min(base // n, most) for n in self.sides]
        self.add_module(f"b{START}", StartBlock(widths[0], styles, colours))
        for n, before, width in zip(self.sides[1:], widths, widths[1:], strict=False):
            self.add_module(f"b{n}", SkipBlock(before, width, styles, n, colours))

    @property
    def latents(self) -> int:
        """Number of latents: one a layer, and the last colour's."""
        return 2 * len(self.sides)

    def forward(
        self,
        ws: Float[Tensor, "b n s"],
        noise: Noise = "random",
        conditions: Mapping[int, Condition] | None = None,
        blends: Sequence[Tensor] = (),
        last: int | None = None,
    ) -> FeaturePyramid:
        """Generate an image and its feature maps.

        Args:
            ws: latents; a block of two layers uses three, of which the colour's is the next block's first.
            conditions: scale and shift of the last channels between a block's layers, by the block's side.
            blends: images that are laid over the skip image at an eighth of the side and over the features
                after the blocks from there to half the side; their last channel is the opacity.
            last: side of the last block to compute, which gives the image; by default all.
        """
        conditions = conditions or {}
        first = len(self.sides) - 4
        skip, maps = ws.new_zeros(0), []
        x, rgb = self.get_submodule(f"b{START}")(ws[:, :2], noise)
        for k, n in enumerate(self.sides):
            if k:
                block = self.get_submodule(f"b{n}")
                x, rgb = block(x, rgb, ws[:, 2 * k - 1 : 2 * k + 2], noise, conditions.get(n))
            level = k - first
            if level < 0:
                continue
            if level == 0:
                rgb = skip = lay_over(rgb, blends[0]) if blends else rgb
            if blends and level < 3:
                x = lay_over(x, blends[1 + level])
            maps.append(x)
            if n == last:
                break
        return FeaturePyramid(skip, maps, rgb)


class StyleBackbone(nn.Module):
    """A synthesis network and the mapping network that the published generator has for each of them."""

    def __init__(self, mapping: MappingNetwork, synthesis: Synthesis) -> None:
        super().__init__()
        self.synthesis = synthesis
        self.mapping = mapping


def lay_over(below: Float[Tensor, "b c h w"], above: Float[Tensor, "b c1 h w"]) -> Float[Tensor, "b c h w"]:
    """Lay an image over features; its last channel is its opacity."""
    alpha = above[:, -1:]
    return above[:, :-1] * alpha + below * (1 - alpha)
