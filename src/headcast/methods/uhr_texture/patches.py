"""Stage 2 over a whole image: patches are cut out, refined and cross-faded into each other (§3.4)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv1d

from headcast.methods.uhr_texture.batches import crop_windows
from headcast.methods.uhr_texture.network import HFDR, OUT

__all__ = ["PADDING", "SIGMA", "refine_in_patches"]

PADDING = 8
"""Pixels to either side of a seam that are smoothed."""
SIGMA = 5.0
CONTEXT = 16
"""Pixels of its neighbours that a patch sees beyond its border."""
BATCH_PIXELS = 1 << 20
"""Pixels of patches computed together: bounds memory."""


@torch.no_grad()
def refine_in_patches(
    hfdr: HFDR,
    rgb: Float[Tensor, "3 n n"],
    coarse: Float[Tensor, "15 s s"],
    patch: int,
    progress: Callable[[float], None] | None = None,
    context: int = CONTEXT,
) -> Float[Tensor, "7 n n"]:
    """Refine maps at a square image's own resolution.

    Seams are smoothed by §3.4's anisotropic Gaussian (16 taps across, sigma 5), which blurs not the textures
    but the patches' weights: where patches meet, both cover the same pixels, and cross-fade over 8 pixels
    to either side. Levels meet, pores stay, the skin's own gradients are not flattened.

    Args:
        coarse: ``light.coarse_of`` the whole image at stage 1's size.
        patch: side of the patches; there are ceil(n / patch) a side, the last ones reach over the edge.
        context: see ``CONTEXT``.
    """
    n = rgb.shape[-1]
    count = math.ceil(n / patch)
    side = patch + 2 * context
    over = count * patch - n
    wide = pad_edges(rgb[None], context, context + over)[0]
    out = torch.zeros(OUT, n, n, dtype=torch.float32, device=rgb.device)
    weights = [patch_weights(i, count, patch, context).to(rgb) for i in range(count)]
    places = [(i, j) for i in range(count) for j in range(count)]
    step = max(1, BATCH_PIXELS // side**2)
    for first in range(0, len(places), step):
        some = places[first : first + step]
        crops = torch.stack([wide[:, i * patch :, j * patch :][:, :side, :side] for i, j in some])
        place = torch.tensor([[j * patch - context, i * patch - context, side] for i, j in some]) / n
        maps = crop_windows(coarse[None].expand(len(some), -1, -1, -1), place.to(rgb), side)
        found = hfdr(crops, maps).float().clamp(0, 1)
        _add_patches(out, found, some, weights, patch, context)
        if progress:
            progress(min(1.0, (first + step) / len(places)))
    return out


def _add_patches(
    out: Float[Tensor, "7 n n"],
    refined: Float[Tensor, "k 7 s s"],
    places: list[tuple[int, int]],
    weights: list[Tensor],
    patch: int,
    context: int,
) -> None:
    """Add refined patches, weighted, to the image, in place; ``places``: their rows and columns."""
    n, side = out.shape[-1], patch + 2 * context
    for (i, j), x in zip(places, refined, strict=True):
        y0, x0 = i * patch - context, j * patch - context
        down, right = (slice(max(0, -a), min(side, n - a)) for a in (y0, x0))
        part = out[:, max(0, y0) : y0 + side, max(0, x0) : x0 + side]
        part += (x * weights[i][:, None] * weights[j])[:, down, right]


def pad_edges(x: Float[Tensor, "b c h w"], before: int, after: int) -> Float[Tensor, "b c i j"]:
    """Repeat the edge's pixels outwards, however far."""
    h, w = x.shape[-2:]
    i = torch.arange(-before, h + after, device=x.device).clamp(0, h - 1)
    j = torch.arange(-before, w + after, device=x.device).clamp(0, w - 1)
    return x[..., i[:, None], j[None]] if before + after else x


def gaussian_weights(taps: int) -> Float[Tensor, " t"]:
    """Return normalized Gaussian weights around the middle of ``taps`` pixels."""
    x = torch.arange(taps) - (taps - 1) / 2
    w = torch.exp(-(x**2) / (2 * SIGMA**2))
    return w / w.sum()


def patch_weights(index: int, count: int, patch: int, context: int) -> Float[Tensor, " s"]:
    """Weigh a patch's pixels along one side: 1 inside, 0 beyond its border, by the Gaussian between.

    Those of neighbours add up to 1. Without context they have no pixel in common, and borders stay hard.
    """
    side = patch + 2 * context
    x = torch.arange(-PADDING, side + PADDING) - context
    own = ((x >= 0) | (index == 0)) & ((x < patch) | (index == count - 1))
    if context < PADDING:
        return own[PADDING : PADDING + side].float()
    return conv1d(own.float()[None, None], gaussian_weights(2 * PADDING)[None, None])[0, 0, :side]
