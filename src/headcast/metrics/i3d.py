"""I3D on RGB, for FVD, filled from the user's file with the names of pytorch-i3d (``rgb_imagenet.pt``).

J. Carreira, A. Zisserman, Quo vadis, action recognition?, CVPR 2017. FVD (T. Unterthiner et al., 2018)
takes the 400 logits. Published figures used a TensorFlow or TorchScript build of the same network, whose
resizing differs: compare only what one program measured.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, interpolate, max_pool3d, pad

from headcast.metrics.weightfile import fill, read_weights

__all__ = ["FRAMES", "I3D", "load_i3d"]

SIDE = 224
FRAMES = 16
"""Frames of a window."""

Triple = tuple[int, int, int]

MIXED = {
    "3b": (192, (64, 96, 128, 16, 32, 32)),
    "3c": (256, (128, 128, 192, 32, 96, 64)),
    "4b": (480, (192, 96, 208, 16, 48, 64)),
    "4c": (512, (160, 112, 224, 24, 64, 64)),
    "4d": (512, (128, 128, 256, 24, 64, 64)),
    "4e": (512, (112, 144, 288, 32, 64, 64)),
    "4f": (528, (256, 160, 320, 32, 128, 128)),
    "5b": (832, (256, 160, 320, 32, 128, 128)),
    "5c": (832, (384, 192, 384, 48, 128, 128)),
}
POOLS: dict[str, tuple[Triple, Triple]] = {"4b": ((3, 3, 3), (2, 2, 2)), "5b": ((2, 2, 2), (2, 2, 2))}
"""Kernel and stride of the max pools that come before a block."""


def pad_same(x: Float[Tensor, "b c t h w"], kernel: Triple, stride: Triple) -> Float[Tensor, "b c t2 h2 w2"]:
    """Pad with zeros as TensorFlow's 'same' padding does: the odd one behind."""
    room: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max(k - (s if size % s == 0 else size % s), 0)
        room += [total // 2, total - total // 2]
    return pad(x, room)


def max_pool(x: Float[Tensor, "b c t h w"], kernel: Triple, stride: Triple) -> Float[Tensor, "b c t2 h2 w2"]:
    """Max-pool with 'same' padding."""
    return max_pool3d(pad_same(x, kernel, stride), kernel, stride)


class Unit(nn.Module):
    """A layer of convolution, norm and ReLU."""

    def __init__(self, wide_in: int, wide: int, kernel: int, stride: int = 1, last: bool = False) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel, kernel, kernel), (stride, stride, stride)
        self.conv3d = nn.Conv3d(wide_in, wide, kernel, stride, bias=last)
        self.bn = None if last else nn.BatchNorm3d(wide, eps=0.001)

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d t2 h2 w2"]:
        """Apply convolution, norm and ReLU."""
        x = self.conv3d(pad_same(x, self.kernel, self.stride))
        return x if self.bn is None else self.bn(x).relu()


class Mixed(nn.Module):
    """An Inception block: four parallel paths, concatenated."""

    def __init__(self, wide_in: int, w: tuple[int, ...]) -> None:
        super().__init__()
        self.b0 = Unit(wide_in, w[0], 1)
        self.b1a, self.b1b = Unit(wide_in, w[1], 1), Unit(w[1], w[2], 3)
        self.b2a, self.b2b = Unit(wide_in, w[3], 1), Unit(w[3], w[4], 3)
        self.b3b = Unit(wide_in, w[5], 1)

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d t h w"]:
        """Apply all paths and concatenate their channels."""
        around = max_pool(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(around)], 1)


class I3D(nn.Module):
    """(b, 3, t, h, w) clips in -1..1, of at least nine frames, to (b, 400) logits, means over time."""

    def __init__(self, classes: int = 400) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        for name, (wide_in, widths) in MIXED.items():
            self.add_module(f"Mixed_{name}", Mixed(wide_in, widths))
        self.logits = Unit(1024, classes, 1, last=True)

    @torch.no_grad()
    def forward(self, x: Float[Tensor, "b 3 t h w"]) -> Float[Tensor, "b k"]:
        """Return the features of FVD; frames are resized to 224² by bilinear interpolation."""
        b, _, t = x.shape[:3]
        flat = x.transpose(1, 2).flatten(0, 1)
        flat = interpolate(flat, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
        x = flat.unflatten(0, (b, t)).transpose(1, 2)
        x = max_pool(self.Conv3d_1a_7x7(x), (1, 3, 3), (1, 2, 2))
        x = max_pool(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), (1, 3, 3), (1, 2, 2))
        for name in MIXED:
            if name in POOLS:
                x = max_pool(x, *POOLS[name])
            x = getattr(self, f"Mixed_{name}")(x)
        return self.logits(avg_pool3d(x, (2, 7, 7), 1)).mean((2, 3, 4))


def load_i3d(path: str | Path) -> tuple[I3D, str]:
    """Load the network of FVD and its name for tables.

    Raises:
        HeadcastError: the file is not pytorch-i3d's Kinetics network (TorchScript files are programs,
            refused).
    """
    network = I3D()
    fill(network, read_weights(path), path)
    return network, f"I3D Kinetics-400 ({Path(path).name})"
