"""A batch of synthetic images with their ground truth."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from headcast.head.params import HeadParams
from headcast.synth.appearance import PersonAppearance
from headcast.synth.lights import Light
from headcast.synth.people import PersonTraits
from headcast.synth.views import Views

__all__ = ["SynthBatch"]


@dataclass(frozen=True)
class SynthBatch:
    """N = people x frames x views images of H x H pixels, in that order (views run fastest).

    Attributes:
        rgb: (N, H, H, 3) display values (sRGB) 0..1, over the background.
        alpha: (N, H, H) coverage. background: (N, H, H, 3) sRGB.
        depth: (N, H, H) camera z at the pixel's centre, metres, 0 where nothing is; of hair where that covers
            more than half.
        normal: (N, H, H, 3) unit world normals, pores and wrinkles included; 0 where nothing is.
            geometric_normal: the same without them.
        uv: (N, H, H, 2) the head's texture coordinates at the pixel's centre; -1 off the head and under hair.
        albedo: (N, H, H, 3) linear. specular: (N, H, H) reflectance at normal incidence relative to 0.04.
        label: (N, H, H) number among ``synth.config.LABELS``.
        landmarks68: (N, 68, 2), landmarks478: (N, 478, 2) pixels (centres at +0.5), hidden ones too.
            landmarks68_world, landmarks478_world: (N, 68 | 478, 3) metres.
        params: of each image (world frame). views: cameras. light.
        person, appearance: of each image. number, frame, view: (N,) which person, moment, camera.
        textures: (P, T, T, 8) of each person (in PBR mode of each moment), channels ``synth.paint.CHANNELS``,
            in the head's UV.
        owner: (N,) which textures. hair_names: of the numbers in ``appearance.hair``.
    """

    rgb: Float[Tensor, "n h w 3"]
    alpha: Float[Tensor, "n h w"]
    background: Float[Tensor, "n h w 3"]
    depth: Float[Tensor, "n h w"]
    normal: Float[Tensor, "n h w 3"]
    geometric_normal: Float[Tensor, "n h w 3"]
    uv: Float[Tensor, "n h w 2"]
    albedo: Float[Tensor, "n h w 3"]
    specular: Float[Tensor, "n h w"]
    label: UInt8[Tensor, "n h w"]
    landmarks68: Float[Tensor, "n 68 2"]
    landmarks478: Float[Tensor, "n 478 2"]
    landmarks68_world: Float[Tensor, "n 68 3"]
    landmarks478_world: Float[Tensor, "n 478 3"]
    params: HeadParams
    views: Views
    light: Light
    person: PersonTraits
    appearance: PersonAppearance
    number: Int[Tensor, " n"]
    frame: Int[Tensor, " n"]
    view: Int[Tensor, " n"]
    textures: Float[Tensor, "p t t 8"]
    owner: Int[Tensor, " n"]
    hair_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rgb)

    def maps(self) -> dict[str, Tensor]:
        """Return the per-pixel truths by name."""
        return {
            f.name: x
            for f in fields(self)
            if isinstance(x := getattr(self, f.name), torch.Tensor)
            and x.dim() >= 3
            and x.shape[0] == len(self)
            and x.shape[1:3] == self.rgb.shape[1:3]
        }
