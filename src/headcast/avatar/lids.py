"""Textures of closed upper eyelids: bare skin where lashes hid it in the photo.

An avatar's texture holds the lids as in the photo, eyes open. As a lid closes, its patch of the texture
cross-fades into another one, each side by itself.
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

__all__ = ["BLEND_RANGE", "SHADED", "Lids", "Patch"]

SHADED = 0.8  # fraction of its light that an eyeball loses behind closed lids and their lashes
BLEND_RANGE = (0.2, 0.9)  # of the closure from the photo's blink to a full one: the cross-fade's ends


@dataclass(frozen=True)
class Patch:
    """A rectangular patch of the head's texture.

    Attributes:
        corner: (2,) x and y of its first texel. texture: sRGB display values.
    """

    corner: Int[Tensor, "2"]
    texture: UInt8[np.ndarray, "h w 3"]

    def inside(self, image: np.ndarray) -> np.ndarray:
        """Return the part of an image of the texture's size that the patch covers (a view)."""
        x, y = self.corner.tolist()
        return image[y : y + self.texture.shape[0], x : x + self.texture.shape[1]]


@dataclass(frozen=True)
class Lids:
    """Patches of the closed lids, left and right.

    Attributes:
        patches: bare skin of each lid.
        blink: weights of eyeBlink in the photo: from there on the lids cross-fade into the patches.
    """

    patches: tuple[Patch, Patch]
    blink: Float[Tensor, "2"]

    def closed_fraction(self, params: HeadParams) -> Float[Tensor, "2"]:
        """Return the blend weight of each side's patch in a pose (unbatched), 0..1."""
        source_blink = self.blink.clamp(0, 0.9)
        closure = (params.expression[list(BLINKS)].detach().float().cpu() - source_blink) / (1 - source_blink)
        return smoothstep(closure, *BLEND_RANGE)

    def map_textures(
        self, change: Callable[[UInt8[np.ndarray, "h w 3"]], UInt8[np.ndarray, "h w 3"]]
    ) -> Lids:
        """Return a copy with a function applied to the patches' textures."""
        left, right = (replace(p, texture=change(p.texture)) for p in self.patches)
        return replace(self, patches=(left, right))

    def paint(
        self, texture: UInt8[np.ndarray, "h w 3"], closure: Float[Tensor, "2"]
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Return the head's texture with the patches blended in by the weights of both sides."""
        out = texture.copy()
        for patch, weight in zip(self.patches, closure.tolist(), strict=True):
            target = patch.inside(out)
            mixed = target + np.float32(weight) * (patch.texture.astype(np.float32) - target)
            target[:] = np.round(mixed).astype(np.uint8)
        return out
