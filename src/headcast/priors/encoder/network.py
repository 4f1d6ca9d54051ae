"""The bundled encoder: five levels of features of a face, and a unit identity vector."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, normalize

from headcast.nets.residual import ConvNorm, Residual

__all__ = ["SIDE", "WIDTHS", "Encoder"]

SIDE = 80
"""Pixels of the face crop that ``embed`` works on."""

WIDTHS = (16, 32, 64, 96, 160)
"""Channels at 1, 1/2, 1/4, 1/8 and 1/16 of the image's side."""


class Encoder(nn.Module):
    """Feature encoder of an image in -1..1 (any size for ``features``; a face crop for ``embed``).

    The embedding weighs the places of a 5 x 5 grid channel by channel (the global depthwise convolution of
    MobileFaceNet, Chen et al. 2018) before a linear layer.

    Args:
        widths: channels of the five levels. dims: of the embedding.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, dims: int = 128) -> None:
        super().__init__()
        a, b, c, d, e = widths
        self.levels = nn.ModuleList(
            [
                ConvNorm(3, a),
                ConvNorm(a, b, 2),
                nn.Sequential(ConvNorm(b, c, 2), ConvNorm(c, c)),
                nn.Sequential(ConvNorm(c, d, 2), Residual(d)),
                nn.Sequential(ConvNorm(d, e, 2), Residual(e)),
            ]
        )
        self.place = nn.Conv2d(e, e, SIDE // 16, groups=e, bias=False)
        self.out = nn.Linear(e, dims, bias=False)
        nn.init.normal_(self.place.weight, 16 / SIDE, 0.1)
        self.weights: Tensor
        self.register_buffer("weights", torch.ones(len(widths)))

    def features(self, x: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Return feature maps at 1, 1/2, 1/4, 1/8 and 1/16 of the side, of an image in -1..1."""
        out = []
        for level in self.levels:
            x = level(x)
            out.append(x)
        return out

    def embedded(self, top: Float[Tensor, "b e h w"]) -> Float[Tensor, "b d"]:
        """Return the unit vector of the topmost features."""
        if top.shape[-1] != SIDE // 16 or top.shape[-2] != SIDE // 16:
            top = adaptive_avg_pool2d(top, SIDE // 16)
        return normalize(self.out(self.place(top)[..., 0, 0]), dim=-1)

    def embed(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Embed face crops in -1..1 (see ``face_crops``) as unit vectors; a dot product is a likeness."""
        if x.shape[-2:] != (SIDE, SIDE):
            x = interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)
        return self.embedded(self.features(x)[-1])

    def distance(self, a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
        """Return the perceptual distance of images in -1..1 at their own size; 0 for equal ones.

        As LPIPS (Zhang et al. 2018, Eq. 1): features scaled to unit length at each place, their squared
        difference summed over channels and averaged over places; here summed over levels with ``weights``,
        which make every level count the same between different people.
        """
        total = torch.zeros(len(a), device=a.device)
        for w, p, q in zip(self.weights.unbind(), self.features(a), self.features(b), strict=True):
            total = total + w * ((unit_features(p) - unit_features(q)) ** 2).sum(1).mean((1, 2))
        return total


def unit_features(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Scale features to unit length at each place."""
    return x / (x.square().sum(1, keepdim=True) + 1e-8).sqrt()
