"""What upper lids look like when they are shut: bare skin in place of what lashes hid in the photo.

An avatar's texture holds the lids as the photo shows them, eyes open. As a lid shuts, its patch of the
texture goes over into another, each side by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from headcast.head.model import BLINKS
from headcast.head.params import HeadParams
from headcast.interpolation import smoothstep

__all__ = ["GOING", "SHADED", "Lids", "Patch"]

SHADED = 0.8  # share of its light that an eyeball loses behind shut lids and their lashes
GOING = (0.2, 0.9)  # shares of the way from the photo's blink to a whole one over which a patch goes over


@dataclass(frozen=True)
class Patch:
    """A part of the head's texture.

    Attributes:
        corner: (2,) x and y of its first texel. texture: sRGB display values.
    """

    corner: Int[Tensor, "2"]
    texture: UInt8[np.ndarray, "h w 3"]

    def inside(self, picture: np.ndarray) -> np.ndarray:
        """The part of a picture of the texture's size that it covers."""
        x, y = self.corner.tolist()
        return picture[y : y + self.texture.shape[0], x : x + self.texture.shape[1]]


@dataclass(frozen=True)
class Lids:
    """Shut lids, left and right.

    Attributes:
        patches: bare skin.
        blink: weights of eyeBlink in the photo: from there on the lids go over into the patches.
    """

    patches: tuple[Patch, Patch]
    blink: Float[Tensor, "2"]

    def shut(self, params: HeadParams) -> Float[Tensor, "2"]:
        """How far each side shows its patch in a pose (unbatched), 0..1."""
        first = self.blink.clamp(0, 0.9)
        way = (params.expression[list(BLINKS)].detach().float().cpu() - first) / (1 - first)
        return smoothstep(way, *GOING)

    def mapped(self, change: Callable[[UInt8[np.ndarray, "h w 3"]], UInt8[np.ndarray, "h w 3"]]) -> Lids:
        """Lids whose colours went through a function."""
        left, right = (replace(p, texture=change(p.texture)) for p in self.patches)
        return replace(self, patches=(left, right))

    def painted(
        self, texture: UInt8[np.ndarray, "h w 3"], shut: Float[Tensor, "2"]
    ) -> UInt8[np.ndarray, "h w 3"]:
        """The head's texture with lids shut so far."""
        out = texture.copy()
        for patch, share in zip(self.patches, shut.tolist(), strict=True):
            there = patch.inside(out)
            mixed = there + np.float32(share) * (patch.texture.astype(np.float32) - there)
            there[:] = np.round(mixed).astype(np.uint8)
        return out
