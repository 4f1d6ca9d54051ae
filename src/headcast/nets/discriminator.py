"""EG3D's dual discriminator (Chan et al. 2022, Sec. 4.3): it sees a rendering and its raw volume image."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu

from headcast.nets.mapping import MappingNetwork

__all__ = ["DualDiscriminator"]

SLOPE = 0.2
"""Of the leaky ReLUs."""
LABEL_LAYERS = 2
"""Fully connected layers on a label."""


class DualDiscriminator(nn.Module):
    """Residual discriminator of the super-resolved image and the enlarged volume rendering, six channels.

    Args:
        side: of the images, pixels. width: channels at that side, doubled at each halving up to ``most``.
        hints: channels of an image that it sees beside the two (a rendering of the mesh, a landmark map).
        label: length of a label, such as the camera's numbers, that logits are conditioned on by projection
            (Miyato & Koyama 2018); 0: none.
    """

    def __init__(self, side: int, width: int = 32, most: int = 256, hints: int = 0, label: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(6 + hints, width, 1)]
        n = side
        while n > 4:
            after = min(2 * width, most)
            layers += [DownsampleBlock(width, after)]
            width, n = after, n // 2
        self.body = nn.Sequential(*layers)
        self.out = nn.Sequential(
            nn.Conv2d(width + 1, width, 3, 1, 1),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(width * n * n, width if label else 1),
        )
        self.mapping = MappingNetwork(0, label, width, LABEL_LAYERS) if label else None

    def forward(
        self,
        image: Float[Tensor, "b 3 h w"],
        raw: Float[Tensor, "b 3 n n"],
        hint: Float[Tensor, "b k h w"] | None = None,
        label: Float[Tensor, "b l"] | None = None,
    ) -> Float[Tensor, "b 1"]:
        """Compute logits that images are real; minibatch standard deviation is one more feature map."""
        large = interpolate(raw, image.shape[-2:], mode="bilinear", align_corners=False)
        x = self.body(torch.cat([image, large] if hint is None else [image, large, hint], 1))
        # of a single pair it is 0, where the root has no gradient
        deviation = x.std(0, unbiased=False).mean() if len(x) > 1 else x.new_zeros(())
        spread = deviation.expand(len(x), 1, *x.shape[2:])
        out = self.out(torch.cat([x, spread], 1))
        if self.mapping is None:
            return out
        wanted = self.mapping(out[:, :0], label)
        return (out * wanted).sum(1, keepdim=True) / math.sqrt(out.shape[1])


class DownsampleBlock(nn.Module):
    """Residual block that halves the size by mean pooling."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(inputs, inputs, 3, 1, 1)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Compute features at half the size, of unit gain."""
        y = avg_pool2d(leaky_relu(self.conv1(leaky_relu(self.conv0(x), 0.2)), 0.2), 2)
        return (y + self.skip(avg_pool2d(x, 2))) * 0.5**0.5
