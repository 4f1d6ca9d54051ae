"""EG3D's dual discriminator (Chan et al. 2022, Sec. 4.3): it sees a rendering and its raw volume image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu

__all__ = ["DualDiscriminator"]

SLOPE = 0.2
"""Of the leaky ReLUs."""


class DualDiscriminator(nn.Module):
    """Residual discriminator of the super-resolved image and the enlarged volume rendering, six channels.

    Args:
        side: of the images, pixels. width: channels at that side, doubled at each halving up to ``most``.
    """

    def __init__(self, side: int, width: int = 32, most: int = 256) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(6, width, 1)]
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
            nn.Linear(width * n * n, 1),
        )

    def forward(self, image: Float[Tensor, "b 3 h w"], raw: Float[Tensor, "b 3 n n"]) -> Float[Tensor, "b 1"]:
        """Compute logits that pairs are real; minibatch standard deviation is one more feature map."""
        large = interpolate(raw, image.shape[-2:], mode="bilinear", align_corners=False)
        x = self.body(torch.cat([image, large], 1))
        # of a single pair it is 0, where the root has no gradient
        deviation = x.std(0, unbiased=False).mean() if len(x) > 1 else x.new_zeros(())
        spread = deviation.expand(len(x), 1, *x.shape[2:])
        return self.out(torch.cat([x, spread], 1))


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
