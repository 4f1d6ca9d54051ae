"""The transformers of Ψ (Portrait4D-v2 Sec. 4.1): canonicalization by motion attention, tri-plane decoder.

Parameter names are those of the published network; the widths are free.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, pixel_shuffle, scaled_dot_product_attention

__all__ = ["Canonicalizer", "TriplaneGenerator"]


def tokens_of(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n c"]:
    """Pixels in reading order as tokens."""
    return image.flatten(2).transpose(1, 2)


def image_of(tokens: Float[Tensor, "b n c"], width: int) -> Float[Tensor, "b c h w"]:
    """Tokens laid out again as an image of ``width`` columns."""
    return tokens.transpose(1, 2).reshape(len(tokens), tokens.shape[2], -1, width)


class PatchEmbed(nn.Module):
    """Tokens of overlapping patches: a convolution of stride 2 and a norm."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, width, 3, 2, 1)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b n c"]:
        """A quarter as many tokens as pixels."""
        return self.norm(tokens_of(self.proj(x)))


class Attention(nn.Module):
    """Multi-head attention; the tokens looked at are first brought to half resolution if ``reduce``."""

    def __init__(self, width: int, heads: int, reduce: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.sr = nn.Conv2d(width, width, 2, 2) if reduce else None
        self.norm = nn.LayerNorm(width) if reduce else None

    def forward(
        self, x: Float[Tensor, "b n c"], other: Float[Tensor, "b m c"], columns: int
    ) -> Float[Tensor, "b n c"]:
        """Every token of ``x`` looks at the tokens of ``other``; ``columns`` of the image that these form."""
        if self.sr is not None and self.norm is not None:
            other = self.norm(tokens_of(self.sr(image_of(other, columns))))
        b, n, c = x.shape
        q = self.q(x).reshape(b, n, self.heads, -1).transpose(1, 2)
        k, v = self.kv(other).reshape(b, other.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        found = scaled_dot_product_attention(q, k, v)
        return self.proj(found.transpose(1, 2).reshape(b, n, c))


class DepthwiseConv(nn.Module):
    """A 3x3 convolution of every channel by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Float[Tensor, "b n c"], columns: int) -> Float[Tensor, "b n c"]:
        """Tokens mixed with their neighbours in the image."""
        return tokens_of(self.dwconv(image_of(x, columns)))


class MixMLP(nn.Module):
    """Feed-forward layers with a depth-wise convolution between them (SegFormer)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * width)
        self.dwconv = DepthwiseConv(2 * width)
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x: Float[Tensor, "b n c"], columns: int) -> Float[Tensor, "b n c"]:
        """Token by token, but for the neighbours."""
        return self.fc2(gelu(self.dwconv(self.fc1(x), columns)))


class MotionBlock(nn.Module):
    """Cross-attention to motion tokens, self-attention, feed-forward; all residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Attention(width, heads)
        self.norm3 = nn.LayerNorm(width)
        self.mlp = MixMLP(width)

    def forward(
        self, x: Float[Tensor, "b n c"], motion: Float[Tensor, "b m c"] | None, columns: int
    ) -> Float[Tensor, "b n c"]:
        """One block; without motion tokens it is the static block of Ψ3d."""
        if motion is not None:
            x = x + self.attn2(self.norm2(x), motion, columns)
        y = self.norm1(x)
        x = x + self.attn1(y, y, columns)
        return x + self.mlp(self.norm3(x), columns)


def motion_map(inputs: int, hidden: int, leak: float) -> nn.Sequential:
    """The MLP from a motion embedding to what its tokens are made of."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.LeakyReLU(leak), nn.Linear(hidden, hidden), nn.LeakyReLU(leak)
    )


class Canonicalizer(nn.Module):
    """Global features to canonical ones: the first blocks take the source's motion off, the others put the
    driver's on."""

    def __init__(
        self, inputs: int, width: int, heads: int, blocks: int, motion: int, hidden: int, tokens: int,
        convs: int, outputs: int, leak: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.width, self.tokens = width, tokens
        self.maps, self.maps_neutral = (motion_map(motion, hidden, leak or 0.01) for _ in range(2))
        self.proj_y_neutral = nn.Linear(hidden, tokens * width)
        self.proj_y = nn.Linear(hidden, tokens * width)
        self.patch_embed = PatchEmbed(inputs, width)
        self.trans_blocks_neutral = nn.ModuleList([MotionBlock(width, heads) for _ in range(blocks)])
        self.trans_blocks_motion = nn.ModuleList([MotionBlock(width, heads) for _ in range(blocks)])
        up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.convs = nn.Sequential(
            up, nn.Conv2d(width // 4, convs, 3, padding=1), nn.LeakyReLU(leak),
            up, nn.Conv2d(convs, convs, 3, padding=1), nn.LeakyReLU(leak),
            nn.Conv2d(convs, outputs, 3, padding=1),
        )  # fmt: skip

    def neutral(
        self, features: Float[Tensor, "b i h w"], source: Float[Tensor, "b m"] | None
    ) -> Float[Tensor, "b n c"]:
        """The source's tokens with its expression taken off; what a person's avatar keeps."""
        x = self.patch_embed(features)
        tokens = None
        if source is not None:
            tokens = self.proj_y_neutral(self.maps_neutral(source)).reshape(-1, self.tokens, self.width)
        for block in self.trans_blocks_neutral:
            x = block(x, tokens, features.shape[-1] // 2)
        return x

    def reenacted(
        self, x: Float[Tensor, "b n c"], driver: Float[Tensor, "b m"] | None, columns: int
    ) -> Float[Tensor, "b o h w"]:
        """The driver's expression put on neutral tokens: features at eight times their resolution."""
        tokens = None
        if driver is not None:
            tokens = self.proj_y(self.maps(driver)).reshape(-1, self.tokens, self.width)
        for block in self.trans_blocks_motion:
            x = block(x, tokens, columns)
        return self.convs(pixel_shuffle(image_of(x, columns), 2))


class SelfBlock(nn.Module):
    """Self-attention with reduced keys, feed-forward; both residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, reduce=True)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MixMLP(width)

    def forward(self, x: Float[Tensor, "b n c"], columns: int) -> Float[Tensor, "b n c"]:
        """One block."""
        y = self.norm1(x)
        x = x + self.attn(y, y, columns)
        return x + self.mlp(self.norm2(x), columns)


class TriplaneGenerator(nn.Module):
    """Canonical features and details to the three planes."""

    def __init__(
        self, canonical: int, detail: int, convs: tuple[int, int], width: int, heads: int, channels: int
    ) -> None:
        super().__init__()
        a, b = convs
        self.channels = channels

        def conv(inputs: int, outputs: int) -> list[nn.Module]:
            return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(0.01)]

        self.convs1 = nn.Sequential(*conv(canonical + detail, a), *conv(a, b))
        self.patch_embed = PatchEmbed(b, width)
        self.trans_blocks = nn.ModuleList([SelfBlock(width, heads)])
        self.convs2 = nn.Sequential(*conv(width // 4 + canonical, a), *conv(a, b), *conv(b, b))
        self.conv_last = nn.Conv2d(b, 3 * channels, 3, padding=1)

    def forward(
        self, canonical: Float[Tensor, "b c h w"], detail: Float[Tensor, "b d h w"]
    ) -> Float[Tensor, "b 3 f h w"]:
        """Planes of half of the image's size."""
        columns = canonical.shape[-1] // 2
        x = self.patch_embed(self.convs1(torch.cat([canonical, detail], 1)))
        for block in self.trans_blocks:
            x = block(x, columns)
        x = pixel_shuffle(image_of(x, columns), 2)
        x = self.conv_last(self.convs2(torch.cat([x, canonical], 1)))
        return x.unflatten(1, (3, self.channels))
