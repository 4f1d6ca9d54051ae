"""The synthesizer Ψ of Portrait4D-v2: a source image and two motion embeddings become a head for any camera.

One module, two configurations. ``OFFICIAL`` has the parameters of the published network, by name and
shape; ``SMALL`` has the same parts, narrow enough for a CPU. The static synthesizer Ψ3d (Sec. 4.2) is the
same module called without motion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, layer_norm

from headcast.camera import Camera
from headcast.methods.portrait4d.encoders import (
    BackgroundNet,
    DetailEncoder,
    GlobalEncoder,
    append_coordinates,
)
from headcast.methods.portrait4d.expression_planes import ExpressionPlanes
from headcast.methods.portrait4d.transformer import Canonicalizer, TriplaneGenerator
from headcast.nets.skip_synthesis import Noise, SuperResolution
from headcast.nets.triplane import RadianceDecoder, sample_planes
from headcast.render.volume import RayMarchOutput, Rays, rays_of, render_rays

__all__ = ["OFFICIAL", "SMALL", "TINY", "Appearance", "Config", "Head", "RenderOutput", "Synthesizer"]

NEGATIVE_SLOPE = 0.2
"""Negative slope of leaky activations."""
PERSON_OFFSET_SCALE = 3.0
"""Scale of the person's offset from the mean planes; a larger scale trains faster."""
Warp = Callable[[Float[Tensor, "b n 3"]], Float[Tensor, "b n 3"]]
"""Map from points of the posed head to the canonical one (the neck's rotation field), world units."""


@dataclass(frozen=True)
class Config:
    """Sizes of Ψ.

    Attributes:
        side: of the source image and of the output, pixels. The planes have half of it, the volume rendering
            a quarter.
        motion_dim: length of a motion embedding.
        global_width, detail_widths: channels of the encoders' features. plane_channels: of the tri-planes.
        motion_hidden, motion_tokens: width of the MLP on motion embeddings, number of tokens it outputs.
        style_dim: length of the style vector w of the super-resolution, constant here.
        cube_side: of the cube that the planes span, world units.
        coarse_samples, fine_samples: samples along a ray, stratified and importance sampled.
        units_per_metre: world units per metre. The published network's world is FLAME's, scaled by three.
        origin: the world's origin in the head frame, metres. That of the published network is FLAME's neck
            joint. centre: what its cameras look at and crops are centred on, head frame, metres.
        mean_planes: learn mean planes of all heads as parameters, to which the generator adds a person's
            offset. Not in the paper; it saves training time.
        normalize_features: scale features to unit RMS, normalize embeddings, use leaky activations.
        expression_planes: number of learned planes that expressions add (module ``expression_planes``); 0: as
            in the paper.
    """

    side: int = 512
    motion_dim: int = 548
    resnet_width: int = 64
    resnet_blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    global_width: int = 256
    detail_widths: tuple[int, int] = (64, 96)
    token_width: int = 1024
    attention_heads: int = 4
    transformer_blocks: int = 4
    motion_hidden: int = 512
    motion_tokens: int = 64
    canonical_widths: tuple[int, int] = (128, 96)
    triplane_widths: tuple[int, int] = (256, 128)
    triplane_heads: int = 2
    plane_channels: int = 32
    decoder_width: int = 64
    background_width: int = 64
    style_dim: int = 512
    super_widths: tuple[int, int] = (256, 128)
    cube_side: float = 1.3
    coarse_samples: int = 48
    fine_samples: int = 48
    units_per_metre: float = 3.0
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    centre: tuple[float, float, float] = (0.0, 0.022, 0.03)
    mean_planes: bool = False
    normalize_features: bool = False
    expression_planes: int = 0


OFFICIAL = Config()
SMALL = Config(
    side=128,
    motion_dim=64,
    resnet_width=16,
    resnet_blocks=(1, 1, 1, 1),
    global_width=64,
    detail_widths=(16, 24),
    token_width=128,
    attention_heads=4,
    transformer_blocks=1,
    motion_hidden=64,
    motion_tokens=8,
    canonical_widths=(40, 32),
    triplane_widths=(40, 32),
    plane_channels=16,
    decoder_width=32,
    background_width=12,
    style_dim=32,
    super_widths=(32, 24),
    coarse_samples=12,
    fine_samples=12,
    mean_planes=True,
    normalize_features=True,
    expression_planes=24,
)


TINY = replace(
    SMALL,
    side=64,
    motion_dim=16,
    resnet_width=8,
    resnet_blocks=(1, 1, 1, 1),
    global_width=16,
    detail_widths=(8, 8),
    token_width=32,
    transformer_blocks=1,
    motion_hidden=16,
    motion_tokens=4,
    canonical_widths=(16, 8),
    triplane_widths=(16, 16),
    plane_channels=8,
    decoder_width=16,
    background_width=8,
    style_dim=16,
    super_widths=(16, 16),
    coarse_samples=12,
    fine_samples=12,
    expression_planes=4,
)
"""Smallest configuration, for tests and dry runs; learns little."""


@dataclass(frozen=True)
class Appearance:
    """Features of a source image that don't depend on the driver.

    Attributes:
        tokens: (b, n, c) canonical tokens, the source's expression removed.
        columns: width of the token grid.
        detail: (b, d, side/2, side/2). background: (b, f, side, side) features in 0..1.
    """

    tokens: Float[Tensor, "b n c"]
    columns: int
    detail: Float[Tensor, "b d h w"]
    background: Float[Tensor, "b f h2 w2"]


@dataclass(frozen=True)
class Head:
    """A generated head: tri-planes (b, 3, f, h, w), background features (b, f, side, side)."""

    planes: Float[Tensor, "b 3 f h w"]
    background: Float[Tensor, "b f h2 w2"]


@dataclass(frozen=True)
class RenderOutput:
    """A head rendered from one camera.

    Attributes:
        image: (b, 3, side, side), about -1..1, from the super-resolution.
        image_raw: (b, 3, n, n), colours of the volume rendering, -1..1.
        feature: (b, f, n, n), features of the volume rendering; their first three channels are image_raw.
        alpha: (b, 1, n, n) opacity of the head. depth: (b, 1, n, n) along the ray, world units.
        march: the samples along the rays. background: (b, 3, n, n), colours of the background alone, -1..1.
    """

    image: Float[Tensor, "b 3 h w"]
    image_raw: Float[Tensor, "b 3 n n"]
    feature: Float[Tensor, "b f n n"]
    alpha: Float[Tensor, "b 1 n n"]
    depth: Float[Tensor, "b 1 n n"]
    march: RayMarchOutput
    background: Float[Tensor, "b 3 n n"]


class Synthesizer(nn.Module):
    """Ψ, and Ψ3d where no motion is given."""

    def __init__(self, config: Config = SMALL) -> None:
        super().__init__()
        c = self.config = config
        self.register_buffer("w_avg", torch.zeros(c.style_dim))
        self.encoder_global = GlobalEncoder(c.resnet_width, c.resnet_blocks, c.global_width)
        self.encoder_detail = DetailEncoder(*c.detail_widths)
        self.encoder_canonical = Canonicalizer(
            c.global_width,
            c.token_width,
            c.attention_heads,
            c.transformer_blocks,
            c.motion_dim,
            c.motion_hidden,
            c.motion_tokens,
            *c.canonical_widths,
            leak=NEGATIVE_SLOPE if c.normalize_features else 0.0,
        )
        self.generator_triplane = TriplaneGenerator(
            c.canonical_widths[1],
            c.detail_widths[1],
            c.triplane_widths,
            c.token_width,
            c.triplane_heads,
            c.plane_channels,
        )
        self.background = BackgroundNet(c.background_width, c.plane_channels)
        self.superresolution = SuperResolution(c.plane_channels, c.super_widths, c.style_dim, c.side // 4)
        self.decoder = RadianceDecoder(c.plane_channels, c.decoder_width, c.plane_channels)
        if c.mean_planes:
            self.mean = nn.Parameter(0.1 * torch.randn(1, 3, c.plane_channels, c.side // 2, c.side // 2))
            init_weights(self)
        self.moving = None  # this name and ``mean`` are those of weights files
        if c.expression_planes:
            half_cube_m = c.cube_side / 2 / c.units_per_metre
            self.moving = ExpressionPlanes(
                c.motion_dim, c.expression_planes, c.plane_channels, c.side // 2, half_cube_m
            )

    def appearance(
        self, image: Float[Tensor, "b 3 h w"], source: Float[Tensor, "b m"] | None = None
    ) -> Appearance:
        """Encode a source image (-1..1); ``source`` is its motion embedding v_s, None for Ψ3d."""
        x = append_coordinates(image)
        features, detail = self.encoder_global(x), self.encoder_detail(x)
        if self.config.normalize_features:
            features, detail = normalize_rms(features), normalize_rms(detail)
        tokens = self.encoder_canonical.neutral(features, self.normalize_motion(source))
        return Appearance(tokens, features.shape[-1] // 2, detail, self.background(x))

    def normalize_motion(self, embedding: Float[Tensor, "b m"] | None) -> Float[Tensor, "b m"] | None:
        """Normalize a motion embedding for the attention layers, if ``normalize_features``."""
        if embedding is None or not self.config.normalize_features:
            return embedding
        return layer_norm(embedding.float(), embedding.shape[1:], eps=1e-8)

    def head(self, appearance: Appearance, driver: Float[Tensor, "b m"] | None = None) -> Head:
        """Generate the tri-planes T; ``driver`` is the motion embedding v_d, None for Ψ3d."""
        motion = self.normalize_motion(driver)
        canonical = self.encoder_canonical.reenacted(appearance.tokens, motion, appearance.columns)
        planes = self.generator_triplane(canonical, appearance.detail)
        if self.config.mean_planes:
            planes = self.mean + PERSON_OFFSET_SCALE * planes
        if self.moving is not None and motion is not None:
            planes = planes + self.moving(motion)
        return Head(planes, appearance.background)

    def radiance(
        self, planes: Float[Tensor, "b 3 f h w"], points: Float[Tensor, "b n 3"]
    ) -> tuple[Float[Tensor, "b n 1"], Float[Tensor, "b n f"]]:
        """Decode density logits and colour features of points, world units (Eq. 1)."""
        return self.decoder(sample_planes(planes, points, self.config.cube_side))

    def rays(self, cameras: list[Camera], resolution: int | None = None) -> Rays:
        """Cast rays through square images of cameras (metres), in world units."""
        c = self.config
        return rays_of(cameras, resolution or c.side // 4, c.cube_side / 2, c.units_per_metre)

    def render(
        self,
        head: Head,
        rays: Rays,
        warp: Warp | None = None,
        jitter: bool = False,
        noise: Noise = "none",
    ) -> RenderOutput:
        """Render R(T, θ): volume rendering over the background, then super-resolution.

        Args:
            warp: the neck's rotation field. jitter: perturb the samples along rays, for training.
            noise: of the super-resolution's layers.
        """
        c = self.config

        def field(points: Tensor) -> tuple[Tensor, Tensor]:
            return self.radiance(head.planes, points if warp is None else warp(points))

        march = render_rays(field, rays, c.coarse_samples, c.fine_samples, jitter)
        raw_side = round(rays.origin.shape[1] ** 0.5)

        def to_image(x: Float[Tensor, "b r c"]) -> Tensor:
            return x.transpose(1, 2).unflatten(2, (raw_side, raw_side))

        background = interpolate(head.background, (raw_side, raw_side), mode="bilinear")
        transmittance = to_image(march.transmittance[..., None])
        feature = (to_image(march.colour) + transmittance * background) * 2 - 1
        image_raw = feature[:, :3]
        w = self.get_buffer("w_avg").expand(len(feature), -1)
        image = self.superresolution(image_raw, feature, w, noise)
        return RenderOutput(
            image=image,
            image_raw=image_raw,
            feature=feature,
            alpha=1 - transmittance,
            depth=to_image(march.depth[..., None]),
            march=march,
            background=background[:, :3] * 2 - 1,
        )


def normalize_rms(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Scale the features of each image to a root mean square of 1."""
    return x * (x.float().square().mean((1, 2, 3), keepdim=True) + 1e-6).rsqrt().to(x)


def init_weights(network: Synthesizer) -> None:
    """Initialize weights so that activations keep their scale (He et al. 2015): the encoders have no norms.

    The last convolution starts near zero, so that training starts from the mean planes.
    """
    generator, canonicalizer = network.generator_triplane, network.encoder_canonical
    for module in (
        canonicalizer.maps,
        canonicalizer.maps_neutral,
        canonicalizer.proj_y,
        canonicalizer.proj_y_neutral,
    ):
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
    for name, p in canonicalizer.named_parameters():
        if name.endswith("attn2.kv.weight"):
            nn.init.normal_(p, std=p.shape[1] ** -0.5)
    for module in (
        network.encoder_global,
        network.encoder_detail,
        canonicalizer.convs,
        generator.convs1,
        generator.convs2,
    ):
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
    nn.init.normal_(generator.conv_last.weight, std=1e-3)
    if generator.conv_last.bias is not None:
        nn.init.zeros_(generator.conv_last.bias)
