"""The bundled face parser: region labels and the person's coverage of a square about the face."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

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
        widths: tuple[int, ...] = (16, 24, 48, 96, 160),
        blocks: tuple[int, ...] = (0, 0, 1, 1, 1),
        side: int = SIDE,
    ) -> None:
        super().__init__()
        self.side: Tensor
        self.register_buffer("side", torch.tensor(float(side)))
        self.labels = LABELS
        self.body = UNet(3, widths, blocks, len(LABELS) + 1)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b k i j"], Float[Tensor, "b i j"]]:
        """Return logits of the labels and of coverage at half the side."""
        y = self.body(x)
        return y[:, :-1], y[:, -1]

    @torch.no_grad()
    def parse(self, x: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b k h w"], Float[Tensor, "b h w"]]:
        """Return probabilities of the labels and coverage 0..1 at the image's size, of an image in -1..1.

        They are averaged over the image and its mirror image (labels know no sides).
        """
        labels, alpha = self(torch.cat([x, x.flip(-1)]))
        y = torch.cat([labels, alpha[:, None]], 1)
        y = interpolate(y, x.shape[-2:], mode="bilinear")
        y = (y[: len(x)] + y[len(x) :].flip(-1)) / 2
        return y[:, :-1].softmax(1), y[:, -1].sigmoid()
