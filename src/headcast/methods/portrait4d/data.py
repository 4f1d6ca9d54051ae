"""Training images of Portrait4D-v2: synthetic heads from many sides, synthetic clips, the neck's fields."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.portrait4d.losses import LossTarget
from headcast.methods.portrait4d.neck_field import NeckField
from headcast.methods.portrait4d.network import Config
from headcast.render.volume import Rays, rays_through
from headcast.synth.config import SynthConfig
from headcast.synth.shots import Shots, random_views
from headcast.synth.views import Views

__all__ = [
    "CLIP_FPS",
    "FRAMING",
    "NeckShots",
    "head_model",
    "neck_field",
    "rays_between",
    "sample_cameras",
    "synthesize_clips",
    "synthesize_views",
]

CLIP_FPS = 1.5
"""Two frames of a clip are two thirds of a second apart."""
FRAMING = "portrait4d"
"""Framing (``synth.framing``) of the training cameras."""


@dataclass(frozen=True)
class NeckShots(Shots):
    """Images of heads; ``extra`` may hold the grids of the necks' fields, ``fine`` and ``smooth``."""

    def with_neck(self, config: Config) -> NeckShots:
        """Compute the neck's field of every head once, to be stored with the images."""
        return replace(self, extra=self.extra | neck_grids(self.neck(config)))

    def neck(self, config: Config) -> NeckField:
        """Read or compute the neck's rotation field of these heads."""
        if "fine" not in self.extra:
            return neck_field(self.params, config)
        return NeckField.from_grids(self.extra["fine"], self.extra["smooth"], config.cube_side)

    def target(self, units: float, background: Float[Tensor, "b 3 h w"] | None = None) -> LossTarget:
        """Describe what a rendering from these cameras should look like, over another background if given.

        Args:
            units: world units of the field per metre.
        """
        background_rgb = self.background if background is None else background
        image = (self.head + (1 - self.alpha) * background_rgb) * 2 - 1
        box = self.box(self.K, self.cam_from_world)
        return LossTarget(
            image=image,
            box=box,
            alpha=self.alpha,
            depth=self.depth * units,
            background=background_rgb * 2 - 1,
        )

    def rays(self, config: Config, resolution: int) -> Rays:
        """Cast rays through the images, ``resolution``² of them, in the field's units."""
        return self.cast_rays(resolution, config.cube_side / 2, config.units_per_metre)


def rays_between(
    K: Float[Tensor, "b 3 3"],
    cam_from_world: Float[Tensor, "b 4 4"],
    side: int,
    config: Config,
    resolution: int,
) -> Rays:
    """Cast rays of square cameras in the field's units."""
    size = torch.full((len(K), 2), float(side), device=K.device)
    return rays_through(K, cam_from_world, size, resolution, config.cube_side / 2, config.units_per_metre)


def synthesize_views(
    people: int, views: int, side: int, index: int, seed: int, device: torch.device
) -> NeckShots:
    """Synthesize ``views`` images of each of ``people`` heads, views running fastest."""
    config = SynthConfig(size=side, people=people, views=views, framing=FRAMING)
    return NeckShots.make(config, index, seed, device)


def synthesize_clips(
    people: int, frames: int, side: int, index: int, seed: int, device: torch.device
) -> NeckShots:
    """Synthesize ``frames`` images of the clip of each of ``people`` heads: one camera, one light."""
    config = SynthConfig(size=side, people=people, frames=frames, clip=True, fps=CLIP_FPS, framing=FRAMING)
    return NeckShots.make(config, index, seed, device)


def sample_cameras(count: int, side: int, index: int, seed: int, device: torch.device) -> Views:
    """Sample cameras of the paper's distribution."""
    return random_views(FRAMING, count, side, index, seed, device)


@cache
def head_model(device: str) -> HeadModel:
    """Load the bundled head on a device, once a process."""
    return HeadModel.load().to(device)


def neck_field(params: HeadParams, config: Config) -> NeckField:
    """Compute the rotation field of heads in a batch."""
    head = head_model(str(params.expression.device))
    return NeckField(head, params, config.cube_side, config.units_per_metre)


def neck_grids(field: NeckField) -> dict[str, Tensor]:
    """Name the grids of a field as ``NeckShots.extra`` keeps them."""
    return {"fine": field.fine, "smooth": field.smooth}
