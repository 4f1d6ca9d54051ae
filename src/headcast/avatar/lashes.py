"""Lashes: a shade on the upper lids of open eyes that goes as they shut, so that shut lids are bare skin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.head.model import BLINKS, HeadModel
from headcast.head.params import HeadParams

__all__ = ["Lashes"]

GOING = (0.3, 0.9)  # shares of the way from the photo's blink to a whole one over which the shade goes


@dataclass(frozen=True)
class Lashes:
    """What an open eye's lashes leave of the light on its lid.

    Attributes:
        share: 0..1 at every vertex, 1 off the lids: in the photo.
        blink: weights of eyeBlink, left and right, in the photo.
    """

    share: Float[Tensor, "v"]
    blink: Float[Tensor, "2"]

    def at(
        self, faces: Int[Tensor, "f 3"], triangle: Int[Tensor, "n"], bary: Float[Tensor, "n 3"]
    ) -> Float[Tensor, "n"]:
        """``share`` at points of a surface whose first vertices are the head's."""
        more = int(faces.max()) + 1 - len(self.share)
        share = torch.cat([self.share, torch.ones(more).to(self.share)])
        return (share[faces[triangle]] * bary).sum(-1)

    def over(self, head: HeadModel, params: HeadParams, openness: Float[Tensor, "v"]) -> Float[Tensor, "v"]:
        """``openness``, the light's share at each vertex, with the lashes' shade in a pose (unbatched)."""
        out = openness.clone()
        share = self.share.to(openness)
        for side, name in enumerate(BLINKS):
            first = self.blink[side].clamp(0, 0.9).to(openness)
            way = (params.expression[name].to(openness) - first) / (1 - first)
            t = ((way - GOING[0]) / (GOING[1] - GOING[0])).clamp(0, 1)
            left = 1 - t * t * (3 - 2 * t)
            lid = head.lid_index[side].to(openness.device)
            out[lid] = openness[lid] * share[lid] ** left
        return out
