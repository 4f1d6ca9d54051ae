"""Images of skin with their true maps: what the protocols ``skin-maps``, ``-detail``, ``-steadiness`` share.

A file holds ``maps`` (16, h, w) or ``whole`` (n, 16, h, w), channels as ``uhr_texture.data.HeadViews.whole``:
image, UV and normal (3 to 8), true albedo, micronormal, specular (8 to 15), and where skin is (15).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from headcast.errors import HeadcastError
from headcast.evaluate.setting import Setting
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.methods.uhr_texture.light import estimate_shading
from headcast.methods.uhr_texture.network import resize_maps
from headcast.methods.uhr_texture.weights import SkinNetworks, load_skin_networks, network_file
from headcast.metrics.texture import match_gain
from headcast.render.shading import ggx_specular
from headcast.weights import load_tensors

__all__ = [
    "PARTS",
    "SKIN",
    "NetworkFiles",
    "SkinImage",
    "channels_last",
    "exaggerate_slopes",
    "files_in",
    "gained_psnr",
    "inputs_of",
    "map_psnr",
    "networks_asked",
    "read_skin_images",
    "relight_maps",
    "slope_correlation",
    "to_display_image",
    "weights_facts",
]

SUBJECT = "uhr"
"""The name by which the networks of ``headcast texture`` are asked for."""
PARTS = {"albedo": (0, 3), "micronormal": (3, 6), "specular": (6, 7)}
"""Channels of maps."""
SKIN = 0.99
"""Of channel 15, above which a pixel is skin."""
STEEPER = 4.0
"""Times as steep as they are, micronormals are shown."""
KEY, COLOUR, SKY = (0.75, 0.35, 0.55), (1.25, 1.15, 1.0), (0.16, 0.18, 0.22)
"""Where the lamp of ``relight_maps`` is (right, up, towards the camera), and radiance of lamp and sky."""
ROUGHNESS = 0.4
"""Of the skin in ``relight_maps``."""
SOFT = 0.15
"""Cosine past the terminator up to which skin is lit in ``relight_maps``, as scattering does."""


@dataclass(frozen=True)
class NetworkFiles:
    """Weights files of the three networks."""

    gde: str = ""
    """Weights of stage 1; empty: the bundled ones."""
    hfdr: str = ""
    """Weights of stage 2; empty: the bundled ones."""
    normal: str = ""
    """Weights of the predictor of UV and normals; empty: the bundled ones."""


@dataclass(frozen=True)
class SkinImage:
    """One image: its head's name, its own, and (16, h, w) channels."""

    head: str
    name: str
    maps: Float[Tensor, "16 h w"]


def networks_asked(setting: Setting, protocol: str, files: NetworkFiles) -> SkinNetworks:
    """Load the networks that are measured.

    Raises:
        HeadcastError: something else is asked for; weights are missing or of different sizes.
    """
    if setting.subjects != (SUBJECT,):
        given = ",".join(setting.subjects)
        raise HeadcastError(
            f"evaluate {given} --protocol {protocol}: give {SUBJECT}, its networks as options"
        )
    return load_skin_networks(normal=files.normal or None, gde=files.gde or None, hfdr=files.hfdr or None)


def weights_facts(files: NetworkFiles) -> list[str]:
    """Return hashes of the networks' files: what rows depend on."""
    kinds = {"normal": files.normal, "gde": files.gde, "hfdr": files.hfdr}
    return [load_tensors(Path(file) if file else network_file(kind))[2] for kind, file in kinds.items()]


def files_in(folder: Path) -> list[Path]:
    """List the files of a folder.

    Raises:
        HeadcastError: there is none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise HeadcastError(
            f"{folder}: no skin with its truth here; make it with tools/uhr_cycles.py or build_uhr_looks.py"
        )
    return files


def read_skin_images(folder: Path, most: int) -> Iterator[SkinImage]:
    """Read images; of a file with many as many as leave room for the other files.

    Raises:
        HeadcastError: there is none.
    """
    files = files_in(folder)
    for file in files:
        tensors = load_tensors(file)[0]
        several = tensors["maps"][None] if "maps" in tensors else tensors["whole"]
        for k, maps in enumerate(several[: max(1, most // len(files))].float()):
            name = file.stem if len(several) == 1 else f"{file.stem} {k:02d}"
            yield SkinImage(file.stem.split("_light")[0], name, maps)


class StageInputs(NamedTuple):
    """Image, prior (UV, normal), skin mask and estimated shading, each (1, c, side, side)."""

    image: Tensor
    prior: Tensor
    trust: Tensor
    shading: Tensor


def inputs_of(maps: Float[Tensor, "16 h w"], side: int) -> StageInputs:
    """Resize image, prior (UV, normal) and skin mask to (1, c, side, side); estimate the shading there."""
    small = resize_maps(maps[None], side, side)
    trust = (small[:, 15:] > SKIN).float()
    return StageInputs(
        small[:, :3], small[:, 3:8], trust, estimate_shading(small[:, :3], small[:, 3:8], trust)
    )


def channels_last(x: Float[Tensor, "c h w"]) -> Float[np.ndarray, "h w 3"]:
    """Return three channels, last; a single one is repeated."""
    return (x if len(x) == 3 else x.expand(3, -1, -1)).permute(1, 2, 0).numpy()


def to_display_image(x: Float[Tensor, "c h w"]) -> np.ndarray:
    """Return (h, w, 3) display values 0..255."""
    return (channels_last(x.clamp(0, 1)) * 255).astype(np.uint8)


def map_psnr(
    p: Float[np.ndarray, "h w 3"], q: Float[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> float:
    """Return dB of maps in 0..1 over a mask; unlike ``metrics.image.psnr`` they are not rounded to bytes."""
    return float(-10 * np.log10(((p - q)[mask] ** 2).mean() + 1e-12))


def gained_psnr(
    found: Float[Tensor, "3 h w"], truth: Float[Tensor, "3 h w"], mask: Bool[np.ndarray, "h w"]
) -> float:
    """Return dB of albedo (sRGB) after one gain a channel in linear light, which the light leaves open."""
    p, q = srgb_to_linear(channels_last(found)), srgb_to_linear(channels_last(truth))
    level = linear_to_srgb(np.clip(match_gain(p, q, mask), 0, 1))
    return map_psnr(level, channels_last(truth), mask)


def slope_correlation(
    a: Float[Tensor, "2 h w"], b: Float[Tensor, "2 h w"], mask: Bool[Tensor, "h w"]
) -> float:
    """Correlate slopes over a mask; 0 for flat ones."""
    a, b = (x[:, mask] - x[:, mask].mean(1, keepdim=True) for x in (a, b))
    return float((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt().clamp(min=1e-9))


def relight_maps(maps: Float[Tensor, "7 h w"], normal: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """Shade skin under ``KEY`` and an even sky: maps and geometry normals, all 0..1; black off the head."""
    on = (normal.sum(0) > 0.3).float()
    n = normalize(normal * 2 - 1, dim=0)
    fine = _bend_normals(maps, n)
    lamp = normalize(torch.tensor(KEY), dim=0).expand_as(fine)
    eye = torch.tensor([0.0, 0.0, 1.0]).expand_as(fine)
    soft = (((fine * lamp).sum(-1, keepdim=True) + SOFT) / (1 + SOFT)).clamp(min=0)
    light = soft * torch.tensor(COLOUR) + torch.tensor(SKY)
    shine = ggx_specular(fine, eye, lamp, torch.full_like(on, ROUGHNESS), 0.04 * maps[6])[..., None]
    out = srgb_to_linear(maps[:3].permute(1, 2, 0)) * light + shine * torch.tensor(COLOUR)
    return (linear_to_srgb(out.clamp(0, 1)) * on[..., None]).permute(2, 0, 1)


def _bend_normals(maps: Float[Tensor, "7 h w"], n: Tensor) -> Tensor:
    """Return geometry normals bent by micronormals, channels last."""
    right = torch.zeros_like(n)
    right[0] = 1
    t = normalize(right - (right * n).sum(0) * n, dim=0)
    b = torch.linalg.cross(n, t, dim=0)
    m = maps[3:6] * 2 - 1
    return normalize(t * m[:1] + b * m[1:2] + n * m[2:], dim=0).permute(1, 2, 0)


def exaggerate_slopes(micronormal: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """Exaggerate micronormals ``STEEPER`` times, to make them visible."""
    flat = torch.tensor([0.5, 0.5, 1.0]).view(3, 1, 1)
    times = torch.tensor([STEEPER, STEEPER, 0.0]).view(3, 1, 1)
    return (flat + (micronormal - flat) * times).clamp(0, 1)
