"""Backgrounds: gradients, clouds of noise, blurred shapes, plain studio colours. Linear colour."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate as resize

from headcast.synth.rng import CounterRng

__all__ = ["draw_backgrounds"]

SHAPES, TILE = 7, 256


def draw_backgrounds(rng: CounterRng, size: int) -> Float[Tensor, "n h h 3"]:
    """Sample one background (linear colour) per row of the rng, as blurred as out-of-focus ones are."""
    n = len(rng.rows)
    low = rng.uniform("bg 2", 3, 2, 2)
    cloud = sum(
        resize(
            rng.normal(f"bg {k}", 1, k, k) + 0.22 * rng.normal(f"bg hue {k}", 3, k, k),
            size=(64, 64),
            mode="bicubic",
            align_corners=True,
        )
        * (2.2 / k)
        for k in (3, 5, 11, 23)
    )
    base = rng.uniform("bg base", 3)
    level = rng.uniform("bg level") ** 1.6
    grey = base.mean(1, keepdim=True)
    tint = (grey + (base - grey) * (rng.uniform("bg colour") ** 2)[:, None]) * level[:, None]
    image = tint[..., None, None].expand(n, 3, 64, 64)
    low = low.mean(1, keepdim=True) * 0.75 + low * 0.25
    gradient = resize(low, size=(64, 64), mode="bilinear", align_corners=True)
    use = [rng.uniform(f"bg use {k}")[:, None, None, None] for k in range(3)]
    image = image * (1 - use[0] * 0.8) + gradient * level[:, None, None, None] * use[0] * 0.8
    image = image * torch.exp(cloud * (use[1] > 0.4))
    image = composite_shapes(image, rng, level, use[2][:, 0, 0, 0] > 0.3)
    image = resize(image, size=(size, size), mode="bicubic", align_corners=True)
    grain = rng.uniform("bg grain")[:, None, None, None] * 0.05
    return (image * (1 + grain * grains(rng, size))).clamp(0.001, 1).permute(0, 2, 3, 1)


def composite_shapes(
    image: Float[Tensor, "n 3 64 64"],
    rng: CounterRng,
    level: Float[Tensor, " n"],
    has_shapes: Bool[Tensor, " n"],
) -> Float[Tensor, "n 3 64 64"]:
    """Composite blurred boxes and ellipses over images that have shapes; ``level``: their brightness."""
    y, x = torch.meshgrid(*(torch.linspace(0, 1, 64, device=rng.device),) * 2, indexing="ij")
    shapes = rng.uniform("shapes", SHAPES, 9)
    for k in range(SHAPES):
        cx, cy, rx, ry, angle, soft, *colour = shapes[:, k].unbind(-1)
        there = has_shapes & (rng.uniform(f"shape {k}") < 0.6)
        c, s = (angle * 3.1416).cos()[:, None, None], (angle * 3.1416).sin()[:, None, None]
        dx, dy = x - cx[:, None, None], y - cy[:, None, None]
        u = (c * dx + s * dy).abs() / (0.06 + 0.5 * rx[:, None, None] ** 2)
        v = (c * dy - s * dx).abs() / (0.06 + 0.5 * ry[:, None, None] ** 2)
        box = torch.where((soft > 0.5)[:, None, None], torch.maximum(u, v), (u * u + v * v).sqrt())
        edge = (0.05 + 0.6 * soft)[:, None, None]
        mask = ((1 - box) / edge + 0.5).clamp(0, 1) * there[:, None, None]
        tone = torch.stack(colour, 1)[..., None, None] ** 1.5
        tone = (0.6 * tone.mean(1, keepdim=True) + 0.4 * tone) * (0.25 + level[:, None, None, None])
        image = image + (tone - image) * mask[:, None] * 0.85
    return image


@cache
def tile(device: torch.device) -> Float[Tensor, "t t"]:
    """Return one square of white noise; each use takes another part of it."""
    return CounterRng(np.arange(TILE, dtype=np.int64)[:, None], 0, device).normal("grain", TILE)


def grains(rng: CounterRng, size: int) -> Float[Tensor, "n 1 h h"]:
    """Sample film grain of two pixels at 256², as coarse in other sizes."""
    start = (rng.uniform("grain", 2) * TILE).long()
    step = torch.arange(size, device=rng.device) * 128 // size
    rows, columns = ((start[:, k, None] + step) % TILE for k in range(2))
    return tile(rng.device)[rows[:, :, None], columns[:, None, :]][:, None]
