"""Texture sampling. Texel centres at +0.5.

Uv in 0..1 with the origin at the top left (glTF).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Filter", "Pyramid", "mip_levels", "sample_texture"]

Filter = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class Pyramid:
    """A mip pyramid of a texture, made once and used for many renderings.

    Attributes:
        levels: (Ht, Wt, C) values in 0..1, then half the size and so on; C is 3, or 4 with coverage.
    """

    levels: tuple[Tensor, ...]

    @staticmethod
    def make(texture: Float[Tensor, "ht wt c"]) -> Pyramid:
        """Build the pyramid of a texture and all its mip levels."""
        return Pyramid((texture, *mip_levels(texture)))

    def copy(self) -> Pyramid:
        """Return a copy that may be modified in place."""
        return Pyramid(tuple(level.clone() for level in self.levels))

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height of the texture."""
        return self.levels[0].shape[1], self.levels[0].shape[0]

    @cached_property
    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """Pack for kernels: all levels as float32 RGBA (n, 4) one after the other.

        (levels, 3) of offset, width, height.
        """
        sizes = [(level.shape[1], level.shape[0]) for level in self.levels]
        ends = np.cumsum([w * h for w, h in sizes])
        texels = np.ones((int(ends[-1]), 4), np.float32)
        for level, end, (w, h) in zip(self.levels, ends, sizes, strict=True):
            channels = level.shape[2]
            texels[end - w * h : end, :channels] = level.detach().reshape(-1, channels).numpy()
        return texels, np.array([(e - w * h, w, h) for e, (w, h) in zip(ends, sizes, strict=True)], np.int64)


def sample_texture(
    texture: Float[Tensor, "ht wt c"],
    uv: Float[Tensor, "*b 2"],
    *,
    mode: Filter = "bilinear",
    levels: list[Tensor] | None = None,
    lod: Float[Tensor, "*b"] | None = None,
) -> Float[Tensor, "*b c"]:
    """Sample colours at uv, edges repeated outwards; differentiable in the texture and in uv.

    Args:
        mode: ``bicubic`` is Catmull-Rom: sharper, may overshoot.
        levels: the texture's halvings from :func:`mip_levels`; then ``lod`` says, per point, which (0 is the
            texture itself, fractions blend two).
    """
    if levels is None or lod is None:
        return _lookup(texture, uv, mode)
    every = [texture, *levels]
    lod = lod.clamp(0, len(every) - 1)
    out = torch.zeros(*uv.shape[:-1], texture.shape[2], dtype=texture.dtype, device=texture.device)
    for i, level in enumerate(every):
        weight = (1 - (lod - i).abs()).clamp(min=0)
        there = weight > 0
        if bool(there.any()):
            out = out.masked_scatter(
                there[..., None], out[there] + weight[there][:, None] * _lookup(level, uv[there], mode)
            )
    return out


def mip_levels(texture: Float[Tensor, "ht wt c"], smallest: int = 8) -> list[Tensor]:
    """Return mip levels of a texture, averaging 2x2 texels, to a side of ``smallest`` or so; without itself.

    An odd side's last row or column counts twice.
    """
    levels, level = [], texture
    while min(level.shape[:2]) >= 2 * smallest:
        for axis in (0, 1):
            if level.shape[axis] % 2:
                level = torch.cat([level, level.narrow(axis, -1, 1)], axis)
        rows = level[::2] + level[1::2]
        level = (rows[:, ::2] + rows[:, 1::2]) * 0.25
        levels.append(level)
    return levels


def _lookup(texture: Tensor, uv: Tensor, mode: Filter) -> Tensor:
    height, width, channels = texture.shape
    x, y = uv[..., 0] * width - 0.5, uv[..., 1] * height - 0.5
    x0, y0 = x.detach().floor(), y.detach().floor()
    wx, wy = _weights(x - x0, mode), _weights(y - y0, mode)
    first = 0 if mode == "bilinear" else -1
    flat = texture.reshape(-1, channels)
    out = torch.zeros(*uv.shape[:-1], channels, dtype=texture.dtype, device=texture.device)
    for j, b in enumerate(wy):
        row = (y0.long() + first + j).clamp(0, height - 1) * width
        for i, a in enumerate(wx):
            column = (x0.long() + first + i).clamp(0, width - 1)
            out = out + (a * b)[..., None].to(texture.dtype) * flat[row + column]
    return out


def _weights(t: Tensor, mode: Filter) -> list[Tensor]:
    if mode == "bilinear":
        return [1 - t, t]
    t2, t3 = t * t, t * t * t
    return [(2 * t2 - t3 - t) / 2, (3 * t3 - 5 * t2 + 2) / 2, (4 * t2 - 3 * t3 + t) / 2, (t3 - t2) / 2]
