"""De-light an image: the initial albedo of both stages. Ours, not the paper's."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.render.shading import sh_basis

__all__ = [
    "COARSE",
    "LEVEL",
    "calibrate_albedo",
    "coarse_of",
    "delit_image",
    "estimate_shading",
    "fit_level",
    "guide_at",
    "skin_mean",
]

ROUNDS = 4
HUBER = 2.0
RIDGE = (0.0, 0.002, 0.002, 0.002, 0.008, 0.008, 0.008, 0.008, 0.008)
"""Ridge and Huber terms, as ``observe.light`` solves for a photo's light."""
DARKEST, TINT = 0.4, 1.25
"""Least shading, as a fraction of its mean over the skin (as in ``fit.delight``), and how far its colour may
depart from the mean's: more would make pink fringes where a photographed face turns away."""
LEVEL = 13
"""Number of terms of ``calibrate_albedo``."""
COARSE = 15
"""Number of channels of ``coarse_of``."""


def estimate_shading(
    rgb: Float[Tensor, "b 3 h w"],
    prior: Float[Tensor, "b 5 h w"],
    trust: Float[Tensor, "b 1 h w"] | None = None,
) -> Float[Tensor, "b 3 h w"]:
    """Estimate irradiance by second-order harmonics of the prior's normals: mean over skin 1; 1 off the head.

    Skin is taken to have one colour; what departs from it (brows, lips, gloss, shadow) loses weight (Huber).

    Args:
        rgb: sRGB 0..1. trust: how surely a pixel is skin; None: all of the head counts.
    """
    on, weight = _shading_weights(rgb, prior, trust)
    basis = sh_basis(normalize(prior[:, 2:] * 2 - 1, dim=1).permute(0, 2, 3, 1)).flatten(1, 2)
    colour = srgb_to_linear(rgb.clamp(0, 1)).flatten(2).transpose(1, 2)
    total = weight.sum(1).clamp(min=1e-6)
    level = ((colour * weight[..., None]).sum(1) / total[:, None]).clamp(min=1e-4)
    scaled = colour / level[:, None]
    shading = basis @ _fit_light(scaled, basis, weight, total)
    shading = _normalize_shading(shading, weight, total)
    return torch.where(on > 0, shading.transpose(1, 2).unflatten(2, tuple(rgb.shape[2:])), 1.0)


def _shading_weights(
    rgb: Float[Tensor, "b 3 h w"], prior: Float[Tensor, "b 5 h w"], trust: Float[Tensor, "b 1 h w"] | None
) -> tuple[Tensor, Tensor]:
    """Return where the head is, and the pixels' weights: skin that is not overexposed."""
    on = (prior[:, 2:].sum(1, keepdim=True) > 0.3).to(rgb)
    weight = (on if trust is None else on * trust) * (rgb.amax(1, keepdim=True) < 0.985)
    weight = torch.where(weight.sum((1, 2, 3), keepdim=True) < 30, on + 1e-6, weight).flatten(1)
    return on, weight


def _normalize_shading(shading: Tensor, weight: Tensor, total: Tensor) -> Tensor:
    """Scale to mean 1 over the skin; bound darkness and colour."""
    mean = ((shading * weight[..., None]).sum(1) / total[:, None]).clamp(min=1e-4)
    shading = shading / mean[:, None]
    grey = shading.mean(-1, keepdim=True).clamp(min=1e-3)
    return grey.clamp(DARKEST, 5) * (shading / grey).clamp(1 / TINT, TINT)


def _fit_light(
    colour: Float[Tensor, "b p 3"],
    basis: Float[Tensor, "b p 9"],
    weight: Float[Tensor, "b p"],
    total: Float[Tensor, " b"],
) -> Float[Tensor, "b 9 3"]:
    """Fit harmonics of the light to colours by iteratively reweighted ridge regression (Huber)."""
    robust, light = torch.ones_like(weight), torch.zeros(())
    ridge = torch.diag(torch.tensor(RIDGE).to(colour)) + 1e-6 * torch.eye(9).to(colour)
    for _ in range(ROUNDS):
        each = (basis * (weight * robust)[..., None]).transpose(1, 2)
        light = torch.linalg.solve(each @ basis + total[:, None, None] * ridge, each @ colour)
        off = (colour - basis @ light).abs().mean(-1)
        limit = HUBER * ((off * weight).sum(1) / total).clamp(min=1e-4)
        robust = (limit[:, None] / off.clamp(min=1e-6)).clamp(max=1)
    return light


def delit_image(rgb: Float[Tensor, "b 3 h w"], shading: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Divide an sRGB image by a shading in linear light."""
    return linear_to_srgb((srgb_to_linear(rgb.clamp(0, 1)) / shading).clamp(0, 1))


def skin_mean(
    x: Float[Tensor, "b c h w"],
    prior: Float[Tensor, "b 5 h w"],
    trust: Float[Tensor, "b 1 h w"] | None = None,
) -> Float[Tensor, "b c"]:
    """Average every channel over the skin."""
    on = (prior[:, 2:].sum(1, keepdim=True) > 0.3).to(x)
    weight = (on if trust is None else on * trust) + 1e-6
    return (x * weight).sum((2, 3)) / weight.sum((2, 3))


def calibration_terms(
    delit: Float[Tensor, "b 3 h w"], mean: Float[Tensor, "b 3"]
) -> Float[Tensor, "b 13 h w"]:
    """Stack the regressors: the de-lit image, 1, its mean, and the mean's squares and products."""
    r, g, b = mean.unbind(1)
    flat = torch.stack([torch.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b], 1)
    return torch.cat([delit, flat[..., None, None].expand(-1, -1, *delit.shape[2:])], 1)


def calibrate_albedo(
    delit: Float[Tensor, "b 3 h w"], mean: Float[Tensor, "b 3"], level: Float[Tensor, "13 3"]
) -> Float[Tensor, "b 3 h w"]:
    """Bring a de-lit image to the level that albedo mostly has where the mean colour is this.

    An image leaves open how bright skin is; its colour answers that in part.
    """
    return torch.einsum("bkhw,kc->bchw", calibration_terms(delit, mean), level)


def fit_level(
    delit: Float[Tensor, "b 3 h w"],
    mean: Float[Tensor, "b 3"],
    albedo: Float[Tensor, "b 3 h w"],
    mask: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, "13 3"]:
    """Fit the coefficients of ``calibrate_albedo`` by least squares."""
    on = mask[:, 0] > 0
    x = calibration_terms(delit, mean).permute(0, 2, 3, 1)[on].double()
    y = albedo.permute(0, 2, 3, 1)[on].double()
    return torch.linalg.solve(x.T @ x + 1e-6 * len(x) * torch.eye(LEVEL).to(x), x.T @ y).to(delit)


def coarse_of(
    rgb: Float[Tensor, "b 3 h w"],
    prior: Float[Tensor, "b 5 h w"],
    guide: Float[Tensor, "b 7 h w"],
    shading: Float[Tensor, "b 3 h w"],
) -> Float[Tensor, "b 15 h w"]:
    """Stack what stage 2 takes from stage 1: prior 5, guide 7 (albedo less the de-lit image), shading 3."""
    return torch.cat([prior, guide[:, :3] - delit_image(rgb, shading), guide[:, 3:], shading], 1)


def guide_at(
    rgb: Float[Tensor, "b 3 h w"], coarse: Float[Tensor, "b 15 h w"]
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 7 h w"]]:
    """Return the de-lit image and the guide at a patch's own detail, from enlarged ``coarse_of``."""
    delit = delit_image(rgb, coarse[:, 12:])
    return delit, torch.cat([delit + coarse[:, 5:8], coarse[:, 8:12]], 1)
