"""E_latent, E_tex and E_tri (Sec. 3.3, 3.4, A.3); names of parameters are the published ones.

All three stand on an IR-SE-50 body. E_latent is e4e's encoder; the other two are U-Nets, whose decoders
aggregate frames by a ConvGRU at each scale where they are recurrent.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, pixel_shuffle

from headcast.methods.invertavatar.paper.config import InvertConfig
from headcast.nets.convgru import ConvGRU
from headcast.nets.irse import IrseBody
from headcast.nets.linear import EqualizedLinear
from headcast.nets.sft import Condition

__all__ = ["Hidden", "LatentEncoder", "RecurrentUNet", "TextureEncoder", "TriplaneEncoder"]

Hidden = list[Tensor]
"""States h of the four ConvGRUs, coarse to fine; (b, c, n, n) each. Their size doesn't depend on frames."""
COARSE_STYLES, MIDDLE_STYLES = 3, 4
"""Latents that E_latent reads from its coarsest and from its middle features; the finest give the rest."""


class StyleHead(nn.Module):
    """Strided convolutions down to one pixel, then a linear layer: one latent of W+."""

    def __init__(self, width: int, style: int, side: int) -> None:
        super().__init__()
        self.convs = nn.Sequential()
        for k in range(side.bit_length() - 1):
            self.convs.append(nn.Conv2d(style if k else width, style, 3, 2, 1))
            self.convs.append(nn.LeakyReLU())
        self.linear = EqualizedLinear(style, style)

    def forward(self, x: Float[Tensor, "b c n n"]) -> Float[Tensor, "b d"]:
        """Compute a latent from features."""
        return self.linear(self.convs(x).flatten(1))


class LatentEncoder(IrseBody):
    """E_latent: an image becomes latents in W+, relative to the mean latent (e4e, Tov et al. 2021)."""

    def __init__(self, config: InvertConfig) -> None:
        super().__init__(3, config.body)
        self.side = config.side
        widths, top = [w for w, _ in config.body], config.latent_width
        if widths[3] != top:
            raise ValueError("the last stage of E_latent's body must be as wide as its pyramid")
        self.styles = nn.ModuleList()
        for k in range(config.latents):
            level = (k >= COARSE_STYLES) + (k >= COARSE_STYLES + MIDDLE_STYLES)
            self.styles.append(StyleHead(top, config.style, config.side // 16 << level))
        self.latlayer1 = nn.Conv2d(widths[2], top, 1)
        self.latlayer2 = nn.Conv2d(widths[1], top, 1)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n d"]:
        """Compute latents of images (-1..1); the first is a base to which the others add."""
        x = adaptive_avg_pool2d(image, self.side)
        fine, middle, coarse = self.taps(x, self.lasts[1:])
        middle = upsample_to(coarse, middle) + self.latlayer1(middle)
        fine = upsample_to(middle, fine) + self.latlayer2(fine)
        levels = (coarse, middle, fine)
        found = []
        for k, head in enumerate(self.styles):
            level = (k >= COARSE_STYLES) + (k >= COARSE_STYLES + MIDDLE_STYLES)
            found.append(head(levels[level]))
        return torch.stack([found[0], *(found[0] + w for w in found[1:])], 1)


def upsample_to(x: Float[Tensor, "b c h w"], like: Float[Tensor, "b d i j"]) -> Float[Tensor, "b c i j"]:
    """Enlarge to another map's size, corners on corners."""
    return interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)


class DoubleConv(nn.Module):
    """Norm, two convolutions with PReLUs, and one PReLU more, as published."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.PReLU(outputs),
            nn.PReLU(outputs),
        )

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        """Compute features of the same size."""
        return self.double_conv(x)


class UpBlock(nn.Module):
    """Enlarge by pixel shuffle, join the encoder's features, convolve, and aggregate the frames (Eq. 1)."""

    def __init__(self, inputs: int, outputs: int, factor: int, recurrent: bool) -> None:
        super().__init__()
        self.factor = factor
        self.conv = DoubleConv(inputs, outputs)
        self.conv_gru = ConvGRU(outputs) if recurrent else None

    def forward(
        self, x: Float[Tensor, "f c h w"], skip: Float[Tensor, "f d i j"], frames: int, state: Tensor | None
    ) -> Float[Tensor, "b o i j"]:
        """Compute one map for each sequence of ``frames`` frames: the state, or the mean where there is none.

        Args:
            x, skip: maps of b sequences, frames running fastest. state: of the frames before.
        """
        found = self.conv(torch.cat([skip, pixel_shuffle(x, self.factor)], 1)).unflatten(0, (-1, frames))
        return found.mean(1) if self.conv_gru is None else self.conv_gru(found, state)


class RecurrentUNet(IrseBody):
    """Body and four up blocks that E_tex and E_tri share.

    Args:
        inputs: channels of the images. recurrent: with ConvGRUs (E_tex_rec, E_tri_rec), else one-shot.
    """

    def __init__(self, inputs: int, config: InvertConfig, recurrent: bool) -> None:
        super().__init__(inputs, config.body)
        self.side = config.side
        (w0, _), (w1, _), (w2, _), (w3, _) = config.body
        up = config.up_widths
        self.up1 = UpBlock(2 * w3, up[0], 1, recurrent)
        self.up2 = UpBlock(w2 + up[0] // 4, up[1], 2, recurrent)
        self.up3 = UpBlock(w1 + up[1] // 4, up[2], 2, recurrent)
        self.up4 = UpBlock(w0 + up[2] // 4, up[3], 2, recurrent)

    def levels(self, x: Float[Tensor, "b t c h w"], hidden: Hidden | None) -> Hidden:
        """Compute the maps of the four up blocks, which are the new states where the network is recurrent."""
        t = x.shape[1]
        x = adaptive_avg_pool2d(x.flatten(0, 1), self.side)
        last = len(self.body) - 1
        *skips, below = self.taps(x, [*self.lasts[:3], self.firsts[3], last])
        found: Hidden = []
        for k, block in enumerate((self.up1, self.up2, self.up3, self.up4)):
            below = block(below, skips[3 - k], t, None if hidden is None else hidden[k])
            found.append(below)
            below = below.repeat_interleave(t, 0)
        return found


class TextureEncoder(RecurrentUNet):
    """E_tex: image, residual and visibility in UV space become offsets of the neural textures (F_tex_off)."""

    def __init__(self, config: InvertConfig, recurrent: bool = True) -> None:
        super().__init__(7, config, recurrent)
        c, up, n = config, config.up_widths, config.side
        self.outconv0 = nn.Conv2d(up[1], c.plane_channels, 1)
        self.outconv1 = nn.Conv2d(up[1], c.channels(n // 8), 1)
        self.outconv2 = nn.Conv2d(up[2], c.channels(n // 4), 1)
        self.outconv3 = nn.Conv2d(up[3], c.channels(n // 2), 1)

    def forward(
        self, x: Float[Tensor, "b t 7 h w"], hidden: Hidden | None = None
    ) -> tuple[list[Tensor], Hidden]:
        """Compute offsets of the first four levels, and the states after these frames."""
        h = self.levels(x, hidden)
        outs = (self.outconv0, self.outconv1, self.outconv2, self.outconv3)
        return [out(m) for out, m in zip(outs, (h[1], h[1], h[2], h[3]), strict=True)], h


class TriplaneEncoder(RecurrentUNet):
    """E_tri: image and residual become scales and shifts of half of G_static's channels (F_tri-SFT)."""

    def __init__(self, config: InvertConfig, recurrent: bool = True) -> None:
        super().__init__(6, config, recurrent)
        up, n, final = config.up_widths, config.side, config.final_width
        self.final_head = nn.Sequential(
            nn.Conv2d(up[3] // 4, final, 3, padding=1),
            nn.PReLU(final),
            nn.Conv2d(final, final, 3, padding=1),
            nn.PReLU(final),
        )
        self.names = [n >> k for k in (4, 3, 2, 1, 0)]
        for side, width in zip(self.names, (*up, final), strict=True):
            for kind in ("scale", "shift"):
                self.add_module(f"condition_{kind}{side}", condition_net(width, config.channels(side) // 2))

    def forward(
        self, x: Float[Tensor, "b t 6 h w"], hidden: Hidden | None = None
    ) -> tuple[dict[int, Condition], Hidden]:
        """Compute (scale, shift) by the side of G_static's block, and the states after these frames."""
        h = self.levels(x, hidden)
        maps: Sequence[Tensor] = [*h, self.final_head(pixel_shuffle(h[3], 2))]
        out = {}
        for side, m in zip(self.names, maps, strict=True):
            scale, shift = (self.get_submodule(f"condition_{kind}{side}")(m) for kind in ("scale", "shift"))
            out[side] = (scale, shift)
        return out, h


def condition_net(inputs: int, outputs: int) -> nn.Sequential:
    """Build the two convolutions that make a scale or a shift."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(inputs, outputs, 3, padding=1)
    )
