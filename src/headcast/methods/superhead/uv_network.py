"""The UV restorer: linear filters and a U-Net over the head's UV that predict detail; zero at first.

The filters are solved by least squares (``solve.py``), the U-Net adds to them what they cannot know.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import (
    avg_pool2d,
    conv2d,
    interpolate,
    leaky_relu,
    pad,
    pixel_shuffle,
    pixel_unshuffle,
)

from headcast.methods.superhead.uv_maps import LABELS
from headcast.nets.hashgrid import HashGrid
from headcast.weights import load_tensors, weights_path

__all__ = ["CHANNELS", "INPUTS", "WEIGHTS", "UVRestorer", "load_uv_restorer"]

CHANNELS = 6
"""Of the output: log albedo (3), logit of opacity, log scale, offset along the normal."""
INPUTS = 3 + 1 + 3 + len(LABELS)
"""Of the maps: albedo -1..1, confidence, normal, labels."""
WIDTHS, BLOCKS = (24, 48, 64, 96), (1, 1, 1, 2)
TAPS = 9
"""Texels of a side of the linear filters."""
EYES, MOUTH = ("lids", "brows", "sclera", "iris"), ("lips", "nose", "teeth")
"""Labels about which filters differ from the skin's."""
GATES = 5
DARKEST = 0.02  # albedo in display values below which logarithms end
SLOPE = 0.1  # of the leaky ReLU
SMALL = 0.1  # of a residual block's last convolution at first
WEIGHTS = "superhead-uv"
"""Name of the bundled weights."""


class Block(nn.Module):
    """x + two convolutions, without norm: what a crop says holds for the whole map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, 1, 1) for _ in range(2))
        with torch.no_grad():
            self.second.weight.mul_(SMALL)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Compute features of the same size."""
        return x + self.second(leaky_relu(self.first(x), SLOPE))


class UVRestorer(nn.Module):
    """Residuals in UV from what is known of a low-resolution head there.

    2x2 texels become channels, every further level halves the side. Latent maps enter by weights that are
    zero at first and have no gradient while latents are zero, as in training.
    """

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.zeros(GATES, 2, TAPS, TAPS))
        self.place = HashGrid(levels=4, features=2, coarsest=8, finest=128, log2_size=14)
        befores = (4 * (INPUTS + CHANNELS + self.place.channels), *WIDTHS[:-1])
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, 1 if k == 0 else 2, 1)
            for k, (a, b) in enumerate(zip(befores, WIDTHS, strict=True))
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Block(w) for _ in range(n))) for w, n in zip(WIDTHS, BLOCKS, strict=True)
        )
        self.across = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(WIDTHS))
        self.up = nn.ModuleList(Block(w) for w in WIDTHS[:-1])
        self.out = nn.Conv2d(WIDTHS[0], 4 * CHANNELS, 1)
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)
        first = self.down[0]
        assert isinstance(first, nn.Conv2d)
        with torch.no_grad():
            first.weight[:, 4 * INPUTS : 4 * (INPUTS + CHANNELS)] = 0

    def forward(
        self,
        maps: Float[Tensor, "b c h w"],
        corner: tuple[float, float] = (0.0, 0.0),
        side: int | None = None,
    ) -> Float[Tensor, "b 6 h w"]:
        """Return residual maps of the input's (even) sides.

        Args:
            maps: ``INPUTS`` channels and a latent of ``CHANNELS``.
            corner: upper left texel (x, y) of a crop. side: of the whole map; None: the input is whole.
        """
        h, w = maps.shape[-2:]
        side = side or w
        x, y = (
            (torch.arange(n, device=maps.device) + 0.5 + c) / side
            for n, c in zip((w, h), corner, strict=True)
        )
        uv = torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]
        places = self.place(uv).expand(len(maps), -1, -1, -1)
        filtered = self.filtered(maps)
        x = torch.cat([maps, places], 1)
        multiple = 2 ** len(WIDTHS)
        x = pixel_unshuffle(pad(x, (0, -w % multiple, 0, -h % multiple), mode="replicate"), 2)
        levels = []
        for down, blocks in zip(self.down, self.blocks, strict=True):
            x = blocks(leaky_relu(down(x), SLOPE))
            levels.append(x)
        for across, up, skip in zip(
            reversed(self.across), reversed(self.up), reversed(levels[:-1]), strict=True
        ):
            x = up(skip + interpolate(across(x), skip.shape[-2:], mode="bilinear"))
        found = pixel_shuffle(self.out(leaky_relu(x, SLOPE)), 2)[..., :h, :w]
        return torch.cat([found[:, :3] + filtered, found[:, 3:]], 1)

    def filtered(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h w"]:
        """Filter log albedo, each channel and the mean of all; filters depend on place and sharpness."""
        level = level_of(maps)
        gate = gates(maps, level)
        reach = TAPS // 2
        both = torch.cat([level, level.mean(1, keepdim=True)], 1)
        padded = pad(both, (reach, reach, reach, reach), mode="replicate")
        own = [conv2d(padded[:, k : k + 1], self.filters[:, :1]) for k in range(3)]
        mean = conv2d(padded[:, 3:], self.filters[:, 1:])
        return torch.stack([((o + mean) * gate).sum(1) for o in own], 1)


def level_of(maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h w"]:
    """Return the logarithm of the albedo (display values) of a network's input."""
    return (maps[:, :3] * 0.5 + 0.5).clamp(min=DARKEST).log()


def gates(maps: Float[Tensor, "b c h w"], level: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 5 h w"]:
    """Return the filters' weights: all, eyes, mouth and nose, and how much fine detail there is already."""
    eyes, mouth = (
        maps[:, [INPUTS - len(LABELS) + LABELS.index(n) for n in names]].sum(1, keepdim=True).clamp(max=1)
        for names in (EYES, MOUTH)
    )
    fine = local_mean(level, 3)
    coarse = local_mean(level, 7)
    ratio = local_mean((level - fine).abs().mean(1, keepdim=True), 15)
    ratio = ratio / (local_mean((fine - coarse).abs().mean(1, keepdim=True), 15) + 0.004)
    ratio = ratio.clamp(max=1.5)
    return torch.cat([torch.ones_like(eyes), eyes, mouth, ratio, ratio * eyes], 1)


def local_mean(x: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c h w"]:
    """Average squares of ``side`` about each texel."""
    return avg_pool2d(x, side, 1, side // 2, count_include_pad=False)


@cache
def load_uv_restorer() -> UVRestorer | None:
    """Load the bundled weights; None where the package has none."""
    if not weights_path(WEIGHTS).is_file():
        return None
    network = UVRestorer()
    network.load_state_dict({k: v.float() for k, v in load_tensors(WEIGHTS).tensors.items()})
    return network.eval()
