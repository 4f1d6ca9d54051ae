"""Transformers of Ψ (Portrait4D-v2 Sec. 4.1): canonicalization by motion attention, tri-plane decoder.

Parameter names are those of the published network; the widths are free.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle

from headcast.nets.segformer import Attention, MixMLP, PatchEmbed, SegformerBlock, tokens_to_image

__all__ = ["Canonicalizer", "TriplaneGenerator"]


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
        """Transform tokens; without motion tokens this is the static block of Ψ3d."""
        if motion is not None:
            x = x + self.attn2(self.norm2(x), motion, columns)
        y = self.norm1(x)
        x = x + self.attn1(y, y, columns)
        return x + self.mlp(self.norm3(x), columns)


def motion_map(inputs: int, hidden: int, leak: float) -> nn.Sequential:
    """Build the MLP whose output is projected to motion tokens."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.LeakyReLU(leak), nn.Linear(hidden, hidden), nn.LeakyReLU(leak)
    )


class Canonicalizer(nn.Module):
    """Canonicalization of global features, then reenactment.

    The first blocks remove the source's motion, the others add the driver's.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        heads: int,
        blocks: int,
        motion: int,
        hidden: int,
        tokens: int,
        convs: int,
        outputs: int,
        leak: float = 0.0,
    ) -> None:
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
            up,
            nn.Conv2d(width // 4, convs, 3, padding=1),
            nn.LeakyReLU(leak),
            up,
            nn.Conv2d(convs, convs, 3, padding=1),
            nn.LeakyReLU(leak),
            nn.Conv2d(convs, outputs, 3, padding=1),
        )

    def neutral(
        self, features: Float[Tensor, "b i h w"], source: Float[Tensor, "b m"] | None
    ) -> Float[Tensor, "b n c"]:
        """Remove the source's expression: the tokens that a person's avatar keeps."""
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
        """Add the driver's expression to neutral tokens: features at eight times their resolution."""
        tokens = None
        if driver is not None:
            tokens = self.proj_y(self.maps(driver)).reshape(-1, self.tokens, self.width)
        for block in self.trans_blocks_motion:
            x = block(x, tokens, columns)
        return self.convs(pixel_shuffle(tokens_to_image(x, columns), 2))


class TriplaneGenerator(nn.Module):
    """Decoder from canonical and detail features to the three planes."""

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
        self.trans_blocks = nn.ModuleList([SegformerBlock(width, heads)])
        self.convs2 = nn.Sequential(*conv(width // 4 + canonical, a), *conv(a, b), *conv(b, b))
        self.conv_last = nn.Conv2d(b, 3 * channels, 3, padding=1)

    def forward(
        self, canonical: Float[Tensor, "b c h w"], detail: Float[Tensor, "b d h w"]
    ) -> Float[Tensor, "b 3 f h w"]:
        """Decode planes at half of the image's size."""
        columns = canonical.shape[-1] // 2
        x = self.patch_embed(self.convs1(torch.cat([canonical, detail], 1)))
        for block in self.trans_blocks:
            x = block(x, columns)
        x = pixel_shuffle(tokens_to_image(x, columns), 2)
        x = self.conv_last(self.convs2(torch.cat([x, canonical], 1)))
        return x.unflatten(1, (3, self.channels))
