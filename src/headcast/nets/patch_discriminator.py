"""PatchGAN discriminators at several scales (Isola et al. 2017; Wang et al. 2018, pix2pixHD, Sec. 3.2)."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, instance_norm, leaky_relu

from headcast.nets.spade import SpectralConv2d

__all__ = ["PatchDiscriminator", "PatchScores"]

SLOPE = 0.2
"""Of the leaky ReLUs."""
KERNEL = 4
"""Side of the kernels, pixels."""


class PatchScores(NamedTuple):
    """Scores of an image's patches, and the features below them, which losses may match."""

    scores: Float[Tensor, "b 1 h w"]
    features: tuple[Float[Tensor, "b _ _ _"], ...]


class PatchPyramidLevel(nn.Module):
    """Discriminator of the patches of one scale: strided convolutions with spectral and instance norm."""

    def __init__(self, width: int, most: int, layers: int) -> None:
        super().__init__()
        widths = [min(width * 2**k, most) for k in range(layers)]
        strides = [2] * (layers - 1) + [1]
        self.convs = nn.ModuleList(
            SpectralConv2d(a, b, KERNEL, stride=s, padding=1)
            for a, b, s in zip([3, *widths], widths, strides, strict=False)
        )
        self.out = SpectralConv2d(widths[-1], 1, KERNEL, padding=1)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> PatchScores:
        """Score the patches of an image."""
        features = []
        for k, conv in enumerate(self.convs):
            x = conv(x)
            x = leaky_relu(instance_norm(x) if k else x, SLOPE)
            features.append(x)
        return PatchScores(self.out(x), tuple(features))


class PatchDiscriminator(nn.Module):
    """One discriminator for each scale: the image, its half, its quarter, ...

    Args:
        scales: number of them. width: channels of the first layer, doubled by each of ``layers`` up to
            ``most``.
    """

    def __init__(self, scales: int = 2, width: int = 64, most: int = 512, layers: int = 4) -> None:
        super().__init__()
        self.levels = nn.ModuleList(PatchPyramidLevel(width, most, layers) for _ in range(scales))

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> list[PatchScores]:
        """Score the patches of an image at every scale, the finest first."""
        out = []
        for k, level in enumerate(self.levels):
            image = avg_pool2d(image, 2) if k else image
            out.append(level(image))
        return out
