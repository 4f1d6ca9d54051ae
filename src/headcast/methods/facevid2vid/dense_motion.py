"""Dense motion (Wang et al. 2021): from keypoint flows to one flow field and an occlusion mask."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import grid_sample, relu

from headcast.methods.facevid2vid.blocks import ConvNormBlock, single_precision, volume_grid
from headcast.methods.facevid2vid.config import NetworkSizes

__all__ = ["DenseMotion", "Flow", "warp_volume"]

VARIANCE = 0.01
"""Of the keypoints' Gaussian heat maps, in the volume's coordinates."""


class Flow(NamedTuple):
    """Where every voxel's content comes from, the shares of the keypoints' flows in it, and visibility.

    Attributes:
        deformation: positions to sample the source's volume at.
        mask: share of each keypoint's flow, the background's first; sums to 1.
        occlusion: 0 hidden in the source to 1 visible, over the image plane.
    """

    deformation: Float[Tensor, "b d h w 3"]
    mask: Float[Tensor, "b n d h w"]
    occlusion: Float[Tensor, "b 1 h w"]


class Levels(nn.Module):
    """A list of blocks that the published code keeps under one more name."""

    def __init__(self, kind: str, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.add_module(kind, nn.ModuleList(blocks))


class MotionUNet(nn.Module):
    """U-Net over a volume whose depth stays; every level's features are appended on the way up."""

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        befores = (inputs, *widths)
        down = [ConvNormBlock(3, a, b, resize="down") for a, b in pairwise(befores)]
        up: list[nn.Module] = []
        before = widths[-1]
        for k in range(len(widths) - 1, -1, -1):
            after = widths[k - 1] if k else widths[0] // 2
            up.append(ConvNormBlock(3, before, after, resize="up"))
            before = after + befores[k]
        self.encoder, self.decoder = Levels("down_blocks", [*down]), Levels("up_blocks", up)
        self.decoder.add_module("conv", nn.Conv3d(before, before, 3, padding=1))
        self.decoder.add_module("norm", nn.BatchNorm3d(before))
        self.outputs = before

    def forward(self, x: Float[Tensor, "b i d h w"]) -> Float[Tensor, "b o d h w"]:
        """Compute features of the same size."""
        levels = [x]
        for block in self.encoder.get_submodule("down_blocks").children():
            levels.append(block(levels[-1]))
        x = levels.pop()
        for block in self.decoder.get_submodule("up_blocks").children():
            x = torch.cat([block(x), levels.pop()], 1)
        conv, norm = self.decoder.get_submodule("conv"), self.decoder.get_submodule("norm")
        return relu(norm(conv(x)))


class DenseMotion(nn.Module):
    """Network from the source's volume and two sets of keypoints to a flow field."""

    def __init__(self, config: NetworkSizes) -> None:
        super().__init__()
        slots, c, d = config.keypoints + 1, config.compressed, config.volume_depth
        self.compress, self.norm = nn.Conv3d(config.volume_channels, c, 1), nn.BatchNorm3d(c)
        self.hourglass = MotionUNet(slots * (c + 1), config.motion_widths)
        self.mask = nn.Conv3d(self.hourglass.outputs, slots, 7, padding=3)
        self.occlusion = nn.Conv2d(self.hourglass.outputs * d, 1, 7, padding=3)

    def forward(
        self,
        volume: Float[Tensor, "b c d h w"],
        source: Float[Tensor, "b k 3"],
        driving: Float[Tensor, "b k 3"],
    ) -> Flow:
        """Estimate the flow from driving to source keypoints."""
        small = relu(self.norm(self.compress(volume)))
        flows = keypoint_flows(small.float(), source, driving)
        n = flows.shape[1]
        warped = warp_volume(small.repeat_interleave(n, 0), flows.flatten(0, 1)).unflatten(0, (-1, n))
        heat = heatmaps(small.float(), driving) - heatmaps(small.float(), source)
        heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], 1)
        x = self.hourglass(torch.cat([heat[:, :, None], warped], 2).flatten(1, 2))
        mask = self.mask(x).float().softmax(1)
        with single_precision(mask):
            deformation = torch.einsum("bndhw,bndhwc->bdhwc", mask, flows)
        return Flow(deformation, mask, self.occlusion(x.flatten(1, 2)).sigmoid())


def keypoint_flows(
    volume: Float[Tensor, "b c d h w"], source: Float[Tensor, "b k 3"], driving: Float[Tensor, "b k 3"]
) -> Float[Tensor, "b n d h w 3"]:
    """Compute the sampling positions of n = k + 1 flows: still, then each keypoint's own translation."""
    grid = volume_grid(*volume.shape[2:], like=volume)
    shift = torch.cat([torch.zeros_like(source[:, :1]), source - driving], 1)
    return grid + shift[:, :, None, None, None]


def heatmaps(
    volume: Float[Tensor, "b c d h w"], keypoints: Float[Tensor, "b k 3"]
) -> Float[Tensor, "b k d h w"]:
    """Compute a Gaussian about each keypoint, 1 at the keypoint."""
    grid = volume_grid(*volume.shape[2:], like=volume)
    squared = (grid - keypoints[:, :, None, None, None]).square().sum(-1)
    return torch.exp(-squared / (2 * VARIANCE))


def warp_volume(
    volume: Float[Tensor, "b c d h w"], positions: Float[Tensor, "b d h w 3"]
) -> Float[Tensor, "b c d h w"]:
    """Sample a volume at positions, trilinear, zero beyond it.

    The published implementation samples with cell-aligned corners at positions of a corner-aligned grid, so
    that positions of the grid itself do not give the volume back exactly; its weights know that.
    """
    return grid_sample(volume.to(positions), positions, align_corners=False)
