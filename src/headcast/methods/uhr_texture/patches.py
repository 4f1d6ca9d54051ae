"""Stage 2 over a whole picture: patches out, patches back, seams smoothed (§3.4)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

from headcast.methods.uhr_texture.batches import cut
from headcast.methods.uhr_texture.network import HFDR, OUT

__all__ = ["PADDING", "SIGMA", "refined", "seams_smoothed"]

PADDING = 8
"""Pixels to either side of a seam that are smoothed."""
SIGMA = 5.0
KERNEL = (2, 16)
"""Taps of the Gaussian along and across a seam."""
CONTEXT = 16
"""Pixels of its neighbours that a patch sees beyond its border; 0 is the paper's way."""
BATCH_PIXELS = 1 << 20
"""Pixels of patches computed together: bounds memory."""


@torch.no_grad()
def refined(
    hfdr: HFDR, rgb: Float[Tensor, "3 n n"], coarse: Float[Tensor, "15 s s"], patch: int,
    progress: Callable[[float], None] | None = None, context: int = CONTEXT,
) -> Float[Tensor, "7 n n"]:  # fmt: skip
    """Textures at a square picture's own resolution, seams not yet smoothed.

    Args:
        coarse: ``light.coarse_of`` the whole picture at stage 1's size.
        patch: side of the patches; there are ceil(n / patch) a side, the last ones reach over the edge.
        context: see ``CONTEXT``.
    """
    n = rgb.shape[-1]
    count = math.ceil(n / patch)
    side = patch + 2 * context
    over = count * patch - n
    wide = edged(rgb[None], context, context + over)[0]
    out = torch.empty(OUT, n, n, dtype=torch.float32, device=rgb.device)
    places = [(i, j) for i in range(count) for j in range(count)]
    step = max(1, BATCH_PIXELS // side**2)
    for first in range(0, len(places), step):
        some = places[first : first + step]
        crops = torch.stack([wide[:, i * patch :, j * patch :][:, :side, :side] for i, j in some])
        place = torch.tensor([[j * patch - context, i * patch - context, side] for i, j in some]) / n
        maps = cut(coarse[None].expand(len(some), -1, -1, -1), place.to(rgb), side)
        found = hfdr(crops, maps).float().clamp(0, 1)
        for (i, j), x in zip(some, found, strict=True):
            x = x[:, context : context + patch, context : context + patch]
            to = out[:, i * patch : (i + 1) * patch, j * patch : (j + 1) * patch]
            to.copy_(x[:, : to.shape[1], : to.shape[2]])
        if progress:
            progress(min(1.0, (first + step) / len(places)))
    return out


def edged(x: Float[Tensor, "b c h w"], before: int, after: int) -> Float[Tensor, "b c i j"]:
    """The edge's pixels repeated outwards, however far."""
    h, w = x.shape[-2:]
    i = torch.arange(-before, h + after, device=x.device).clamp(0, h - 1)
    j = torch.arange(-before, w + after, device=x.device).clamp(0, w - 1)
    return x[..., i[:, None], j[None]] if before + after else x


def gaussian(taps: int) -> Float[Tensor, " t"]:
    """Normalized weights about the middle of ``taps`` pixels."""
    x = torch.arange(taps) - (taps - 1) / 2
    w = torch.exp(-(x**2) / (2 * SIGMA**2))
    return w / w.sum()


def seams_smoothed(maps: Float[Tensor, "c n m"], patch: int) -> Float[Tensor, "c n m"]:
    """The anisotropic Gaussian of §3.4 over the ``PADDING`` pixels beside every seam.

    Horizontal seams: 2 taps along x and 16 along y; vertical ones the other way; sigma 5. Filtering both
    sides into one another would leave a blurred stripe; so each side is filtered by itself, both move half of
    the way to each other's level, less with the distance from the seam, and pores stay.
    """
    out = maps
    for axis in (1, 2):
        out = one_direction(out, patch, axis)
    return out


def one_direction(maps: Float[Tensor, "c n m"], patch: int, axis: int) -> Float[Tensor, "c n m"]:
    """Seams across one axis (1: horizontal seams, 2: vertical)."""
    if axis == 2:
        return one_direction(maps.transpose(1, 2), patch, 1).transpose(1, 2)
    height = maps.shape[1]
    out = maps.clone()
    for seam in range(patch, height, patch):
        low, high = max(0, seam - 3 * PADDING), min(height, seam + 3 * PADDING)
        band = maps[:, low:high]
        distance = (torch.arange(low, high, device=maps.device) + 0.5 - seam).abs()
        share = (1 - distance / PADDING).clamp(min=0)[None, :, None]
        out[:, low:high] = band + share * (across(band, seam - low) - band)
    return out


def across(band: Float[Tensor, "c h m"], seam: int) -> Float[Tensor, "c h m"]:
    """A band about a horizontal seam whose two sides are brought together.

    The 2x16 Gaussian of each side alone, carried on over the seam, says what that side takes the level to be;
    both sides move half of the way to each other. Level and trend are smoothed, pores stay.
    """
    c, h, _ = band.shape
    ky, kx = gaussian(KERNEL[1]), gaussian(KERNEL[0])
    kernel = (ky[:, None] * kx[None])[None, None].to(band)
    side = torch.arange(h, device=band.device)[:, None] < seam
    means = []
    for mine in (side, ~side):
        weight = mine.to(band).expand(h, band.shape[2])[None, None]
        both = torch.cat([band[:, None] * weight, weight], 0)
        both = pad(both, (0, KERNEL[0] - 1, KERNEL[1] // 2, KERNEL[1] // 2 - 1), mode="replicate")
        summed = conv2d(both, kernel)
        means.append(summed[:c, 0] / summed[c:, 0].clamp(min=1e-6))
    known = (means[0] + means[1]) / 2
    own = torch.where(side, means[0], means[1])
    return band + torch.where((known.abs() > 0), known - own, torch.zeros_like(known))
