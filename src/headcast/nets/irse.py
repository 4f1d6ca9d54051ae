"""IR-SE-50: the residual network with squeeze-and-excitation of ArcFace (Deng et al. 2019; Hu et al. 2018).

The encoders of e4e (Tov et al. 2021) and InvertAvatar stand on its body; parameter names are the published
ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["IRSE_50", "BodySizes", "IrseBody"]

BodySizes = tuple[tuple[int, int], ...]
"""Width and number of bottlenecks of every stage, each of which halves the side."""
IRSE_50: BodySizes = ((64, 3), (128, 4), (256, 14), (512, 3))
REDUCTION = 16
"""Channels over those of the squeezed vector."""


class SqueezeExcitation(nn.Module):
    """Scale every channel by a factor that the means of all channels decide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = max(1, width // REDUCTION)
        self.fc1 = nn.Conv2d(width, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, width, 1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Scale the channels of features."""
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class IrseBottleneck(nn.Module):
    """Norm, convolution, PReLU, strided convolution, norm, squeeze-and-excitation; plus the input."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        if inputs == width:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, width, 3, 1, 1, bias=False),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            SqueezeExcitation(width),
        )

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Compute features, at half the size with a stride of 2."""
        return self.res_layer(x) + self.shortcut_layer(x)


class IrseBody(nn.Module):
    """Input layer and bottlenecks of IR-SE, without its head.

    Args:
        inputs: channels of the image. sizes: of the stages; the input layer is as wide as the first.
    """

    def __init__(self, inputs: int, sizes: BodySizes = IRSE_50) -> None:
        super().__init__()
        widths = [sizes[0][0], *(w for w, _ in sizes)]
        self.input_layer = nn.Sequential(
            nn.Conv2d(inputs, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.PReLU(widths[0])
        )
        self.body = nn.Sequential()
        self.firsts: list[int] = []
        for (before, width), (_, count) in zip(pairwise(widths), sizes, strict=True):
            self.firsts.append(len(self.body))
            for k in range(count):
                self.body.append(IrseBottleneck(width if k else before, width, 1 if k else 2))

    @property
    def lasts(self) -> list[int]:
        """Number of the last bottleneck of every stage."""
        return [n - 1 for n in [*self.firsts[1:], len(self.body)]]

    def taps(self, x: Float[Tensor, "b i h w"], after: Sequence[int]) -> list[Tensor]:
        """Compute the features after the bottlenecks of the given numbers."""
        x = self.input_layer(x)
        found = {}
        for k, block in enumerate(self.body):
            x = block(x)
            found[k] = x
        return [found[k] for k in after]
