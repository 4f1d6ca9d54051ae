"""Expression planes, added to the mean head's tri-planes. Not in the paper; ``small`` only.

The paper's motion attention starts uniform, and the position of the mouth has to be learned by layers that
also learn identity, which takes long. A few learned planes around the face, mixed by the motion embedding,
have that position from the start. They are the same for everybody. In the bundled weights they make all of
the expression; the attention has no effect.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ExpressionPlanes"]

FACE = ((-0.095, 0.095), (-0.122, 0.068), (-0.014, 0.176))
"""Range in x, y and z of the planes around the face, metres, head frame."""
HIDDEN = 64
"""Width of the hidden layer that mixes the planes."""


class ExpressionPlanes(nn.Module):
    """Planes to be added around the face: a mixture of ``count`` learned ones.

    Args:
        side: of the whole planes. half: of the cube's side, metres.
    """

    def __init__(self, motion: int, count: int, features: int, side: int, half: float) -> None:
        super().__init__()
        self.side = side
        self.first = [round((a / half + 1) / 2 * side) for a, _ in FACE]
        x, y, z = (round((b - a) / half / 2 * side) for a, b in FACE)
        self.mix = nn.Sequential(nn.Linear(motion, HIDDEN), nn.LeakyReLU(0.2), nn.Linear(HIDDEN, count))
        shapes = ((y, x), (z, y), (x, z))  # of the planes (x, y), (y, z), (z, x): rows, columns
        self.planes = nn.ParameterList([torch.zeros(count, features, *s) for s in shapes])

    def forward(self, motion: Float[Tensor, "b m"]) -> Float[Tensor, "b 3 f h w"]:
        """Mix the planes for an embedding of mean 0 and variance 1; zero outside of the face."""
        weights = self.mix(motion)
        x, y, z = self.first
        out = []
        for plane, top, left in zip(self.planes, (y, z, x), (x, y, z), strict=True):
            part = torch.einsum("bk,kfhw->bfhw", weights, plane)
            h, w = part.shape[2:]
            sides = (left, self.side - left - w, top, self.side - top - h)
            out.append(nn.functional.pad(part, sides))
        return torch.stack(out, 1)
