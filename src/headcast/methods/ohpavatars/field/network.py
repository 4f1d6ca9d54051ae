"""The canonical radiance field: hash encoding and a small MLP; expressions matter around the mouth alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from headcast.methods.ohpavatars.field.encode import encode_points
from headcast.methods.ohpavatars.field.march import OCCUPANCY_CELLS
from headcast.nets.hashgrid import HashGrid

__all__ = ["FieldSize", "RadianceField"]

EXPRESSIONS = 52
DENSITY_SCALE = 30.0  # per metre, of a logit of 0: about a tenth of opaque over a step
MAX_LOGIT = 8.0
OCCUPIED_DENSITY = 3.0  # per metre; a cell with less in it is skipped
OCCUPANCY_DECAY = 0.8  # of a cell's density at every update: what faded is skipped later


class FieldSize(NamedTuple):
    """Size of the field's network."""

    levels: int = 8
    features: int = 2
    coarsest: int = 16
    finest: int = 320
    log2_size: int = 16
    expression: int = 8
    width: int = 32


class RadianceField(nn.Module):
    """Density and colour at canonical points (INSTA, Sec. 3.1), with the grid of occupied cells.

    The view's direction plays no part: one photo says nothing of gloss.
    """

    occupancy: Tensor

    def __init__(self, size: FieldSize | None = None) -> None:
        super().__init__()
        self.size = size = size or FieldSize()
        grid = size.levels, size.features, size.coarsest, size.finest, size.log2_size
        self.grid = HashGrid(*grid, dimensions=3)
        self.expression = nn.Linear(EXPRESSIONS, size.expression, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(self.grid.channels + size.expression, size.width),
            nn.ReLU(),
            nn.Linear(size.width, size.width),
            nn.ReLU(),
            nn.Linear(size.width, 4),
        )
        nn.init.zeros_(self.expression.weight)
        self.register_buffer("occupancy", torch.full((OCCUPANCY_CELLS,) * 3, float("inf")))

    @property
    def occupied(self) -> Bool[Tensor, "m m m"]:
        """Return the cells of canonical space that may hold something; all, before the first update."""
        return self.occupancy > OCCUPIED_DENSITY

    def forward(
        self, points: Float[Tensor, "n 3"], mouth: Float[Tensor, " n"], expression: Float[Tensor, "n e"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        """Evaluate density (per metre) and colour (display values) by the kernels.

        Args:
            points: canonical, 0..1. mouth: 0..1, how far the expression (52 weights) counts.
        """
        return self.decode(encode_points(self.grid, points), mouth, expression)

    def decode(
        self, features: Float[Tensor, "n c"], mouth: Float[Tensor, " n"], expression: Float[Tensor, "n e"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        """Evaluate density and colour from encoded points."""
        code = self.expression(expression) * mouth[:, None]
        out = self.mlp(torch.cat([features, code], -1))
        return DENSITY_SCALE * torch.exp(out[:, 0].clamp(max=MAX_LOGIT)), torch.sigmoid(out[:, 1:])

    @torch.no_grad()
    def update_occupancy(self, jitter: Float[Tensor, "m m m 3"], expression: Float[Tensor, " e"]) -> None:
        """Look at one place in every cell again; cells keep the larger of this and their faded density.

        Args:
            jitter: 0..1, the place in each cell. expression: weights with which the mouth is looked at.
        """
        m = OCCUPANCY_CELLS
        z, y, x = torch.meshgrid(*(torch.arange(m),) * 3, indexing="ij")
        points = ((torch.stack([x, y, z], -1) + jitter) / m).reshape(-1, 3)
        n = len(points)
        density, _ = self(points, torch.ones(n), expression.expand(n, -1))
        faded = torch.nan_to_num(self.occupancy, posinf=0.0) * OCCUPANCY_DECAY
        self.occupancy.copy_(torch.maximum(faded, density.reshape(m, m, m)))
