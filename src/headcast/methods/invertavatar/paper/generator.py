"""The animatable 3D GAN (Sec. 3.2, A.1): neural textures, a static tri-plane, and a face between them.

G_tex generates neural textures in UV space, G_static a tri-plane. The textures are rasterised through the
posed mesh at several scales (``conditions``) and laid over the features of G_face, which fills in what the
mesh lacks, the inner mouth above all; its result is blended into the frontal plane. Names of parameters are
the published ones, in which G_static is ``backbone``; of its three mapping networks only that of
``backbone`` is used. The paper's 84.21 M parameters are 2^20 each: 88.30 million.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headcast.methods.invertavatar.paper.conditions import (
    MeshCondition,
    fill_holes,
    paste_into_plane,
    rasterize_textures,
)
from headcast.methods.invertavatar.paper.config import InvertConfig
from headcast.nets.mapping import MappingNetwork
from headcast.nets.sft import Condition
from headcast.nets.skip_synthesis import Noise, SuperResolution
from headcast.nets.stylegan2 import FeaturePyramid, StyleBackbone, Synthesis
from headcast.nets.triplane import XY_XZ_ZX, JointRadianceDecoder, sample_planes
from headcast.render.volume import Rays, rays_through, render_rays

__all__ = ["FACE_LEVELS", "CanonicalFeatures", "FieldRendering", "HeadGenerator", "rays_of_labels"]

FACE_LEVELS = 4
"""Levels of a feature pyramid that G_face is conditioned on: skip image and features at 32, 64, 128."""
Label = Float[Tensor, "b 25"]
"""Cameras: world from OpenCV camera (16 numbers), then intrinsics in image sizes (9); world units."""


@dataclass(frozen=True)
class CanonicalFeatures:
    """A head before it moves (F_tex and F_tri).

    Attributes:
        ws: (b, n, style) its latents. textures: levels of the neural textures that are rasterised, the skip
            image first.
        static: feature pyramid of the static tri-plane, 3 x c channels in its images.
    """

    ws: Float[Tensor, "b n d"]
    textures: list[Tensor]
    static: FeaturePyramid


@dataclass(frozen=True)
class FieldRendering:
    """A head rendered from cameras.

    Attributes:
        image: (b, 3, 4n, 4n), about -1..1. feature: (b, c, n, n) of the volume rendering.
        depth: (b, 1, n, n) along the ray, world units.
    """

    image: Float[Tensor, "b 3 h w"]
    feature: Float[Tensor, "b c n n"]
    depth: Float[Tensor, "b 1 n n"]

    @property
    def image_raw(self) -> Float[Tensor, "b 3 n n"]:
        """Colours of the volume rendering (I_raw), -1..1."""
        return self.feature[:, :3]


class HeadGenerator(nn.Module):
    """Latents, a mesh condition and a camera become an image."""

    def __init__(self, config: InvertConfig) -> None:
        super().__init__()
        c = self.config = config
        self.texture_backbone = self.make_backbone(c.plane_channels)
        self.face_backbone = self.make_backbone(c.plane_channels)
        self.backbone = self.make_backbone(3 * c.plane_channels)
        self.superresolution = SuperResolution(c.plane_channels, c.super_widths, c.style, c.raw_side)
        self.decoder = JointRadianceDecoder(c.plane_channels, c.decoder_width, c.plane_channels)

    def make_backbone(self, colours: int) -> StyleBackbone:
        """Build one of the three StyleGAN2 backbones."""
        c = self.config
        mapping = MappingNetwork(c.code, c.label, c.style)
        return StyleBackbone(mapping, Synthesis(c.side, colours, c.style, c.channel_base, c.channel_most))

    def map(self, z: Float[Tensor, "b z"], label: Label, truncation: float = 1.0) -> Float[Tensor, "b n d"]:
        """Map random codes to latents, the same for every layer; the label conditions on a pose."""
        w = self.backbone.mapping(z, label, truncation)
        return w[:, None].expand(-1, self.config.latents, -1)

    def canonical(
        self,
        ws: Float[Tensor, "b n d"],
        noise: Noise = "const",
        modulation: Mapping[int, Condition] | None = None,
    ) -> CanonicalFeatures:
        """Generate G_tex(w) and G_static(w), the latter modulated by E_tri's features if given."""
        half = self.config.side // 2  # nothing reads the finest block of the textures
        textures = self.texture_backbone.synthesis(ws, noise, last=half).levels[:FACE_LEVELS]
        return CanonicalFeatures(ws, textures, self.backbone.synthesis(ws, noise, modulation))

    def planes(
        self, head: CanonicalFeatures, condition: MeshCondition, noise: Noise = "const"
    ) -> Float[Tensor, "b 3 c s s"]:
        """Pose a head: G_face conditioned on the rasterised textures, blended into the frontal plane."""
        c = self.config.plane_channels
        static = head.static.levels[:FACE_LEVELS]
        blends = rasterize_textures(head.textures, static, condition)
        face = self.face_backbone.synthesis(head.ws, noise, blends=blends).image
        mask = fill_holes(condition[..., 2:].permute(0, 3, 1, 2))
        mask = paste_into_plane(mask, self.config.side)
        frontal, others = head.static.image.split([c, 2 * c], 1)
        frontal = paste_into_plane(face, self.config.side) * mask + frontal * (1 - mask)
        return torch.cat([frontal, others], 1).unflatten(1, (3, c))

    def radiance(
        self, planes: Float[Tensor, "b 3 c s s"], points: Float[Tensor, "b n 3"]
    ) -> tuple[Float[Tensor, "b n 1"], Float[Tensor, "b n c"]]:
        """Decode density logits and colour features of points, world units."""
        return self.decoder(sample_planes(planes, points, self.config.cube_side, XY_XZ_ZX))

    def render(
        self,
        planes: Float[Tensor, "b 3 c s s"],
        rays: Rays,
        ws: Float[Tensor, "b n d"],
        jitter: bool = False,
        noise: Noise = "none",
    ) -> FieldRendering:
        """Render R: volume rendering, then super-resolution styled by the last latent.

        Args:
            jitter: perturb the samples along rays, for training. noise: of the super-resolution's layers.
        """
        c = self.config
        march = render_rays(lambda p: self.radiance(planes, p), rays, c.coarse, c.fine, jitter)
        n = round(rays.origin.shape[1] ** 0.5)
        feature = march.colour.transpose(1, 2).unflatten(2, (n, n)) * 2 - 1
        image = self.superresolution(feature[:, :3], feature, ws[:, -1], noise)
        return FieldRendering(image, feature, march.depth.unflatten(1, (n, n))[:, None])

    def forward(
        self,
        head: CanonicalFeatures,
        condition: MeshCondition,
        label: Label,
        side: int | None = None,
        jitter: bool = False,
        noise: Noise = "const",
    ) -> FieldRendering:
        """Pose and render a head; ``side`` is the volume rendering's."""
        rays = rays_of_labels(label, side or self.config.raw_side, self.config)
        return self.render(self.planes(head, condition, noise), rays, head.ws, jitter)


def rays_of_labels(label: Label, side: int, config: InvertConfig) -> Rays:
    """Cast rays through ``side``² pixels of cameras, as the published network does.

    It takes pixels' corners where ``rays_through`` takes their centres: half a pixel to the top left. Near
    and far count from the camera's distance to the origin.
    """
    world_from_cam, K = label[:, :16].unflatten(1, (4, 4)), label[:, 16:].unflatten(1, (3, 3)).clone()
    K[:, :2, 2] += 0.5 / side
    size = torch.ones(len(label), 2)
    rays = rays_through(K, torch.linalg.inv(world_from_cam), size, side, config.cube_side / 2)
    distance = world_from_cam[:, :3, 3].norm(dim=1, keepdim=True)
    return replace(rays, near=distance + config.near, far=distance + config.far)
