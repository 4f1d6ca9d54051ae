"""Incremental GAN inversion (Sec. 3.3, 3.4): frames, one after the other, become a head.

The first frame gives latents and with them a coarse head; every frame's residual against its rendering
updates the states of E_tex and E_tri, from which a finer head is decoded at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from headcast.methods.invertavatar.paper.conditions import MeshCondition
from headcast.methods.invertavatar.paper.config import InvertConfig
from headcast.methods.invertavatar.paper.encoders import (
    Hidden,
    LatentEncoder,
    TextureEncoder,
    TriplaneEncoder,
)
from headcast.methods.invertavatar.paper.generator import CanonicalFeatures, HeadGenerator, Label

__all__ = ["Inversion", "PosedFrames", "State"]


@dataclass(frozen=True)
class PosedFrames:
    """What is known of t frames of each of b people.

    Attributes:
        image: (b, t, 3, h, w), -1..1. label: (b, t, 25) cameras. condition: (b, t, s, s, 3) posed meshes.
        texel: (b, t, s, s, 2) where every texel lies in the image, -1..1. visible: (b, t, 1, s, s), 1 where
            it is seen.
        landmarks: (b, t, 1, h, w) the landmarks' contours, 0..1. box: (b, t, 4) around the face, pixels.
    """

    image: Float[Tensor, "b t 3 h w"]
    label: Float[Tensor, "b t 25"]
    condition: Float[Tensor, "b t s s 3"]
    texel: Float[Tensor, "b t s s 2"]
    visible: Float[Tensor, "b t 1 s s"]
    landmarks: Float[Tensor, "b t 1 h w"]
    box: Float[Tensor, "b t 4"]

    def __getitem__(self, which: slice | Tensor | list[int]) -> PosedFrames:
        """Select frames, the same ones of everybody."""
        return PosedFrames(**{k: v[:, which] for k, v in vars(self).items()})

    def showing(self, image: Float[Tensor, "b t 3 h w"]) -> PosedFrames:
        """Replace the images, seen from the same cameras with the same poses."""
        return replace(self, image=image)


class State(NamedTuple):
    """Memory of all frames so far, of constant size: the hidden states of both encoders."""

    texture: Hidden
    triplane: Hidden


class UNets(nn.Module):
    """E_tex and E_tri, under the name that the published network gives the pair."""

    def __init__(self, config: InvertConfig, recurrent: bool) -> None:
        super().__init__()
        self.texture_unet = TextureEncoder(config, recurrent)
        self.triplane_unet = TriplaneEncoder(config, recurrent)


class Inversion(nn.Module):
    """HeadGenerator and encoders: the whole of the published ``inversionNet``.

    Args:
        recurrent: E_tex_rec and E_tri_rec, for any number of frames; else one-shot.
    """

    def __init__(self, config: InvertConfig, recurrent: bool = True) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("latent_avg", torch.zeros(1, config.style))
        self.register_buffer("black_uv_bg", -torch.ones(1, 3, config.side, config.side))
        self.generator = HeadGenerator(config)
        self.encoder = LatentEncoder(config)
        self.unet_encoder = UNets(config, recurrent)
        self.fixed: list[nn.Module] = []

    def fix(self, *parts: nn.Module) -> None:
        """Hold parts constant in what follows, the statistics of their norms included."""
        for part in parts:
            part.requires_grad_(False).eval()
        self.fixed += parts

    def train(self, mode: bool = True) -> Inversion:
        """Switch the mode; fixed parts stay in evaluation mode."""
        super().train(mode)
        for part in self.fixed:
            part.eval()
        return self

    def latents(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n d"]:
        """Compute ŵ = E_latent(I)."""
        return self.encoder(image) + self.get_buffer("latent_avg")

    def coarse(self, image: Float[Tensor, "b 3 h w"]) -> CanonicalFeatures:
        """Invert first frames into W+: F_tex_w and F_tri_w."""
        return self.generator.canonical(self.latents(image))

    def render(
        self, head: CanonicalFeatures, condition: MeshCondition, label: Label
    ) -> Float[Tensor, "b 3 h w"]:
        """Render heads as they appear in one frame each."""
        return self.generator(head, condition, label).image

    @torch.no_grad()
    def residuals(self, head: CanonicalFeatures, frames: PosedFrames) -> Float[Tensor, "b t 3 h w"]:
        """Compute ΔI = I - Î of each frame against the coarse head; the published network has Î - I."""
        shown = [
            self.render(head, frames.condition[:, t], frames.label[:, t])
            for t in range(frames.image.shape[1])
        ]
        return frames.image - torch.stack(shown, 1)

    def unwrap(self, image: Float[Tensor, "b t 3 h w"], frames: PosedFrames) -> Float[Tensor, "b t 3 s s"]:
        """Bring images to UV space; black where a texel isn't seen."""
        b, t = image.shape[:2]
        flat = grid_sample(
            image.flatten(0, 1), frames.texel.flatten(0, 1), mode="bilinear", align_corners=False
        ).unflatten(0, (b, t))
        return torch.where(frames.visible > 0, flat, self.get_buffer("black_uv_bg"))

    def refine(
        self, head: CanonicalFeatures, frames: PosedFrames, state: State | None = None
    ) -> tuple[CanonicalFeatures, State]:
        """Take in more frames: from a coarse head and the memory to a finer head and the new memory."""
        residual = self.residuals(head, frames)
        views = [self.unwrap(x, frames) for x in (frames.image, residual)]
        texture, triplane = self.unet_encoder.texture_unet, self.unet_encoder.triplane_unet
        offsets, h_texture = texture(torch.cat([*views, frames.visible], 2), state and state.texture)
        modulation, h_plane = triplane(torch.cat([frames.image, residual], 2), state and state.triplane)
        textures = [f + d for f, d in zip(head.textures, offsets, strict=True)]
        static = self.generator.backbone.synthesis(head.ws, "const", modulation)
        return CanonicalFeatures(head.ws, textures, static), State(h_texture, h_plane)
