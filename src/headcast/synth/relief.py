"""The skin's fine relief in PBR mode: pores by region, wrinkles stretched along the skin's creases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, normalize, pad

from headcast.synth.atlas import Atlas, white_noise
from headcast.synth.fields import Fields
from headcast.synth.rng import CounterRng

__all__ = ["Relief", "make_relief", "remove_grain"]

SMEAR = 5
"""Texels to either side over which wrinkles are stretched, at textures of 1024."""
PITS = (190000, 0.0005)
WIDE_PITS = (25000, 0.0008)
"""Pores, and the wide ones of nose and cheeks: how many on a texture (some 2100 cm² of face: 90 and 12 per
cm²) and their radius as a fraction of its side (a face's texture of 1024 has texels of 0.45 mm: 0.1 to 0.35
and 0.17 to 0.55 mm, the small ones being more)."""
HAIRLINES = 2048
"""Cells across of the noise that fine wrinkles are made from: furrows 0.2 mm wide, as skin's are."""
GRAIN = 2e-4
"""Metres that the plain relief is smoothed by: its finest octave is noise from texel to texel."""
SHIFT = 0.01
"""By how much of the side each person's fine wrinkles are moved; pores anywhere."""


@dataclass(frozen=True)
class Relief:
    """Fine relief before any person is sampled, (H, W) each, 0..1.

    Attributes:
        fine, wide: depth of pores anywhere. dense, open: by how much they count where.
        lines: depth of directed wrinkles. skin: where there are any.
    """

    fine: Tensor
    wide: Tensor
    dense: Tensor
    open: Tensor
    lines: Tensor
    skin: Tensor

    def of(self, rng: CounterRng) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
        """Return the depth of each person's own pores and directed wrinkles."""
        size = self.fine.shape[0]
        shift, move = rng.uniform("pbr shift", 4), rng.uniform("pbr move", 2, low=-SHIFT, high=SHIFT)
        shift, move = ((x * size).long().tolist() for x in (shift, move))

        def tiled(x: Tensor, by: list[int]) -> Tensor:
            return repeat_down(x.roll((by[0], by[1]), (0, 1)), len(self.dense))

        pores = [
            (tiled(self.fine, s[:2]) * self.dense + 0.9 * tiled(self.wide, s[2:]) * self.open).clamp(max=1)
            for s in shift
        ]
        lines = [self.lines.roll((m[0], m[1]), (0, 1)) * self.skin for m in move]
        return torch.stack(pores), torch.stack(lines)


def repeat_down(tile: Float[Tensor, "w w"], height: int) -> Float[Tensor, "h w"]:
    """Repeat a tile downwards to the atlas's height."""
    return torch.cat([tile, tile[: height - len(tile)]])


def make_relief(atlas: Atlas, fields: Fields) -> Relief:
    """Make pits, dense and deep on nose and cheeks; wrinkles across the pull of muscles.

    Wrinkles run level on forehead and neck, about eyes and mouth in circles: noise is averaged along
    that direction (line integral convolution, Cabral and Leedom 1993).
    """
    device = atlas.position.device
    fine, wide = (
        pits(atlas.size, *many, name, device) for many, name in ((PITS, "pits"), (WIDE_PITS, "wide pits"))
    )
    skin = atlas.region["skin"] * (1 - atlas.region["lips"])
    open_ = (fields.nose + 0.6 * fields.blush).clamp(max=1)
    calm = 1 - 0.8 * (atlas.region["neck"] + atlas.region["shoulders"] + fields.lid).clamp(max=1)
    bare = skin * calm
    lines = smear_along(atlas, wrinkle_direction(atlas))
    return Relief(
        fine=fine,
        wide=wide,
        dense=(0.35 + 0.65 * fields.pores) * bare,
        open=open_ * bare,
        lines=lines,
        skin=skin,
    )


def pits(size: int, count: int, radius: float, name: str, device: torch.device) -> Float[Tensor, "h h"]:
    """Make round hollows, 0..1; those smaller than a texel are as much shallower as they fill less of it."""
    rng = CounterRng(np.zeros((1, 1), np.int64), 0, device)
    centre, r, strong = rng.uniform(f"spots {name}", count, 4)[0].split((2, 1, 1), 1)
    r = radius * size * (0.45 + 1.1 * r[:, 0] ** 2)
    depth = (0.2 + 0.8 * strong[:, 0]) * (r / 0.7).clamp(max=1) ** 2
    return deepest(size, centre * size, r.clamp(min=0.7), depth)


def deepest(
    size: int, centre: Float[Tensor, "k 2"], radius: Float[Tensor, " k"], depth: Float[Tensor, " k"]
) -> Float[Tensor, "h h"]:
    """Return the greatest depth over Gaussian hollows at each texel of a tile that repeats; texels."""
    reach = int(2.2 * float(radius.max())) + 1
    cell = centre.floor()
    field = torch.zeros(size * size, device=centre.device)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            off = torch.tensor([dx + 0.5, dy + 0.5], device=centre.device) - (centre - cell)
            x, y = ((cell + torch.tensor([dx, dy], device=centre.device)).long() % size).unbind(1)
            here = depth * torch.exp(-off.square().sum(1) / radius**2)
            field.scatter_reduce_(0, y * size + x, here, "amax")
    return field.view(size, size)


def wrinkle_direction(atlas: Atlas) -> Float[Tensor, "h w 2"]:
    """Return the unit direction of fine wrinkles in texels (u, v), from the neutral face's x and y."""
    p, at = atlas.position, atlas.points
    along = torch.zeros_like(p[..., :2])
    along[..., 0] = 1
    for centre, radius in ((at[36:42].mean(0), 0.026), (at[42:48].mean(0), 0.026), (at[48:60].mean(0), 0.03)):
        d = p[..., :2] - centre[:2]
        near = torch.exp(-((d.norm(dim=-1, keepdim=True) / radius) ** 2))
        ring = normalize(torch.stack([-d[..., 1], d[..., 0]], -1), dim=-1)
        ring = ring * torch.where(ring[..., :1] < 0, -1.0, 1.0)
        along = along * (1 - near) + ring * near
    return texel_direction(p, along)


def texel_direction(
    position: Float[Tensor, "h w 3"], along: Float[Tensor, "h w 2"]
) -> Float[Tensor, "h w 2"]:
    """Return the unit direction in texels (u, v) of a direction in x and y."""
    du = (position.roll(-1, 1) - position.roll(1, 1))[..., :2] / 2
    dv = (position.roll(-1, 0) - position.roll(1, 0))[..., :2] / 2
    det = du[..., 0] * dv[..., 1] - du[..., 1] * dv[..., 0]
    det = torch.where(det.abs() < 1e-12, torch.full_like(det, 1e-12), det)
    s = (along[..., 0] * dv[..., 1] - along[..., 1] * dv[..., 0]) / det
    t = (along[..., 1] * du[..., 0] - along[..., 0] * du[..., 1]) / det
    return normalize(torch.stack([s, t], -1), dim=-1)


def smear_along(atlas: Atlas, direction: Float[Tensor, "h w 2"]) -> Float[Tensor, "h w"]:
    """Average fine noise along a direction, 0..1."""
    cells = min(HAIRLINES, atlas.size)
    fine = white_noise("skin lines", cells, atlas.noise.device)[None, None]
    if cells < atlas.size:
        fine = interpolate(fine, size=(atlas.size, atlas.size), mode="bicubic")
    fine = fine[0, 0] / fine.std()
    h, w = atlas.noise.shape[1:]
    noise = repeat_down(fine, h) + 0.6 * atlas.noise[5]
    y, x = torch.meshgrid(
        torch.arange(h, device=noise.device), torch.arange(w, device=noise.device), indexing="ij"
    )
    reach = max(3, SMEAR * w // 1024)
    total = torch.zeros_like(noise)
    for k in range(-reach, reach + 1):
        i = (x + (k * direction[..., 0]).round().long()) % w
        j = (y + (k * direction[..., 1]).round().long()) % h
        total += noise[j, i]
    total = total / total.std()
    return torch.sigmoid(2 * total - 1)


def remove_grain(slope: Float[Tensor, "b h w 2"], atlas: Atlas) -> Float[Tensor, "b h w 2"]:
    """Remove from slopes what is finer than ``GRAIN``; keep them where texels are no finer."""
    sigma = GRAIN / (0.46 / atlas.size)
    if sigma < 0.5:
        return slope
    reach = int(2.5 * sigma) + 1
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=slope.device) / sigma) ** 2)
    x = slope.permute(0, 3, 1, 2).flatten(0, 1)[:, None]
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    x = conv2d(pad(x, (reach, reach, 0, 0), mode="replicate"), kernel)
    x = conv2d(pad(x, (0, 0, reach, reach), mode="replicate"), kernel.transpose(2, 3))
    return x[:, 0].unflatten(0, (-1, 2)).permute(0, 2, 3, 1)
