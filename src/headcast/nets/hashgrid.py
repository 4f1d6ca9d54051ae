"""Multiresolution hash encoding of coordinates in two or more dimensions.

T. Müller et al., Instant neural graphics primitives with a multiresolution hash encoding, 2022.
"""

from __future__ import annotations

from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = ["HashGrid"]

PRIMES = (1, 2_654_435_761, 805_459_861)
"""Of the spatial hash, one a dimension: xor of coordinate times prime, modulo the table's length (Eq. 4)."""


class HashGrid(nn.Module):
    """Trainable tables of features, one a resolution, interpolated d-linearly and concatenated.

    Args:
        levels, features: tables, and features of each; the output has ``levels * features`` channels.
        coarsest, finest: cells along a side at the first and last level, in between in geometric steps.
        log2_size: logarithm of the longest table; a level with fewer corners has an entry for each.
        dimensions: of the coordinates, 1 to 3.
    """

    def __init__(
        self,
        levels: int = 4,
        features: int = 2,
        coarsest: int = 16,
        finest: int = 256,
        log2_size: int = 14,
        dimensions: int = 2,
    ) -> None:
        super().__init__()
        if not 1 <= dimensions <= len(PRIMES):
            raise ValueError(f"a hash grid has 1 to {len(PRIMES)} dimensions, not {dimensions}")
        self.dimensions = dimensions
        growth = (finest / coarsest) ** (1 / max(levels - 1, 1))
        self.cells = [round(coarsest * growth**k) for k in range(levels)]
        self.most = 2**log2_size
        sizes = [min((n + 1) ** dimensions, self.most) for n in self.cells]
        self.tables = nn.ParameterList(nn.Parameter((torch.rand(s, features) * 2 - 1) * 1e-2) for s in sizes)

    @property
    def channels(self) -> int:
        """Number of channels of the output."""
        return sum(t.shape[1] for t in self.tables)

    def forward(self, points: Float[Tensor, "b {self.dimensions} *n"]) -> Float[Tensor, "b c *n"]:
        """Read features at coordinates, clamped to 0..1. Differentiable in tables and coordinates."""
        flat = points.movedim(1, -1).clamp(0, 1)
        levels = [self.read(t, n, flat) for t, n in zip(self.tables, self.cells, strict=True)]
        return torch.cat(levels, -1).movedim(-1, 1)

    def read(
        self, table: Float[Tensor, "s f"], cells: int, points: Float[Tensor, "b *n d"]
    ) -> Float[Tensor, "b *n f"]:
        """Read one level: the d-linear mean of the 2^d corners of each point's cell."""
        at = points * cells
        low = at.detach().floor().clamp(max=cells - 1)
        parts, corner = (at - low).unbind(-1), low.long().unbind(-1)
        out = torch.zeros((), dtype=table.dtype, device=points.device)
        for offsets in product((0, 1), repeat=self.dimensions):
            weight = None
            for part, offset in zip(parts, offsets, strict=True):
                factor = part if offset else 1 - part
                weight = factor if weight is None else weight * factor
            assert weight is not None
            row = self.index([c + o for c, o in zip(corner, offsets, strict=True)], cells)
            out = out + weight[..., None] * table[row]
        return out

    def index(self, corner: list[Int[Tensor, "*n"]], cells: int) -> Int[Tensor, "*n"]:
        """Find the row of a corner: its number where the table holds all of them, else its hash."""
        dense = (cells + 1) ** self.dimensions <= self.most
        row = corner[0]
        for k in range(1, self.dimensions):
            row = row + corner[k] * (cells + 1) ** k if dense else row ^ (corner[k] * PRIMES[k])
        return row if dense else row % self.most
