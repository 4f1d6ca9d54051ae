"""Training images of synthetic heads with their truth, channels first: several views, frames of clips."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.head.params import HeadParams
from headcast.render.volume import Rays, rays_through
from headcast.synth.batch import SynthBatch
from headcast.synth.config import SynthConfig
from headcast.synth.framing import CameraFraming
from headcast.synth.rng import CounterRng
from headcast.synth.stream import make_batch
from headcast.synth.views import Views, draw_views, project_to_views

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Shots", "random_views"]

VIEW_ROWS = 77
"""Sets views that belong to no image apart from those of images, in the numbers that key the RNG."""


@dataclass(frozen=True)
class Shots:
    """Images of b heads with all that is known of them.

    Attributes:
        image: (b, 3, h, w) -1..1. head: (b, 3, h, w) the head alone, premultiplied 0..1; background: 0..1.
        alpha: (b, 1, h, w). depth: (b, 1, h, w) along the ray, metres, 0 off the head.
        K, cam_from_world: cameras, intrinsics in pixels of the images.
        landmarks, face: (b, 68 | 478, 3) world, metres. params: of the heads.
        extra: (b, ...) what a method knows besides; it is indexed and joined with the rest.
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
    extra: dict[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, which: slice | Tensor) -> Self:
        kept = {f.name: getattr(self, f.name)[(which,)] for f in fields(self) if f.name != "extra"}
        return type(self)(**kept, extra={k: v[which] for k, v in self.extra.items()})

    @classmethod
    def of(cls, batch: SynthBatch) -> Self:
        """Take over a synthetic batch."""
        alpha = batch.alpha[:, None]
        rgb, background = (x.permute(0, 3, 1, 2).contiguous() for x in (batch.rgb, batch.background))
        h, w = rgb.shape[2:]
        y, x = torch.meshgrid(
            torch.arange(h, device=rgb.device) + 0.5, torch.arange(w, device=rgb.device) + 0.5, indexing="ij"
        )
        K = batch.views.K
        slope = [(g - K[:, i, 2, None, None]) / K[:, i, i, None, None] for i, g in enumerate((x, y))]
        along = (1 + slope[0] ** 2 + slope[1] ** 2).sqrt()
        return cls(
            image=rgb * 2 - 1,
            head=rgb - (1 - alpha) * background,
            background=background,
            alpha=alpha,
            depth=(batch.depth * along)[:, None],
            K=K,
            cam_from_world=batch.views.cam_from_world,
            landmarks=batch.landmarks68_world,
            face=batch.landmarks478_world,
            params=batch.params,
        )

    @classmethod
    def make(cls, config: SynthConfig, index: int, seed: int, device: torch.device) -> Self:
        """Synthesize batch ``index`` of the stream: people x frames x views, views running fastest."""
        people = np.arange(config.people) + index * config.people
        return cls.of(make_batch(config, device, seed, people))

    @classmethod
    def joined(cls, parts: list[Self], device: torch.device) -> Self:
        """Concatenate shots, which have the same ``extra``."""
        found: dict[str, Any] = {}
        for name in (f.name for f in fields(cls)):
            values = [getattr(p, name) for p in parts]
            if name == "params":
                kept = [x.name for x in fields(HeadParams)]
                every = {k: torch.cat([getattr(v, k).to(device) for v in values]) for k in kept}
                found[name] = HeadParams(**every)
            elif name == "extra":
                found[name] = {k: torch.cat([v[k].to(device) for v in values]) for k in values[0]}
            else:
                found[name] = torch.cat([v.to(device) for v in values])
        return cls(**found)

    @property
    def marks(self) -> Float[Tensor, "b 68 2"]:
        """The 68 landmarks in the images, pixels."""
        return project_to_views(self.landmarks, self.K, self.cam_from_world)

    def recoloured(self, head: Float[Tensor, "b 3"], background: Float[Tensor, "b 3"]) -> Self:
        """Scale each channel of heads and of backgrounds."""
        h = torch.minimum(self.head * head[:, :, None, None], self.alpha)
        behind = (self.background * background[:, :, None, None]).clamp(max=1)
        return replace(self, head=h, background=behind, image=(h + (1 - self.alpha) * behind) * 2 - 1)

    def composite_over(self, background: Float[Tensor, "b 3 h w"]) -> Self:
        """Composite over other backgrounds, 0..1."""
        image = (self.head + (1 - self.alpha) * background) * 2 - 1
        return replace(self, background=background, image=image)

    def box(self, K: Float[Tensor, "b 3 3"], cam_from_world: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4"]:
        """Bound the faces' 478 points as cameras see them: x0, y0, x1, y1, pixels."""
        points = project_to_views(self.face, K, cam_from_world)
        return torch.cat([points.amin(1), points.amax(1)], -1)

    def cast_rays(self, resolution: int, radius: float, scale: float) -> Rays:
        """Cast ``resolution``² rays through the images; ``radius`` and ``scale`` as for ``rays_through``."""
        size = torch.full((len(self.K), 2), float(self.image.shape[-1]), device=self.K.device)
        return rays_through(self.K, self.cam_from_world, size, resolution, radius, scale)


def random_views(
    framing: str | CameraFraming, count: int, side: int, index: int, seed: int, device: torch.device
) -> Views:
    """Sample ``count`` cameras of a framing that belong to no image of the stream, for batch ``index``."""
    columns = [np.full(count, index), np.arange(count), np.full(count, VIEW_ROWS)]
    return draw_views(framing, CounterRng(np.stack(columns, 1).astype(np.int64), seed, device), side)
