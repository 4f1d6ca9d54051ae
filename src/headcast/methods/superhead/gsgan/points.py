"""Gaussians by GSGAN's own names, and how a child's follow from its parent's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from headcast.methods.superhead.gsgan.layers import SIBLINGS
from headcast.rotation import quaternion_to_matrix

__all__ = ["LATENT", "SIZES", "START", "FourierFeatures", "Points", "capped", "child_scale", "offset"]

START = {"xyz": 0.0, "scale": math.log(1 / math.sqrt(256)), "opacity": math.log(0.1 / 0.9)}
SIZES = {"xyz": 3, "scale": 3, "rotation": 4, "color": 3, "opacity": 1}
LATENT = 512


@dataclass(frozen=True)
class Points:
    """Gaussians by the network's own names (see the module)."""

    xyz: Float[Tensor, "b n 3"]
    scale: Float[Tensor, "b n 3"]
    rotation: Float[Tensor, "b n 4"]
    color: Float[Tensor, "b n 3"]
    opacity: Float[Tensor, "b n 1"]

    def repeat(self) -> Points:
        """Repeat every point for its children."""
        return Points(*(getattr(self, k).repeat_interleave(SIBLINGS, 1) for k in SIZES))

    @staticmethod
    def join(parts: list[Points]) -> Points:
        """Concatenate the points of levels."""
        return Points(*(torch.cat([getattr(p, k) for p in parts], 1) for k in SIZES))


def capped(t: Tensor, most: Tensor) -> Tensor:
    """Return t, softly bounded from above."""
    return most - softplus(most - t)


def child_scale(parent: Tensor, head: Tensor, dense: float, split: float, low: float) -> Tensor:
    """Return a child's log scale: never above its parent's, which is split first where it is large."""
    is_large = parent.exp().amax(-1, keepdim=True) > dense
    base = torch.where(is_large, (parent - math.log(split)).clamp(-100, 0), parent)
    return (base - softplus(-head)).clamp(low, 0)


def offset(parent: Points, head: Tensor) -> Float[Tensor, "b n 3"]:
    """Return a child's place inside its parent's ellipsoid."""
    turn = quaternion_to_matrix(normalize(parent.rotation, dim=-1))
    return parent.xyz + (turn @ (parent.scale.exp() * head.tanh())[..., None])[..., 0]


class FourierFeatures(nn.Module):
    """Sines of a learned linear map of coordinates."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.ffm = nn.ModuleDict({"linear": nn.Linear(3, out)})

    def forward(self, x: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n c"]:
        """Encode the points' coordinates."""
        return self.ffm["linear"](x).sin()
