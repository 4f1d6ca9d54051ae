"""Batches of the recipes: light changes, holes, bent priors and crops of stored looks."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.methods.uhr_texture.data import read_looks
from headcast.methods.uhr_texture.light import delit_image, estimate_shading, fit_level, skin_mean
from headcast.methods.uhr_texture.network import OUT, resize_maps

__all__ = [
    "comparison_rows",
    "crop_windows",
    "fit_level_to_looks",
    "image_grid",
    "mask_with_holes",
    "perturb_prior",
    "sample_gains",
    "scale_image_light",
    "target_maps",
    "to_channels_last",
]

BRIGHTER, WARMER = 0.25, 0.08
"""Standard deviations of the logarithm of linear light: of all of it, and of each colour."""
DRAWS = 3
"""Number of gains for each look that the level is fitted on."""
WEAR = 0.006
"""By how much of the side the priors that GDE and HFDR learn with are bent, as predicted ones are."""


def sample_gains(n: int, generator: torch.Generator) -> Float[Tensor, "n 3 1 1"]:
    """Sample by how much each image's light is brighter or darker, warmer or colder.

    In our renderer exposure follows the skin's tone (``synth.lights``), so that brightness reveals the skin;
    in other images it does not.
    """
    return torch.exp(
        BRIGHTER * torch.randn(n, 1, 1, 1, generator=generator)
        + WARMER * torch.randn(n, 3, 1, 1, generator=generator)
    )


def scale_image_light(
    rgb: Float[Tensor, "n 3 h w"], gain: Float[Tensor, "n 3 1 1"]
) -> Float[Tensor, "n 3 h w"]:
    """Relight an sRGB image by ``gain`` times as strong a light; not clamped from above."""
    return linear_to_srgb(srgb_to_linear(rgb.clamp(0, 1)) * gain.to(rgb))


def mask_with_holes(maps: Float[Tensor, "n 16 h h"], generator: torch.Generator) -> Float[Tensor, "n 1 h h"]:
    """Mask the skin that the light is estimated from; half of the masks have holes, as a parser's do."""
    n, size = len(maps), maps.shape[-1]
    holes = interpolate(torch.rand(n, 1, 6, 6, generator=generator), (size, size), mode="bilinear").to(maps)
    often = (torch.rand(n, 1, 1, 1, generator=generator) < 0.5).to(maps)
    return (maps[:, 15:] > 0.5) * (1 - often * (holes < 0.3).to(maps))


def perturb_prior(prior: Float[Tensor, "n 5 h h"], generator: torch.Generator) -> Float[Tensor, "n 5 h h"]:
    """Move UV and normals by small smooth errors, as a predictor's or a fit's have them."""
    n, size = len(prior), prior.shape[-1]
    bend = interpolate(torch.randn(n, 2, 5, 5, generator=generator), (size, size), mode="bicubic") * WEAR
    y, x = torch.meshgrid(*(torch.linspace(-1 + 1 / size, 1 - 1 / size, size),) * 2, indexing="ij")
    at = torch.stack([x, y], -1) + 2 * bend.permute(0, 2, 3, 1)
    out = grid_sample(prior, at.to(prior), padding_mode="border", align_corners=False)
    off = interpolate(torch.randn(n, 5, 5, 5, generator=generator), (size, size), mode="bicubic")
    scale = torch.tensor([0.003, 0.003, 0.02, 0.02, 0.02]).view(1, 5, 1, 1)
    on = (out[:, 2:].sum(1, keepdim=True) > 0.3).float()
    return (out + (off * scale).to(prior) * on).clamp(0, 1)


def crop_windows(
    maps: Float[Tensor, "n c h h"], place: Float[Tensor, "n 3"], side: int
) -> Float[Tensor, "n c s s"]:
    """Crop squares (left, top, side: fractions of the maps' side), enlarge them bilinearly to ``side``."""
    s = (torch.arange(side, device=maps.device) + 0.5) / side
    x = place[:, :1] + place[:, 2:] * s
    y = place[:, 1:2] + place[:, 2:] * s
    at = torch.stack([x[:, None].expand(-1, side, -1), y[..., None].expand(-1, -1, side)], -1) * 2 - 1
    return grid_sample(maps, at, padding_mode="border", align_corners=False)


def comparison_rows(
    batch: dict[str, Tensor], found: Float[Tensor, "n 7 h w"]
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Lay out the image, then each map predicted and true, over skin alone."""
    wanted, mask = batch["wanted"], batch["mask"]
    rows = [batch["rgb"]]
    for a, b in ((0, 3), (3, 6), (6, OUT)):
        rows += [(x[:, a:b] * mask).expand(-1, 3, -1, -1) for x in (found, wanted)]
    return image_grid(rows)


def image_grid(rows: list[Float[Tensor, "n 3 h w"]]) -> UInt8[np.ndarray, "rows columns 3"]:
    """Arrange images in rows of a grid, eight images at most."""
    lines = [torch.cat(list(r[:8]), 2) for r in rows]
    return (torch.cat(lines, 1).clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()


@cache
def fit_level_to_looks(folder: str) -> Float[Tensor, "13 3"]:
    """Run ``fit_level`` over at most 400 stored looks, 64 pixels a side, each with ``DRAWS`` gains."""
    every = read_looks(folder).whole
    maps = resize_maps(every[:: max(1, len(every) // 400)].float(), 64, 64).repeat(DRAWS, 1, 1, 1)
    generator = torch.Generator().manual_seed(len(every))
    maps = torch.cat(
        [scale_image_light(maps[:, :3], sample_gains(len(maps), generator)).clamp(0, 1), maps[:, 3:]], 1
    )
    mask = (maps[:, 15:] > 0.99).float()
    delit = delit_image(maps[:, :3], estimate_shading(maps[:, :3], maps[:, 3:8], mask))
    return fit_level(delit, skin_mean(delit, maps[:, 3:8], mask), maps[:, 8:11], mask)


def to_channels_last(network: nn.Module) -> nn.Module:
    """Return the network with weights in the memory layout that is fastest on CPUs."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def target_maps(maps: Float[Tensor, "n 16 h h"]) -> dict[str, Tensor]:
    """Return the true maps (``wanted``) and the ``mask`` of the skin's pixels."""
    return {"wanted": maps[:, 8:15], "mask": (maps[:, 15:] > 0.99).float()}
