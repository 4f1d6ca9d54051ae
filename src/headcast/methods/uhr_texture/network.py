"""The three networks: normal and UV predictor (§3.1), GDE with its hash encoding (§3.3), HFDR (§3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pad

from headcast.errors import HeadcastError
from headcast.methods.uhr_texture.light import LEVEL, calibrate_albedo, guide_at
from headcast.nets.hashgrid import HashGrid
from headcast.nets.unet import UNet

__all__ = [
    "CONFIGS",
    "GDE",
    "HFDR",
    "OUT",
    "LayeredUNet",
    "Predictor",
    "SkinNetworkConfig",
    "config_named",
    "resize_maps",
]

OUT = 7
"""Albedo 3 (sRGB), micronormal 3 ((n + 1) / 2), specular 1; all 0..1."""
PRIOR = 5
"""UV 2 and geometry normal 3."""
UNITS = (1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 1.0)
"""Units of the maps in output and losses. Ours: micronormals of skin lie within hundredths of flat, and in
whole units each step of the optimizer is as large as that."""


@dataclass(frozen=True)
class SkinNetworkConfig:
    """Sizes of the networks.

    Attributes:
        side: pixels of the whole image at stage 1. patch: pixels of stage 2's patches.
        predictor, gde, hfdr: channels at 1, 1/2, 1/4, ... of the side (the predictor begins at 1/2).
        finest: cells of the finest hash level.
    """

    side: int
    patch: int = 512
    predictor: tuple[int, ...] = (16, 24, 48, 96)
    gde: tuple[int, ...] = (8, 24, 64)
    hfdr: tuple[int, ...] = (8, 16, 24, 32)
    finest: int = 128


CONFIGS = {
    "official": SkinNetworkConfig(
        side=1024,
        patch=512,
        predictor=(64, 128, 256, 512, 512),
        gde=(64, 128, 256),
        hfdr=(64, 128, 256, 512),
        finest=1024,
    ),
    "small": SkinNetworkConfig(128),
    "half": SkinNetworkConfig(64, finest=64),
    "tiny": SkinNetworkConfig(
        side=32, patch=64, predictor=(8, 12), gde=(4, 6, 8), hfdr=(4, 4, 6, 6), finest=16
    ),
}
"""``official``: the paper's sizes (sides, patches, layers; channels are ours). ``small`` ships;
``half`` is its half, for comparisons."""


def config_named(name: str) -> SkinNetworkConfig:
    """Return one of ``CONFIGS`` by name.

    Raises:
        HeadcastError: there is none of this name.
    """
    if name not in CONFIGS:
        raise HeadcastError(f"uhr texture: there is no size '{name}'; use {', '.join(CONFIGS)}")
    return CONFIGS[name]


def resize_maps(x: Float[Tensor, "b c h w"], height: int, width: int) -> Float[Tensor, "b c i j"]:
    """Resize by means of areas when smaller, bilinearly when larger."""
    if (height, width) == tuple(x.shape[-2:]):
        return x
    smaller = height < x.shape[-2]
    return interpolate(x, (height, width), mode="area" if smaller else "bilinear")


class Layer(nn.Module):
    """One hidden layer: 3x3 convolution, group norm where patches need not agree, leaky ReLU."""

    def __init__(self, into: int, out: int, stride: int = 1, norm: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(into, out, 3, stride, 1)
        nn.init.kaiming_normal_(self.conv.weight, 0.1)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        self.norm = nn.GroupNorm(max(1, out // 8), out) if norm else nn.Identity()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        return leaky_relu(self.norm(self.conv(x)), 0.1)


class Output(nn.Conv2d):
    """The layer that gives the maps: weights in ``UNITS``, in single precision under bfloat16, too, whose
    steps near 0.5 are as coarse as a pore."""

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        assert self.bias is not None
        unit = torch.tensor(UNITS[: self.out_channels], device=input.device)
        with torch.autocast(input.device.type, enabled=False):
            return self._conv_forward(input.float(), self.weight * unit.view(-1, 1, 1, 1), self.bias * unit)


class LayeredUNet(nn.Module):
    """A U-Net whose layers are counted as the paper counts them.

    With n widths: 2n layers down (the first of each level but the top one halves the side), ``middle`` at the
    bottom, 2(n - 1) up, one that gives the output. Three widths and one in the middle make the GDE's 12; four
    and three make 17 hidden layers and the HFDR's output after them.

    Args:
        guide: channels that join the features of the last hidden layer.
    """

    def __init__(
        self, into: int, out: int, widths: tuple[int, ...], middle: int, guide: int = 0, norm: bool = True
    ) -> None:
        super().__init__()
        self.multiple = 2 ** (len(widths) - 1)
        befores = (into, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(Layer(a, b, 1 if k == 0 else 2, norm), Layer(b, b, 1, norm))
            for k, (a, b) in enumerate(zip(befores, widths, strict=True))
        )
        self.middle = nn.Sequential(*(Layer(widths[-1], widths[-1], 1, norm) for _ in range(middle)))
        self.up = nn.ModuleList(
            nn.Sequential(Layer(a + b, b, 1, norm), Layer(b, b, 1, norm))
            for b, a in reversed(list(pairwise(widths)))
        )
        self.out = Output(widths[0] + guide, out, 3, 1, 1)

    @property
    def hidden_layers(self) -> int:
        """Count the convolutions before the output layer."""
        return sum(isinstance(m, Layer) for m in self.modules())

    def hidden(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Compute features of the last hidden layer; any side will do."""
        h, w = x.shape[-2:]
        x = pad(x, (0, -w % self.multiple, 0, -h % self.multiple), mode="replicate")
        levels = []
        for level in self.down:
            x = level(x)
            levels.append(x)
        x = self.middle(x)
        for up, skip in zip(self.up, reversed(levels[:-1]), strict=True):
            x = up(torch.cat([interpolate(x, scale_factor=2, mode="bilinear"), skip], 1))
        return x[..., :h, :w]


def start_at(out: nn.Conv2d, passed: range, bias: tuple[float, ...]) -> None:
    """Initialize the output so that the last channels pass through to ``passed``; hidden ones start at 0."""
    count = len(passed)
    with torch.no_grad():
        out.weight.zero_()
        unit = torch.tensor(UNITS)
        through = list(range(out.in_channels - count, out.in_channels))
        out.weight[list(passed), through, 1, 1] = 1 / unit[list(passed)]
        out.bias.copy_(torch.tensor(bias) / unit)  # type: ignore[union-attr]


class Predictor(nn.Module):
    """R^{HxWx3} to R^{HxWx5} (§3.1): UV of the head, and the geometry's normal as (n + 1) / 2.

    Normals: +X right, +Y up, +Z to the camera. Off the head all five are 0.
    """

    def __init__(self, config: SkinNetworkConfig) -> None:
        super().__init__()
        n = len(config.predictor)
        self.body = UNet(3, config.predictor, (0,) * (n - 1) + (1,), PRIOR)

    def forward(self, rgb: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 5 h w"]:
        """Predict UV and normals of an image in 0..1."""
        return interpolate(self.body(rgb * 2 - 1), rgb.shape[-2:], mode="bilinear")


class GDE(nn.Module):
    """Global distribution extractor (§3.3): image + UV + normal + hash features to seven channels.

    Ours: the de-lit image, calibrated to the level that such skin mostly has (``light.py``),
    goes in, too, and joins the output layer, so that albedo starts there; micronormals start flat.

    Args:
        hashed: without it the eight channels are left out (the ablation of §5.3).
    """

    def __init__(self, config: SkinNetworkConfig, hashed: bool = True) -> None:
        super().__init__()
        self.hash = HashGrid(4, 2, 16, config.finest) if hashed else None
        extra = self.hash.channels if self.hash else 0
        self.body = LayeredUNet(6 + PRIOR + extra, OUT, config.gde, middle=1, guide=3)
        start_at(self.body.out, range(3), (0.0, 0.0, 0.0, 0.5, 0.5, 1.0, 0.58))
        self.register_buffer("level", torch.eye(LEVEL, 3))

    def forward(
        self,
        rgb: Float[Tensor, "b 3 h w"],
        prior: Float[Tensor, "b 5 h w"],
        delit: Float[Tensor, "b 3 h w"],
        mean: Float[Tensor, "b 3"],
    ) -> Float[Tensor, "b 7 h w"]:
        """Predict the guide maps from an image in 0..1, the de-lit image, and this skin's mean colour."""
        assert isinstance(self.level, Tensor)
        delit = calibrate_albedo(delit, mean, self.level)
        parts = [rgb, delit, prior]
        if self.hash is not None:
            parts.append(self.hash(prior[:, :2]))
        return self.body.out(torch.cat([self.body.hidden(torch.cat(parts, 1)), delit], 1))


class HFDR(nn.Module):
    """High-frequency detail refiner (§3.4): a patch with its UV and normal; the guide joins layer 17.

    It has no norms, so that what a patch holds does not change how a pixel in it is treated. At the start the
    output is the guide, whose albedo has the image's own detail (``light.guide_at``).
    """

    def __init__(self, config: SkinNetworkConfig) -> None:
        super().__init__()
        self.body = LayeredUNet(6 + PRIOR, OUT, config.hfdr, middle=3, guide=OUT, norm=False)
        start_at(self.body.out, range(OUT), (0.0,) * OUT)

    def forward(
        self, rgb: Float[Tensor, "b 3 h w"], coarse: Float[Tensor, "b 15 h w"]
    ) -> Float[Tensor, "b 7 h w"]:
        """Predict the maps of patches; ``light.coarse_of`` is enlarged to the patch's pixels already."""
        delit, guide = guide_at(rgb, coarse)
        hidden = self.body.hidden(torch.cat([rgb, delit, coarse[:, :PRIOR]], 1))
        return self.body.out(torch.cat([hidden, guide], 1))
