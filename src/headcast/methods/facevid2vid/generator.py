"""Appearance extractor, warping and generator (Wang et al. 2021), with either of two decoders.

``original`` is the paper's; ``spade`` that of the later published weights, whose decoder normalizes by the
warped features (``nets.spade``).
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from headcast.methods.facevid2vid.blocks import ConvNormBlock, ResBlock, conv, named
from headcast.methods.facevid2vid.config import NetworkSizes
from headcast.methods.facevid2vid.dense_motion import DenseMotion, Flow, warp_volume
from headcast.nets.spade import SpadeResBlock

__all__ = ["Generated", "Generator"]

SLOPE = 0.2
"""Of the SPADE decoder's last leaky ReLU."""
WARPED_SLOPE = 0.01
"""Of the leaky ReLU behind the warped volume."""


class Generated(NamedTuple):
    """The generated image, 0..1, and the flow behind it."""

    image: Float[Tensor, "b 3 h w"]
    flow: Flow


class SpadeDecoder(nn.Module):
    """Residual blocks normalized by the feature map that comes in, and two enlargements."""

    def __init__(self, inputs: int, width: int, hidden: int, blocks: int, narrow: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(inputs, width, 3, padding=1)
        for k in range(blocks):
            self.add_module(f"G_middle_{k}", SpadeResBlock(width, width, inputs, hidden))
        self.up_0 = SpadeResBlock(width, inputs, inputs, hidden)
        self.up_1 = SpadeResBlock(inputs, narrow, inputs, hidden)
        self.conv_img = nn.Conv2d(narrow, 3, 3, padding=1)
        self.blocks = blocks

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h4 w4"]:
        """Compute the image, 0..1, four times as high and wide."""
        x = self.fc(features)
        for k in range(self.blocks):
            x = self.get_submodule(f"G_middle_{k}")(x, features)
        x = self.up_0(interpolate(x, scale_factor=2.0, mode="nearest"), features)
        x = self.up_1(interpolate(x, scale_factor=2.0, mode="nearest"), features)
        return self.conv_img(leaky_relu(x, SLOPE)).sigmoid()


class Generator(nn.Module):
    """Network from a source image and two sets of keypoints to the image of the driven head."""

    def __init__(self, config: NetworkSizes) -> None:
        super().__init__()
        a, b, c = config.image_widths
        self.depth, flat = config.volume_depth, config.volume_channels * config.volume_depth
        is_spade = config.decoder == "spade"
        self.first = ConvNormBlock(2, 3, a, 3 if is_spade else 7)
        self.down_blocks = named(
            [ConvNormBlock(2, a, b, resize="down"), ConvNormBlock(2, b, c, resize="down")], "{}"
        )
        self.second = nn.Conv2d(c, flat, 1)
        blocks = (ResBlock(3, config.volume_channels) for _ in range(config.blocks))
        self.resblocks_3d = named(blocks, "3dr{}")
        self.dense_motion_network = DenseMotion(config)
        self.third, self.fourth = ConvNormBlock(2, flat, c, slope=WARPED_SLOPE), nn.Conv2d(c, c, 1)
        self.is_spade = is_spade
        if is_spade:
            self.decoder = SpadeDecoder(c, config.spade_width, config.spade_hidden, config.blocks, a)
        else:
            self.resblocks_2d = named((ResBlock(2, c) for _ in range(config.blocks)), "2dr{}")
            self.up_blocks = named(
                [ConvNormBlock(2, c, b, resize="up"), ConvNormBlock(2, b, a, resize="up")], "{}"
            )
            self.final = conv(2, a, 3, 7)

    def forward(
        self, image: Float[Tensor, "b 3 h w"], source: Float[Tensor, "b k 3"], driving: Float[Tensor, "b k 3"]
    ) -> Generated:
        """Drive an image, 0..1, from its own keypoints to others."""
        return self.drive(self.appearance(image), source, driving)

    def appearance(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c d h2 w2"]:
        """Extract the appearance volume of a source image, 0..1; one serves all its frames."""
        flat = self.second(self.down_blocks(self.first(image)))
        return self.resblocks_3d(flat.unflatten(1, (-1, self.depth)))

    def drive(
        self,
        volume: Float[Tensor, "b c d h w"],
        source: Float[Tensor, "b k 3"],
        driving: Float[Tensor, "b k 3"],
    ) -> Generated:
        """Generate the image of an appearance volume whose keypoints move from source to driving."""
        flow = self.dense_motion_network(volume, source, driving)
        warped = warp_volume(volume, flow.deformation).flatten(1, 2)
        features = self.fourth(self.third(warped)) * flow.occlusion
        if self.is_spade:
            return Generated(self.decoder(features), flow)
        return Generated(self.final(self.up_blocks(self.resblocks_2d(features))).sigmoid(), flow)
