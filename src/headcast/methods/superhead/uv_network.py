"""The UV restorer: a U-Net over the head's UV that predicts detail and Gaussian residuals; zero at first."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle

from headcast.nets.hashgrid import HashGrid
from headcast.nets.unet import UNet

__all__ = ["CHANNELS", "UVRestorer"]

CHANNELS = 6
"""Of the output: log albedo (3), logit of opacity, log scale, offset along the normal."""
WIDTHS, BLOCKS = (16, 24, 32, 48), (1, 1, 1, 1)


class UVRestorer(nn.Module):
    """Residuals in UV from what is known of a low-resolution head there.

    Args:
        into: channels of the input maps besides the UV coordinates, which a hash grid encodes.
    """

    def __init__(self, into: int) -> None:
        super().__init__()
        self.place = HashGrid(levels=4, features=2, coarsest=8, finest=128, log2_size=14)
        self.net = UNet(into + self.place.channels, WIDTHS, BLOCKS, 4 * CHANNELS)
        nn.init.zeros_(self.net.out.weight)
        assert self.net.out.bias is not None
        nn.init.zeros_(self.net.out.bias)

    def forward(self, maps: Float[Tensor, "b c s s"]) -> Float[Tensor, "b 6 s s"]:
        """Return residual maps of the input's (even) side."""
        side = maps.shape[-1]
        axis = (torch.arange(side, device=maps.device) + 0.5) / side
        uv = torch.stack(torch.meshgrid(axis, axis, indexing="xy"))[None]
        places = self.place(uv).expand(len(maps), -1, -1, -1)
        return pixel_shuffle(self.net(torch.cat([maps, places], 1)), 2)
