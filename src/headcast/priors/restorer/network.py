"""The bundled restorer: a compact residual U-Net that works on a quarter of the image's resolution."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad, pixel_shuffle, pixel_unshuffle

__all__ = ["MULTIPLE", "ResidualBlock", "Restorer"]

UNSHUFFLE = 4
MULTIPLE = 16
"""Sides are padded to multiples of this inside the network."""
SLOPE = 0.1
GAINS = (0.5, 8.0, 2.0)
"""What block frequencies are multiplied by: the mean; others, and so much more for each step of frequency."""
RESIDUAL = 0.1
"""What the network's output of 1 means, in display values from -1 to 1."""


class ResidualBlock(nn.Module):
    """x + conv(leaky ReLU(conv(x))), two 3x3 convolutions; the second starts small, so depth does no harm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.conv1.weight, SLOPE, nonlinearity="leaky_relu")
        nn.init.normal_(self.conv2.weight, std=0.4 / (9 * width) ** 0.5)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return features of the same shape."""
        return x + self.conv2(leaky_relu(self.conv1(x), SLOPE))


class Restorer(nn.Module):
    """Network from image to image of the same size: the input plus a residual, zero before training.

    Blocks of 4x4 pixels become 48 channels (the inverse of sub-pixel convolution, Shi et al. 2016, section
    3.2), so that a 4x upsampled image is worked on at the resolution of its content; as DCT coefficients of
    about equal variance, because neighbouring pixels are nearly equal and a network learns slowly from
    that. Two levels below widen the receptive field. The last layer gets the
    input itself too: linear filters need not be learned through the features.

    Args:
        widths: channels at 1/4, 1/8 and 1/16 of the image's side.
        blocks: residual blocks at each level; the first two levels have them on the way down and up, the
            first one more there.
    """

    def __init__(
        self, widths: tuple[int, int, int] = (48, 64, 96), blocks: tuple[int, int, int] = (1, 2, 2)
    ) -> None:
        super().__init__()
        a, b, c = widths
        channels = 3 * UNSHUFFLE**2
        self.basis: Tensor
        self.gains: Tensor
        basis, gains = block_dct()
        self.register_buffer("basis", basis, persistent=False)
        self.register_buffer("gains", gains, persistent=False)
        self.enter = nn.Conv2d(channels, a, 3, padding=1)
        self.fine_in, self.fine_out = stack(a, blocks[0]), stack(a, blocks[0] + 1)
        self.down1 = nn.Conv2d(a, b, 2, stride=2)
        self.middle_in, self.middle_out = stack(b, blocks[1]), stack(b, blocks[1])
        self.down2 = nn.Conv2d(b, c, 2, stride=2)
        self.coarse = stack(c, blocks[2])
        self.up2 = nn.Conv2d(c, 4 * b, 1)
        self.up1 = nn.Conv2d(b, 4 * a, 1)
        self.leave = nn.Conv2d(a + channels, channels, 3, padding=1)
        for p in self.leave.parameters():
            nn.init.zeros_(p)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Restore images of any size; display values in [-1, 1], the result is not clamped."""
        h, w = x.shape[-2:]
        room = (0, -w % MULTIPLE, 0, -h % MULTIPLE)
        out = self.leave(self.features(pad(x, room, mode="replicate"))).unflatten(1, (3, -1)) * RESIDUAL
        residual = torch.einsum("fp,bcfhw->bcphw", self.basis, out).flatten(1, 2)
        return x + pixel_shuffle(residual, UNSHUFFLE)[..., :h, :w]

    def features(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h4 w4"]:
        """Return the last layer's input; sides are multiples of 16."""
        inputs = (self.frequencies(x) * self.gains).flatten(1, 2)
        fine = self.fine_in(self.enter(inputs))
        middle = self.middle_in(self.down1(fine))
        coarse = self.coarse(self.down2(middle))
        middle = self.middle_out(middle + pixel_shuffle(self.up2(coarse), 2))
        fine = self.fine_out(fine + pixel_shuffle(self.up1(middle), 2))
        return torch.cat([fine, inputs], 1)

    def coefficients(self, residual: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h4 w4"]:
        """Return the last layer's output that gives a residual."""
        return self.frequencies(residual).flatten(1, 2) / RESIDUAL

    def frequencies(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 f h4 w4"]:
        """Return the DCT coefficients of blocks."""
        blocks = pixel_unshuffle(x, UNSHUFFLE).unflatten(1, (3, -1))
        return torch.einsum("fp,bcphw->bcfhw", self.basis, blocks)


def block_dct() -> tuple[Float[Tensor, "16 16"], Float[Tensor, "16 1 1"]]:
    """Return the orthonormal DCT-II of 4x4 pixels (rows: frequencies), and the frequencies' gains."""
    n = UNSHUFFLE
    k, i = torch.arange(n)[:, None], torch.arange(n)
    line = torch.cos(math.pi * (2 * i + 1) * k / (2 * n)) * math.sqrt(2 / n)
    line[0] /= math.sqrt(2)
    frequency = (k + i).flatten().float()
    mean, others, more = GAINS
    gains = torch.where(frequency == 0, torch.full_like(frequency, mean), others + more * frequency)
    return torch.kron(line, line), gains[:, None, None]


def stack(width: int, count: int) -> nn.Sequential:
    """Make residual blocks in a row."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))
