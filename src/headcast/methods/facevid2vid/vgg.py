"""The paper's perceptual distance with the user's VGG (Johnson et al. 2016); nothing of it is bundled."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headcast.metrics.lpips import SCALE, SHIFT, Vgg16
from headcast.metrics.weightfile import fill, read_weights

__all__ = ["VggDistance"]


class VggDistance(nn.Module):
    """L1 between feature maps of five depths of VGG-16, summed; images in -1..1.

    Args:
        file: state dict of torchvision's vgg16; its classifier is not used.

    Raises:
        HeadcastError: another file.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, file: str | Path) -> None:
        super().__init__()
        self.backbone = Vgg16()
        fill(self.backbone, read_weights(file), file, unused=("classifier.",))
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])

    def forward(self, a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
        """Compute one distance for each pair."""
        maps = [self.backbone.maps((x - self.shift) / self.scale) for x in (a, b)]
        terms = [(p - q.detach()).abs().mean((1, 2, 3)) for p, q in zip(*maps, strict=True)]
        return torch.stack(terms).sum(0)
