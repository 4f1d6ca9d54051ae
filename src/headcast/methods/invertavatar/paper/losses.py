"""Terms of Eq. 2 and Eq. 3 with the paper's weights, and the regularisers of A.1 (EG3D's)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, pad

from headcast.methods.invertavatar.paper.generator import CanonicalFeatures, FieldRendering, HeadGenerator
from headcast.nets.linear import EqualizedLinear
from headcast.priors.encoder.infer import face_crops
from headcast.priors.encoder.network import Encoder

__all__ = [
    "STAGE_1",
    "STAGE_2",
    "LatentDiscriminator",
    "blur_images",
    "canonical_terms",
    "density_smoothness",
    "face_identity_loss",
    "image_terms",
]

STAGE_1 = {"l1": 1.0, "lpips": 0.5, "identity": 0.25}
"""Weights of Eq. 2; its adversarial terms have 1."""
STAGE_2 = {"l1": 1.0, "lpips": 1.0, "tri": 0.001, "tex": 0.001, "raw": 1.0, "adversarial": 0.1}
"""Weights of Eq. 3, also those of the recurrent stage."""
DENSITY_POINTS, DENSITY_SHIFT = 1000, 0.004
"""Points at which EG3D compares densities, and how far apart, fractions of the cube's side."""
LATENT_LAYERS = 4
"""Layers of D_W (e4e, Tov et al. 2021)."""


def image_terms(
    image: Float[Tensor, "b 3 h w"], truth: Float[Tensor, "b 3 h w"], encoder: Encoder
) -> dict[str, Tensor]:
    """Compute L_1 and, by our encoder's features in place of LPIPS, L_lpips; unweighted."""
    return {"l1": (image - truth).abs().mean(), "lpips": encoder.distance(image, truth).mean()}


def face_identity_loss(
    image: Float[Tensor, "b 3 h w"],
    truth: Float[Tensor, "b 3 h w"],
    box: Float[Tensor, "b 4"],
    encoder: Encoder,
) -> Float[Tensor, ""]:
    """Compute L_ID: 1 - cosine of embeddings of the faces, by our encoder in place of ArcFace."""
    one, other = (encoder.embed(face_crops(x, box)) for x in (image, truth))
    return 1 - (one * other).sum(-1).mean()


def canonical_terms(
    made: CanonicalFeatures, truth: CanonicalFeatures, rendered: FieldRendering, true_render: FieldRendering
) -> dict[str, Tensor]:
    """Compute L_tex, L_tri and L_raw: L1 of neural textures, static tri-planes and the volume's image."""
    pairs = list(zip(made.textures, truth.textures, strict=True))
    return {
        "tex": sum((mean_l1(a, b) for a, b in pairs), torch.zeros([], device=made.ws.device)) / len(pairs),
        "tri": mean_l1(made.static.image, truth.static.image),
        "raw": mean_l1(rendered.feature, true_render.feature),
    }


def mean_l1(a: Tensor, b: Tensor) -> Float[Tensor, ""]:
    """Compute the mean absolute difference."""
    return (a - b).abs().mean()


def density_smoothness(generator: HeadGenerator, planes: Float[Tensor, "b 3 c s s"]) -> Float[Tensor, ""]:
    """Compute EG3D's density regulariser: L1 between densities of close points, anywhere in the cube."""
    side = generator.config.cube_side
    points = (torch.rand(len(planes), DENSITY_POINTS, 3, device=planes.device) - 0.5) * side
    close = points + torch.randn_like(points) * (DENSITY_SHIFT * side)
    here, there = (generator.radiance(planes, p)[0] for p in (points, close))
    return mean_l1(here, there)


def blur_images(images: Sequence[Tensor], sigma: float) -> list[Tensor]:
    """Blur images with a Gaussian of ``sigma`` pixels of the first one; others proportionally."""
    if sigma <= 0:
        return list(images)
    side = images[0].shape[-1]
    return [blur_one(x, sigma * x.shape[-1] / side) for x in images]


def blur_one(x: Float[Tensor, "b c h w"], sigma: float) -> Float[Tensor, "b c h w"]:
    """Blur one batch, separably; edges are repeated."""
    radius = min(int(3 * sigma), x.shape[-1] - 1)
    if radius < 1:
        return x
    at = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    wide = pad(x, (radius, radius, radius, radius), mode="replicate")
    wide = conv2d(wide, kernel[:, :, None], groups=x.shape[1])
    return conv2d(wide, kernel[..., None], groups=x.shape[1])


class LatentDiscriminator(nn.Module):
    """D_W: tells latents of the mapping network from those of E_latent, one by one (A.2.1)."""

    def __init__(self, style: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EqualizedLinear(style, style) for _ in range(LATENT_LAYERS - 1))
        self.out = EqualizedLinear(style, 1)

    def forward(self, w: Float[Tensor, "n s"]) -> Float[Tensor, "n 1"]:
        """Compute logits that latents come from the mapping network."""
        for layer in self.layers:
            w = leaky_relu(layer(w), 0.2)
        return self.out(w)
