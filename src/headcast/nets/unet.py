"""A small U-Net (Ronneberger et al. 2015) whose finest level is half the image's resolution."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, pixel_unshuffle

from headcast.nets.residual import ConvNorm, Residual

__all__ = ["UNet"]


class UNet(nn.Module):
    """U-Net from an image to maps at half its side; sides need not be multiples of anything.

    2x2 pixels become channels, then every level halves the side; on the way up a level's maps are added to
    the enlarged ones from below. The lowest level adds its mean over the image, as global context.

    Args:
        into: channels of the image. widths: channels at 1/2, 1/4, ... of its side.
        blocks: residual blocks on the way down, one number a level.
        out: channels that come out.
    """

    def __init__(self, into: int, widths: Sequence[int], blocks: Sequence[int], out: int) -> None:
        super().__init__()
        if len(widths) != len(blocks):
            raise ValueError(f"{len(widths)} widths but {len(blocks)} numbers of blocks")
        self.multiple = 2 ** len(widths)
        befores = (4 * into, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(ConvNorm(a, b, 1 if i == 0 else 2), *(Residual(b) for _ in range(k)))
            for i, (a, b, k) in enumerate(zip(befores, widths, blocks, strict=True))
        )
        self.everywhere = nn.Linear(widths[-1], widths[-1])
        self.across = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(ConvNorm(a, a) for a in widths[:-1])
        self.out = nn.Conv2d(widths[0], out, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """Compute maps of (H + 1) // 2 by (W + 1) // 2."""
        h, w = x.shape[-2:]
        x = pad(x, (0, -w % self.multiple, 0, -h % self.multiple), mode="replicate")
        x = pixel_unshuffle(x, 2)
        levels = []
        for level in self.down:
            x = level(x)
            levels.append(x)
        x = x + self.everywhere(x.mean((2, 3)))[:, :, None, None]
        for across, up, skip in zip(
            reversed(self.across), reversed(self.up), reversed(levels[:-1]), strict=True
        ):
            x = up(skip + interpolate(across(x), skip.shape[-2:], mode="bilinear"))
        return self.out(x)[..., : (h + 1) // 2, : (w + 1) // 2]
