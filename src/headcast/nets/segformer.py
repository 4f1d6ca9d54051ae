"""Blocks of SegFormer (Xie et al. 2021, "SegFormer: Simple and Efficient Design for Semantic Segmentation").

Overlapping patches as tokens, attention whose keys and values are first reduced to half resolution
(Sec. 3.1, efficient self-attention), feed-forward layers with a depth-wise convolution between (Mix-FFN).
Parameter names are those of the published code.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

__all__ = ["Attention", "MixMLP", "PatchEmbed", "SegformerBlock", "image_to_tokens", "tokens_to_image"]


def image_to_tokens(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n c"]:
    """Flatten pixels in reading order into tokens."""
    return image.flatten(2).transpose(1, 2)


def tokens_to_image(tokens: Float[Tensor, "b n c"], width: int) -> Float[Tensor, "b c h w"]:
    """Lay tokens in reading order out as an image of ``width`` columns."""
    return tokens.transpose(1, 2).reshape(len(tokens), tokens.shape[2], -1, width)


class PatchEmbed(nn.Module):
    """Overlapping patch embedding: a 3x3 convolution of stride 2, then layer norm."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, width, 3, 2, 1)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b n c"]:
        """Embed an image as a quarter as many tokens as it has pixels."""
        return self.norm(image_to_tokens(self.proj(x)))


class Attention(nn.Module):
    """Multi-head attention; keys and values come from half the resolution if ``reduce``."""

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
        """Attend from tokens ``x`` to tokens ``other``, which form an image of ``columns`` columns."""
        if self.sr is not None and self.norm is not None:
            other = self.norm(image_to_tokens(self.sr(tokens_to_image(other, columns))))
        b, n, c = x.shape
        q = self.q(x).reshape(b, n, self.heads, -1).transpose(1, 2)
        k, v = self.kv(other).reshape(b, other.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(q, k, v)
        return self.proj(attended.transpose(1, 2).reshape(b, n, c))


class DepthwiseConv(nn.Module):
    """Depth-wise 3x3 convolution over the image that tokens form."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Float[Tensor, "b n c"], columns: int) -> Float[Tensor, "b n c"]:
        """Convolve tokens of an image of ``columns`` columns."""
        return image_to_tokens(self.dwconv(tokens_to_image(x, columns)))


class MixMLP(nn.Module):
    """Mix-FFN: two linear layers with a depth-wise convolution and GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * width)
        self.dwconv = DepthwiseConv(2 * width)
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x: Float[Tensor, "b n c"], columns: int) -> Float[Tensor, "b n c"]:
        """Transform tokens of an image of ``columns`` columns."""
        return self.fc2(gelu(self.dwconv(self.fc1(x), columns)))


class SegformerBlock(nn.Module):
    """Pre-norm transformer block: self-attention with reduced keys, then Mix-FFN, both residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, reduce=True)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MixMLP(width)

    def forward(self, x: Float[Tensor, "b n c"], columns: int) -> Float[Tensor, "b n c"]:
        """Transform tokens of an image of ``columns`` columns."""
        y = self.norm1(x)
        x = x + self.attn(y, y, columns)
        return x + self.mlp(self.norm2(x), columns)
