"""Distance of two images by the feature maps of a network: the formula of LPIPS, with or without heads.

R. Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric, CVPR 2018, Eq. 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["FeatureNet", "feature_distance", "to_input"]

EPS = 1e-10


@runtime_checkable
class FeatureNet(Protocol):
    """A network whose feature maps a perceptual distance compares."""

    def features(self, x: Float[Tensor, "b 3 h w"]) -> Sequence[Tensor]:
        """Return feature maps (b, c, h', w') of images in -1..1, finest first."""
        ...


def to_input(images: Sequence[object]) -> Float[Tensor, "b 3 h w"]:
    """Stack 8-bit RGB images of one size to a batch in -1..1."""
    import numpy as np

    stacked = torch.from_numpy(np.stack([np.asarray(p) for p in images]))
    return stacked.permute(0, 3, 1, 2).float() / 127.5 - 1


def normalize_channels(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Scale every pixel's features to unit length."""
    return x / (x.pow(2).sum(1, keepdim=True).sqrt() + EPS)


@torch.no_grad()
def feature_distance(
    a: Sequence[Tensor], b: Sequence[Tensor], heads: Sequence[Float[Tensor, "_"]] | None = None
) -> Float[Tensor, " b"]:
    """Return the sum over maps of the mean over pixels of the squared difference of unit features.

    Args:
        a, b: maps of both sides, finest first.
        heads: (c,) weights of the channels of each map, as LPIPS learned them; None: every channel weighs
            one, and the mean over the maps is taken instead of their sum.
    """
    total = torch.zeros(len(a[0]), device=a[0].device)
    for k, (p, q) in enumerate(zip(a, b, strict=True)):
        off = (normalize_channels(p) - normalize_channels(q)).pow(2)
        weighed = off.sum(1) if heads is None else (off * heads[k][:, None, None]).sum(1)
        total = total + weighed.mean((1, 2)).to(total)
    return total if heads is not None else total / len(a)
