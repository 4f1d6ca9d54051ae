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

COARSE = 64
"""Side of backgrounds before they are enlarged, which blurs them."""

SHAPES, TILE = 7, 256


def draw_backgrounds(rng: CounterRng, size: int) -> Float[Tensor, "n h h 3"]:
    """Sample one background (linear colour) per row of the rng, as blurred as out-of-focus ones are."""
    level = rng.uniform("bg level") ** 1.6
    use = [rng.uniform(f"bg use {k}")[:, None, None, None] for k in range(3)]
    image = studio_colour(rng, level)[..., None, None].expand(len(rng.rows), 3, COARSE, COARSE)
    image = image * (1 - use[0] * 0.8) + draw_gradient(rng) * level[:, None, None, None] * use[0] * 0.8
    image = image * torch.exp(draw_clouds(rng) * (use[1] > 0.4))
    image = composite_shapes(image, rng, level, use[2][:, 0, 0, 0] > 0.3)
    image = resize(image, size=(size, size), mode="bicubic", align_corners=True)
    grain = rng.uniform("bg grain")[:, None, None, None] * 0.05
    return (image * (1 + grain * grains(rng, size))).clamp(0.001, 1).permute(0, 2, 3, 1)


def studio_colour(rng: CounterRng, level: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """Sample plain colours of a brightness, mostly greyish."""
    base = rng.uniform("bg base", 3)
    grey = base.mean(1, keepdim=True)
    return (grey + (base - grey) * (rng.uniform("bg colour") ** 2)[:, None]) * level[:, None]


def draw_gradient(rng: CounterRng) -> Float[Tensor, "n 3 h h"]:
    """Sample gradients between the four corners' colours, which differ little in hue."""
    corners = rng.uniform("bg 2", 3, 2, 2)
    corners = corners.mean(1, keepdim=True) * 0.75 + corners * 0.25
    return resize(corners, size=(COARSE, COARSE), mode="bilinear", align_corners=True)


def draw_clouds(rng: CounterRng) -> Float[Tensor, "n 3 h h"]:
    """Sample the log of clouds: noise on four grids, the coarse ones strongest."""
    total = torch.zeros(len(rng.rows), 3, COARSE, COARSE, device=rng.device)
    for k in (3, 5, 11, 23):
        noise = rng.normal(f"bg {k}", 1, k, k) + 0.22 * rng.normal(f"bg hue {k}", 3, k, k)
        total = total + resize(noise, size=(COARSE, COARSE), mode="bicubic", align_corners=True) * (2.2 / k)
    return total


def composite_shapes(
    image: Float[Tensor, "n 3 h h"],
    rng: CounterRng,
    level: Float[Tensor, " n"],
    has_shapes: Bool[Tensor, " n"],
) -> Float[Tensor, "n 3 h h"]:
    """Composite blurred boxes and ellipses over images that have shapes; ``level``: their brightness."""
    shapes = rng.uniform("shapes", SHAPES, 9)
    for k in range(SHAPES):
        there = has_shapes & (rng.uniform(f"shape {k}") < 0.6)
        mask = shape_mask(shapes[:, k, :6]) * there[:, None, None]
        tone = shapes[:, k, 6:, None, None] ** 1.5
        tone = (0.6 * tone.mean(1, keepdim=True) + 0.4 * tone) * (0.25 + level[:, None, None, None])
        image = image + (tone - image) * mask[:, None] * 0.85
    return image


def shape_mask(shape: Float[Tensor, "n 6"]) -> Float[Tensor, "n h h"]:
    """Return coverage by a turned box or ellipse with a blurred edge.

    Args:
        shape: centre x and y, half axes, angle, softness (above one half: a box), each 0..1.
    """
    y, x = torch.meshgrid(*(torch.linspace(0, 1, COARSE, device=shape.device),) * 2, indexing="ij")
    cx, cy, rx, ry, angle, soft = (v[:, None, None] for v in shape.unbind(-1))
    c, s = (angle * 3.1416).cos(), (angle * 3.1416).sin()
    dx, dy = x - cx, y - cy
    u = (c * dx + s * dy).abs() / (0.06 + 0.5 * rx**2)
    v = (c * dy - s * dx).abs() / (0.06 + 0.5 * ry**2)
    distance = torch.where(soft > 0.5, torch.maximum(u, v), (u * u + v * v).sqrt())
    return ((1 - distance) / (0.05 + 0.6 * soft) + 0.5).clamp(0, 1)


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
