"""Inception v3 as FID uses it, filled from the user's file (pytorch-fid's pt_inception-2015-12-05).

C. Szegedy et al., Rethinking the Inception architecture, CVPR 2016; M. Heusel et al., 2017. The FID network
has 1008 classes, leaves padding out of its mean pools, and takes a maximum instead of a mean in its last
block.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from headcast.errors import HeadcastError
from headcast.metrics.weightfile import fill, read_weights

__all__ = ["FidInception", "load_inception"]

SIDE = 299
CLASSES = 1008


class Conv(nn.Module):
    """Convolution without bias, norm, ReLU; 'same' padding unless it strides or ``pad`` is given."""

    def __init__(
        self, wide_in: int, wide: int, kernel: tuple[int, int], stride: int = 1, pad: bool = True
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if pad and stride == 1 else (0, 0)
        self.conv = nn.Conv2d(wide_in, wide, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(wide, eps=0.001)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Apply convolution, norm and ReLU."""
        return self.bn(self.conv(x)).relu()


Step = tuple[str, int, tuple[int, int], int]
"""Name, width, kernel, stride of a convolution."""
Path_ = tuple[tuple[Step, ...], tuple[Step, ...]]
"""Convolutions one after the other, then those that run side by side at the end."""

ONE, THREE, FIVE, WIDE, TALL = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)


def sequence(*steps: Step) -> Path_:
    """Describe a path without a fork."""
    return steps, ()


def block_a(pool: int) -> tuple[list[Path_], tuple[str, int]]:
    """Describe the 35x35 blocks."""
    return [
        sequence(("branch1x1", 64, ONE, 1)),
        sequence(("branch5x5_1", 48, ONE, 1), ("branch5x5_2", 64, FIVE, 1)),
        sequence(
            ("branch3x3dbl_1", 64, ONE, 1), ("branch3x3dbl_2", 96, THREE, 1), ("branch3x3dbl_3", 96, THREE, 1)
        ),
    ], ("mean", pool)


def block_b() -> tuple[list[Path_], tuple[str, int]]:
    """Describe the block from 35x35 to 17x17."""
    return [
        sequence(("branch3x3", 384, THREE, 2)),
        sequence(
            ("branch3x3dbl_1", 64, ONE, 1), ("branch3x3dbl_2", 96, THREE, 1), ("branch3x3dbl_3", 96, THREE, 2)
        ),
    ], ("halve", 0)


def block_c(c: int) -> tuple[list[Path_], tuple[str, int]]:
    """Describe the 17x17 blocks."""
    return [
        sequence(("branch1x1", 192, ONE, 1)),
        sequence(("branch7x7_1", c, ONE, 1), ("branch7x7_2", c, WIDE, 1), ("branch7x7_3", 192, TALL, 1)),
        sequence(
            ("branch7x7dbl_1", c, ONE, 1),
            ("branch7x7dbl_2", c, TALL, 1),
            ("branch7x7dbl_3", c, WIDE, 1),
            ("branch7x7dbl_4", c, TALL, 1),
            ("branch7x7dbl_5", 192, WIDE, 1),
        ),
    ], ("mean", 192)


def block_d() -> tuple[list[Path_], tuple[str, int]]:
    """Describe the block from 17x17 to 8x8."""
    return [
        sequence(("branch3x3_1", 192, ONE, 1), ("branch3x3_2", 320, THREE, 2)),
        sequence(
            ("branch7x7x3_1", 192, ONE, 1),
            ("branch7x7x3_2", 192, WIDE, 1),
            ("branch7x7x3_3", 192, TALL, 1),
            ("branch7x7x3_4", 192, THREE, 2),
        ),
    ], ("halve", 0)


def block_e(pool: str) -> tuple[list[Path_], tuple[str, int]]:
    """Describe the 8x8 blocks."""
    return [
        sequence(("branch1x1", 320, ONE, 1)),
        (
            (("branch3x3_1", 384, ONE, 1),),
            (("branch3x3_2a", 384, (1, 3), 1), ("branch3x3_2b", 384, (3, 1), 1)),
        ),
        (
            (("branch3x3dbl_1", 448, ONE, 1), ("branch3x3dbl_2", 384, THREE, 1)),
            (("branch3x3dbl_3a", 384, (1, 3), 1), ("branch3x3dbl_3b", 384, (3, 1), 1)),
        ),
    ], (pool, 192)


class InceptionBlock(nn.Module):
    """An Inception block: parallel paths and a pooled one, concatenated."""

    def __init__(self, wide_in: int, paths: list[Path_], pool: tuple[str, int]) -> None:
        super().__init__()
        self.paths, self.pool = paths, pool[0]
        self.width = pool[1] or wide_in
        for steps, fork in paths:
            last = wide_in
            for name, wide, kernel, stride in steps:
                self.add_module(name, Conv(last, wide, kernel, stride))
                last = wide
            for name, wide, kernel, stride in fork:
                self.add_module(name, Conv(last, wide, kernel, stride))
            self.width += sum(s[1] for s in fork) if fork else last
        if pool[1]:
            self.branch_pool = Conv(wide_in, pool[1], ONE)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Apply all paths and concatenate their channels."""
        found = []
        for steps, fork in self.paths:
            y = x
            for name, *_ in steps:
                y = getattr(self, name)(y)
            found += [getattr(self, name)(y) for name, *_ in fork] if fork else [y]
        if self.pool == "halve":
            found.append(max_pool2d(x, 3, 2))
        else:
            mean = self.pool == "mean"
            pooled = avg_pool2d(x, 3, 1, 1, count_include_pad=False) if mean else max_pool2d(x, 3, 1, 1)
            found.append(self.branch_pool(pooled))
        return torch.cat(found, 1)


class FidInception(nn.Module):
    """(b, 3, h, w) images in -1..1 to (b, 2048), resized to 299² by bilinear interpolation."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, THREE, 2)
        self.Conv2d_2a_3x3 = Conv(32, 32, THREE, pad=False)
        self.Conv2d_2b_3x3 = Conv(32, 64, THREE)
        self.Conv2d_3b_1x1 = Conv(64, 80, ONE)
        self.Conv2d_4a_3x3 = Conv(80, 192, THREE, pad=False)
        self.names: list[str] = []
        width = 192
        for name, (paths, pool) in {
            "Mixed_5b": block_a(32),
            "Mixed_5c": block_a(64),
            "Mixed_5d": block_a(64),
            "Mixed_6a": block_b(),
            "Mixed_6b": block_c(128),
            "Mixed_6c": block_c(160),
            "Mixed_6d": block_c(160),
            "Mixed_6e": block_c(192),
            "Mixed_7a": block_d(),
            "Mixed_7b": block_e("mean"),
            "Mixed_7c": block_e("max"),
        }.items():
            block = InceptionBlock(width, paths, pool)
            self.add_module(name, block)
            self.names.append(name)
            width = block.width
        self.fc = nn.Linear(width, classes)

    @torch.no_grad()
    def embed(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 2048"]:
        """Return the features of FID."""
        x = interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(max_pool2d(x, 3, 2)))
        x = max_pool2d(x, 3, 2)
        for name in self.names:
            x = getattr(self, name)(x)
        return x.mean((2, 3))


def load_inception(path: str | Path) -> tuple[FidInception, str]:
    """Load the network of FID and its name for tables.

    Raises:
        HeadcastError: another file, torchvision's own Inception (1000 classes) included: its FID is no FID.
    """
    tensors = read_weights(path)
    classes = tensors["fc.weight"].shape[0] if "fc.weight" in tensors else 0
    if classes != CLASSES:
        raise HeadcastError(
            f"{path}: not FID's Inception with {CLASSES} classes; give pytorch-fid's pt_inception file"
        )
    network = FidInception()
    fill(network, tensors, path, unused=("AuxLogits.",))
    return network, f"FID Inception v3 ({Path(path).name})"
