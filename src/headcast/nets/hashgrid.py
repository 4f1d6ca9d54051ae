"""Multiresolution hash encoding of 2D coordinates.

T. Müller et al., Instant neural graphics primitives with a multiresolution hash encoding, 2022.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = ["HashGrid"]

PRIME = 2_654_435_761
"""Spatial hash: i xor j · PRIME, modulo the table's length (Eq. 4 there)."""


class HashGrid(nn.Module):
    """Trainable tables of features, one a resolution, read bilinearly and put side by side.

    Args:
        levels, features: tables and features of each; ``levels * features`` channels come out.
        coarsest, finest: cells along a side at the first and last level, in between in geometric steps.
        log2_size: logarithm of the longest table; a level with fewer corners has an entry for each.
    """

    def __init__(
        self, levels: int = 4, features: int = 2, coarsest: int = 16, finest: int = 256, log2_size: int = 14
    ) -> None:
        super().__init__()
        growth = (finest / coarsest) ** (1 / max(levels - 1, 1))
        self.cells = [round(coarsest * growth**k) for k in range(levels)]
        self.most = 2**log2_size
        sizes = [min((n + 1) ** 2, self.most) for n in self.cells]
        self.tables = nn.ParameterList(nn.Parameter((torch.rand(s, features) * 2 - 1) * 1e-2) for s in sizes)

    @property
    def channels(self) -> int:
        """Features that come out."""
        return sum(t.shape[1] for t in self.tables)

    def forward(self, uv: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b c h w"]:
        """Features at coordinates, which are cut to 0..1. Differentiable in tables and coordinates."""
        flat = uv.permute(0, 2, 3, 1).clamp(0, 1)
        found = [self.read(t, n, flat) for t, n in zip(self.tables, self.cells, strict=True)]
        return torch.cat(found, -1).permute(0, 3, 1, 2)

    def read(
        self, table: Float[Tensor, "s f"], cells: int, uv: Float[Tensor, "b h w 2"]
    ) -> Float[Tensor, "b h w f"]:
        """One level."""
        at = uv * cells
        low = at.detach().floor().clamp(max=cells - 1)
        u, v = (at - low).unbind(-1)
        i, j = low.long().unbind(-1)
        out = torch.zeros((), dtype=table.dtype, device=uv.device)
        for di, wu in ((0, 1 - u), (1, u)):
            for dj, wv in ((0, 1 - v), (1, v)):
                out = out + (wu * wv)[..., None] * table[self.index(i + di, j + dj, cells)]
        return out

    def index(self, i: Int[Tensor, "*n"], j: Int[Tensor, "*n"], cells: int) -> Int[Tensor, "*n"]:
        """Row of a corner: its number where the table holds all of them, else its hash."""
        if (cells + 1) ** 2 <= self.most:
            return j * (cells + 1) + i
        return (i ^ (j * PRIME)) % self.most
