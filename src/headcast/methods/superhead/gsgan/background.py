"""GSGAN's background: Gaussians on a sphere behind the head."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from headcast.methods.superhead.gsgan.layers import SIBLINGS, ModulatedLinear
from headcast.methods.superhead.gsgan.points import (
    LATENT,
    SIZES,
    START,
    FourierFeatures,
    Points,
    capped,
    child_scale,
    offset,
)

__all__ = ["Background"]

BACKGROUND_SCALE = -2.0
RADIUS = 3.0  # of the background's sphere
SPLIT_BACKGROUND, DENSE_BACKGROUND = 4 ** (1 / 3), 0.05


class BackgroundHead(nn.Module):
    """One output head of the background."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.out_block = ModulatedLinear(128, out, LATENT, demodulate=False)


class BackgroundUpsample(nn.Module):
    """Four children of every background point."""

    def __init__(self) -> None:
        super().__init__()
        self.subpixel = ModulatedLinear(128, SIBLINGS * 128, LATENT)

    def forward(self, x: Float[Tensor, "b n 128"], w: Float[Tensor, "b 512"]) -> Float[Tensor, "b m 128"]:
        """Return the children's features."""
        new = self.subpixel(x, w).unflatten(-1, (SIBLINGS, -1)).flatten(1, 2)
        return (x.repeat_interleave(SIBLINGS, 1) + new) / math.sqrt(2)


class Background(nn.Module):
    """Gaussians on a sphere behind the head: parents, then children."""

    scale_init: Tensor
    scale_threshold: Tensor
    rotation_init: Tensor
    color_init: Tensor
    opacity_init: Tensor

    def __init__(self) -> None:
        super().__init__()
        start = torch.full((1, 3), BACKGROUND_SCALE)
        self.register_buffer("scale_init", start)
        self.register_buffer("scale_threshold", start.clone())
        self.register_buffer("rotation_init", torch.tensor([[1, 0, 0, 0]]))
        self.register_buffer("color_init", torch.zeros(1, 3))
        self.register_buffer("opacity_init", torch.full((1, 1), START["opacity"]))
        self.conv_in = FourierFeatures(128)

        def residual() -> ModulatedLinear:
            return ModulatedLinear(128, 128, LATENT, residual=True)

        self.network = nn.ModuleDict(
            {
                "block_0": nn.ModuleList([residual(), residual()]),
                "block_1": nn.ModuleList([BackgroundUpsample(), residual(), residual()]),
            }
        )
        self.out_layers = nn.ModuleDict(
            {f"block_{k}": nn.ModuleDict({n: BackgroundHead(s) for n, s in SIZES.items()}) for k in (0, 1)}
        )

    def read(self, block: str, x: Tensor, w: Tensor) -> dict[str, Tensor]:
        """Return a block's raw heads."""
        modules: Any = self.out_layers[block]
        return {k: modules[k].out_block(x, w) for k in SIZES}

    def forward(self, seeds: Float[Tensor, "b n 3"], w: Float[Tensor, "b 512"]) -> Points:
        """Generate parents and children, all at the sphere's radius."""
        x = self.conv_in(seeds)
        blocks: Any = self.network
        for layer in blocks["block_0"]:
            x = layer(x, w)
        head = self.read("block_0", x, w)
        parents = Points(
            xyz=RADIUS * normalize(seeds, dim=-1),
            scale=capped(self.scale_init + head["scale"], self.scale_threshold),
            rotation=self.rotation_init + head["rotation"],
            color=self.color_init + head["color"],
            opacity=self.opacity_init + head["opacity"],
        )
        for layer in blocks["block_1"]:
            x = layer(x, w)
        head, parent = self.read("block_1", x, w), parents.repeat()
        children = Points(
            xyz=RADIUS * normalize(offset(parent, head["xyz"]), dim=-1),
            scale=child_scale(parent.scale, head["scale"], DENSE_BACKGROUND, SPLIT_BACKGROUND, -10),
            rotation=parent.rotation + head["rotation"],
            color=parent.color + head["color"],
            opacity=parent.opacity + head["opacity"],
        )
        return Points.join([parents, children])
