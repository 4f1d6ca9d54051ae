"""The canonical keypoint detector L (Wang et al. 2021): 3D keypoints of a face at rest.

They do not depend on the pose or expression in the image, which ``pose`` adds.
"""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from headcast.methods.facevid2vid.blocks import (
    AntiAliasDownsample,
    ConvNormBlock,
    conv,
    named,
    single_precision,
    volume_grid,
)
from headcast.methods.facevid2vid.config import NetworkSizes

__all__ = ["KeypointDetector"]

TEMPERATURE = 0.1
"""Logits are divided by it before the softmax over voxels."""


class VolumeHourglass(nn.Module):
    """Encoder of an image and decoder of a volume, without connections between them."""

    def __init__(self, config: NetworkSizes) -> None:
        super().__init__()
        widths = config.keypoint_widths
        self.depth = config.volume_depth
        self.down_blocks = named(
            (ConvNormBlock(2, a, b, resize="down") for a, b in pairwise((3, *widths))), "down{}"
        )
        self.conv = nn.Conv2d(widths[-1], widths[-1] * self.depth, 1)
        after = (*widths[::-1], config.volume_channels)
        self.up_blocks = named((ConvNormBlock(3, a, b, resize="up") for a, b in pairwise(after)), "up{}")

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c d h w"]:
        """Compute a volume of features as high and wide as the image."""
        flat = self.conv(self.down_blocks(x))
        return self.up_blocks(flat.unflatten(1, (-1, self.depth)))


class KeypointDetector(nn.Module):
    """Network from an image, 0..1, to keypoints in the volume's coordinates (see ``volume_grid``)."""

    def __init__(self, config: NetworkSizes) -> None:
        super().__init__()
        self.predictor = VolumeHourglass(config)
        self.kp = conv(3, config.volume_channels, config.keypoints, 3)
        if config.reduction > 1:
            self.down = AntiAliasDownsample(3, config.reduction)
        self.reduction = config.reduction

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k 3"]:
        """Detect keypoints: the mean position over the voxels, weighted by a softmax."""
        x = self.down(image) if self.reduction > 1 else image
        logits = self.kp(self.predictor(x)).float() / TEMPERATURE
        grid = volume_grid(*logits.shape[2:], like=logits)
        with single_precision(logits):
            return logits.flatten(2).softmax(-1) @ grid.flatten(0, 2)
