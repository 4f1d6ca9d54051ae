"""Training pictures of Portrait4D-v2: synthetic heads from many sides, and synthetic clips."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.portrait4d.losses import Target
from headcast.methods.portrait4d.neck import NeckField
from headcast.methods.portrait4d.network import Config
from headcast.render.volume import Rays, rays_through
from headcast.synth.batch import SynthBatch
from headcast.synth.config import SynthConfig
from headcast.synth.dice import Dice
from headcast.synth.stream import make_batch
from headcast.synth.views import Views, draw_views

__all__ = [
    "Shots",
    "clip_frames",
    "drawn_views",
    "head_model",
    "neck_field",
    "seen_from",
    "several_views",
    "shots_of",
]

CLIP_FPS = 1.5
"""Two frames of a clip are two thirds of a second apart."""


@dataclass(frozen=True)
class Shots:
    """Pictures of heads with all that is known of them; b of them.

    Attributes:
        image: (b, 3, h, w) -1..1. head: (b, 3, h, w) the head alone, premultiplied 0..1; background: 0..1.
        alpha: (b, 1, h, w). depth: (b, 1, h, w) along the ray, metres, 0 off the head.
        K, cam_from_world: cameras, intrinsics in pixels of the pictures.
        landmarks, face: (b, 68 | 478, 3) world, metres. params: of the heads.
        stored: the neck's field where it was made before.
    """

    image: Float[Tensor, "b 3 h w"]
    head: Float[Tensor, "b 3 h w"]
    background: Float[Tensor, "b 3 h w"]
    alpha: Float[Tensor, "b 1 h w"]
    depth: Float[Tensor, "b 1 h w"]
    K: Float[Tensor, "b 3 3"]
    cam_from_world: Float[Tensor, "b 4 4"]
    landmarks: Float[Tensor, "b 68 3"]
    face: Float[Tensor, "b 478 3"]
    params: HeadParams
    stored: NeckField | None = None

    def __getitem__(self, which: slice | Tensor) -> Shots:
        kept = {k: getattr(self, k)[(which,)] for k in self.__dataclass_fields__ if k != "stored"}
        field = self.stored
        if field is not None:
            field = NeckField.stored(field.fine[which], field.smooth[which], field.cube)
        return Shots(**kept, stored=field)

    def with_neck(self, config: Config) -> Shots:
        """The same with the neck's field of every head at hand."""
        return replace(self, stored=self.neck(config))

    def neck(self, config: Config) -> NeckField:
        """The neck's rotation field of these heads."""
        return neck_field(self.params, config) if self.stored is None else self.stored

    def target(self, units: float, background: Float[Tensor, "b 3 h w"] | None = None) -> Target:
        """What a rendering from these cameras is to look like, before another background if one is given.

        Args:
            units: world units of the field a metre.
        """
        behind = self.background if background is None else background
        image = (self.head + (1 - self.alpha) * behind) * 2 - 1
        box = self.box(self.K, self.cam_from_world)
        return Target(image, box, self.alpha, self.depth * units, background=behind * 2 - 1)

    def recoloured(self, head: Float[Tensor, "b 3"], background: Float[Tensor, "b 3"]) -> Shots:
        """Heads and backgrounds with other colours, by a gain of each channel."""
        h = torch.minimum(self.head * head[:, :, None, None], self.alpha)
        behind = (self.background * background[:, :, None, None]).clamp(max=1)
        return replace(self, head=h, background=behind, image=(h + (1 - self.alpha) * behind) * 2 - 1)

    @property
    def marks(self) -> Float[Tensor, "b 68 2"]:
        """The landmarks in the pictures, pixels."""
        return seen_from(self.landmarks, self.K, self.cam_from_world)

    def before(self, background: Float[Tensor, "b 3 h w"]) -> Shots:
        """Before other backgrounds."""
        image = (self.head + (1 - self.alpha) * background) * 2 - 1
        return replace(self, background=background, image=image)

    def box(self, K: Float[Tensor, "b 3 3"], cam_from_world: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4"]:
        """x0, y0, x1, y1 around the faces' 478 points as cameras see them, pixels."""
        points = seen_from(self.face, K, cam_from_world)
        return torch.cat([points.amin(1), points.amax(1)], -1)

    def rays(self, config: Config, resolution: int) -> Rays:
        """Through the pictures' pixels, coarser, in the field's units."""
        return rays_between(self.K, self.cam_from_world, self.image.shape[-1], config, resolution)


def rays_between(
    K: Float[Tensor, "b 3 3"],
    cam_from_world: Float[Tensor, "b 4 4"],
    side: int,
    config: Config,
    resolution: int,
) -> Rays:
    """Rays of square cameras in the field's units."""
    size = torch.full((len(K), 2), float(side), device=K.device)
    return rays_through(K, cam_from_world, size, resolution, config.cube / 2, config.units_per_metre)


def shots_of(batch: SynthBatch) -> Shots:
    """Synthetic pictures as training wants them."""

    def channels_first(x: Float[Tensor, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
        return x.permute(0, 3, 1, 2).contiguous()

    alpha = batch.alpha[:, None]
    rgb, background = channels_first(batch.rgb), channels_first(batch.background)
    h, w = rgb.shape[2:]
    y, x = torch.meshgrid(
        torch.arange(h, device=rgb.device) + 0.5, torch.arange(w, device=rgb.device) + 0.5, indexing="ij"
    )
    K = batch.views.K
    slope = [(g - K[:, i, 2, None, None]) / K[:, i, i, None, None] for i, g in enumerate((x, y))]
    along = (1 + slope[0] ** 2 + slope[1] ** 2).sqrt()
    return Shots(
        rgb * 2 - 1, rgb - (1 - alpha) * background, background, alpha, (batch.depth * along)[:, None], K,
        batch.views.cam_from_world, batch.landmarks68_world, batch.landmarks478_world, batch.params,
    )  # fmt: skip


def several_views(people: int, views: int, side: int, index: int, seed: int, device: torch.device) -> Shots:
    """``views`` pictures of each of ``people`` synthetic heads, views running fastest."""
    config = SynthConfig(size=side, people=people, views=views, framing="portrait4d")
    return shots_of(make_batch(config, device, seed, np.arange(people) + index * people))


def clip_frames(people: int, frames: int, side: int, index: int, seed: int, device: torch.device) -> Shots:
    """``frames`` pictures of the clip of each of ``people`` synthetic heads: one camera, one light."""
    config = SynthConfig(
        size=side, people=people, frames=frames, clip=True, fps=CLIP_FPS, framing="portrait4d"
    )
    return shots_of(make_batch(config, device, seed, np.arange(people) + index * people))


def drawn_views(count: int, side: int, index: int, seed: int, device: torch.device) -> Views:
    """Cameras of the paper's distribution."""
    rows = np.stack([np.full(count, index), np.arange(count), np.full(count, 77)], 1).astype(np.int64)
    return draw_views("portrait4d", Dice(rows, seed, device), side)


def seen_from(
    points: Float[Tensor, "b n 3"], K: Float[Tensor, "b 3 3"], cam_from_world: Float[Tensor, "b 4 4"]
) -> Float[Tensor, "b n 2"]:
    """Pixels of world points."""
    at = points @ cam_from_world[:, :3, :3].transpose(1, 2) + cam_from_world[:, None, :3, 3]
    at = at @ K.transpose(1, 2)
    return at[..., :2] / at[..., 2:].clamp(min=1e-6)


@cache
def head_model(device: str) -> HeadModel:
    """The bundled head on a device, once a process."""
    return HeadModel.load().to(device)


def neck_field(params: HeadParams, config: Config) -> NeckField:
    """The rotation field of heads in a batch."""
    head = head_model(str(params.expression.device))
    return NeckField(head, params, config.cube, config.units_per_metre)
