"""The bundled face parser: region labels and the person's coverage of a square about the face.

A coarse matte of another network may guide it, as in mask-guided matting (Yu et al. 2021).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle

from headcast.nets.unet import UNet
from headcast.synth.config import LABELS

__all__ = ["SIDE", "FaceParser"]

SIDE = 256
"""Pixels of the square that a parser looks at, unless it was trained for another size."""


class FaceParser(nn.Module):
    """A U-Net over a square image in -1..1; labels are those of ``headcast.synth``.

    Args:
        widths: channels at 1/2 .. 1/32 of the side. blocks: residual blocks at each.
        side: pixels of the square that it is trained for; kept with the weights.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (16, 32, 64, 128, 192),
        blocks: tuple[int, ...] = (0, 1, 1, 1, 2),
        side: int = SIDE,
    ) -> None:
        super().__init__()
        self.side: Tensor
        self.register_buffer("side", torch.tensor(float(side)))
        self.labels = LABELS
        self.body = UNet(4, widths, blocks, len(LABELS) + 4)

    def forward(
        self, x: Float[Tensor, "b 3 h w"], guide: Float[Tensor, "b h w"] | None = None
    ) -> tuple[Float[Tensor, "b k i j"], Float[Tensor, "b h w"]]:
        """Return logits of the labels at half the side, and of coverage at the whole side.

        Args:
            guide: coarse coverage, -1 none to 1 full; 0 where nothing is known. None: nowhere.
        """
        guide = torch.zeros_like(x[:, 0]) if guide is None else guide
        y = self.body(torch.cat([x, guide[:, None]], 1))
        alpha = pixel_shuffle(y[:, -4:], 2)[:, 0, : x.shape[-2], : x.shape[-1]]
        return y[:, :-4], alpha

    @torch.no_grad()
    def parse(
        self, x: Float[Tensor, "b 3 h w"], guide: Float[Tensor, "b h w"] | None = None
    ) -> tuple[Float[Tensor, "b k h w"], Float[Tensor, "b h w"]]:
        """Return probabilities of the labels and coverage 0..1 at the image's size, of an image in -1..1."""
        labels, alpha = self(x, guide)
        labels = interpolate(labels, x.shape[-2:], mode="bilinear")
        return labels.softmax(1), alpha.sigmoid()
