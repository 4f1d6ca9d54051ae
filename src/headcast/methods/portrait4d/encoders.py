"""Encoders of the source image: global features, details, and the background (Portrait4D-v2 Sec. 4.1).

Parameter names are those of the published network; the widths are free.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

__all__ = ["BackgroundNet", "DetailEncoder", "GlobalEncoder", "append_coordinates"]


def append_coordinates(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 5 h w"]:
    """Append two channels to an image: x and y, -1 at the first pixel, 1 at the last."""
    b, _, h, w = image.shape
    y = torch.linspace(-1, 1, h, device=image.device)
    x = torch.linspace(-1, 1, w, device=image.device)
    grid = torch.stack([x.expand(h, w), y[:, None].expand(h, w)]).to(image)
    return torch.cat([image, grid.expand(b, -1, -1, -1)], 1)


class BasicBlock(nn.Module):
    """ResNet's basic block without normalization."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, dilation, dilation, bias=False)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            if stride != 1 or inputs != outputs
            else None
        )

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Apply two convolutions and add the shortcut."""
        short = x if self.downsample is None else self.downsample(x)
        return relu(self.conv2(relu(self.conv1(x))) + short)


class DilatedResNet(nn.Module):
    """ResNet-34's body at stride 8: the last two stages dilate instead of stepping."""

    def __init__(self, width: int, blocks: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(5, width, 7, 2, 3, bias=False)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for n, (count, stride, dilation) in enumerate(zip(blocks, (1, 2, 1, 1), (1, 1, 2, 4), strict=True)):
            stage = [BasicBlock(widths[n], widths[n + 1], stride, dilation)]
            stage += [BasicBlock(widths[n + 1], widths[n + 1], 1, dilation) for _ in range(count - 1)]
            setattr(self, f"layer{n + 1}", nn.Sequential(*stage))

    def forward(self, x: Float[Tensor, "b 5 h w"]) -> Float[Tensor, "b c i j"]:
        """Compute features at an eighth of the size."""
        x = nn.functional.max_pool2d(relu(self.conv1(x)), 3, 2, 1)
        for n in range(1, 5):
            x = getattr(self, f"layer{n}")(x)
        return x


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling (DeepLab v3) without normalization."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        branches = [nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.ReLU())]
        branches += [
            nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=d, dilation=d, bias=False), nn.ReLU())
            for d in (12, 24, 36)
        ]
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1, bias=False), nn.ReLU())
        self.convs = nn.ModuleList([*branches, pool])
        self.project = nn.Sequential(nn.Conv2d(5 * outputs, outputs, 1, bias=False), nn.ReLU())

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        """Mix context of five sizes into one feature map."""
        branches = [conv(x) for conv in self.convs]
        branches[-1] = branches[-1].expand_as(branches[0])
        return self.project(torch.cat(branches, 1))


class GlobalEncoder(nn.Module):
    """Encoder of global appearance at an eighth of the image's size."""

    def __init__(self, width: int, blocks: tuple[int, int, int, int], outputs: int) -> None:
        super().__init__()
        self.encoder = DilatedResNet(width, blocks)
        last = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.decoder = nn.Sequential(AtrousPyramid(8 * width, outputs), last, nn.ReLU())

    def forward(self, image: Float[Tensor, "b 5 h w"]) -> Float[Tensor, "b o i j"]:
        """Encode an image to which coordinates were appended."""
        return self.decoder(self.encoder(image))


class DetailEncoder(nn.Module):
    """Encoder of details at half of the image's size."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(5, width, 7, 2, 3), nn.LeakyReLU(0.01)]
        for n in range(4):
            layers += [nn.Conv2d(outputs if n else width, outputs, 3, padding=1), nn.LeakyReLU(0.01)]
        self.encoder = nn.Sequential(*layers)

    def forward(self, image: Float[Tensor, "b 5 h w"]) -> Float[Tensor, "b o i j"]:
        """Encode an image to which coordinates were appended."""
        return self.encoder(image)


class Down(nn.Module):
    """Downsampling by a convolution of stride 2, without an activation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(inputs, outputs, 3, 2, 1)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        """Halve the size of a feature map."""
        return self.op(x)


class Up(nn.Module):
    """Nearest upsampling by 2, then a convolution, without an activation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Double the size of a feature map."""
        return self.conv(interpolate(x, scale_factor=2.0, mode="nearest"))


class BackgroundNet(nn.Module):
    """A U-Net that inpaints the background as features in 0..1 at the image's size."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        w = [width, width, 2 * width, 4 * width, 8 * width]
        self.input_conv = nn.Sequential(nn.Conv2d(5, width, 3, 2, 1), nn.LeakyReLU(0.01))
        for n in (1, 2, 3):
            down = [nn.Conv2d(w[n], w[n], 3, padding=1), nn.LeakyReLU(0.01), Down(w[n], w[n + 1])]
            setattr(self, f"down_conv_{n}", nn.Sequential(*down))
        self.middle = nn.Sequential(nn.Conv2d(w[4], w[4], 3, padding=1), nn.LeakyReLU(0.01))
        for n, c in enumerate((w[4], w[3], w[2], w[1]), start=1):
            half = max(c // 2, width)
            up = [nn.Conv2d(2 * c, half, 3, padding=1), nn.LeakyReLU(0.01), Up(half)]
            setattr(self, f"up_conv_{n}", nn.Sequential(*up))
        self.out_conv = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, image: Float[Tensor, "b 5 h w"]) -> Float[Tensor, "b o h w"]:
        """Encode an image to which coordinates were appended."""
        levels = [self.input_conv(image)]
        for n in (1, 2, 3):
            levels.append(getattr(self, f"down_conv_{n}")(levels[-1]))
        x = self.middle(levels[-1])
        for n in (1, 2, 3, 4):
            x = getattr(self, f"up_conv_{n}")(torch.cat([x, levels[4 - n]], 1))
        return torch.sigmoid(self.out_conv(x))
