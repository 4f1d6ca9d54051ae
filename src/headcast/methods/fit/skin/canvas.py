"""The head's texture while it is completed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from headcast.head.model import HeadModel
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.texture.masks import region_weights
from headcast.texture.texels import Texels, interpolate_attributes

__all__ = ["TextureCanvas"]


@dataclass(frozen=True)
class TextureCanvas:
    """Everything that a step of the texture's completion needs.

    A step takes a canvas and returns another one; it writes to no array of the one that it was given.

    Attributes:
        texels: n texels of ``head``, on whose skin, eyes and mouth the texture lies.
        rest: vertices at rest, metres.
        observed: what the photos show of the texels.
        fill: (n, 3) linear albedo where they show nothing.
    """

    head: HeadModel
    texels: Texels
    rest: Float[np.ndarray, "v 3"]
    observed: TexelObservations
    fill: Float[np.ndarray, "n 3"]

    def gather(self, attributes: Float[np.ndarray, "v c"]) -> Float[np.ndarray, "n c"]:
        """Interpolate vertex attributes at the texels."""
        return interpolate_attributes(attributes, self.head.faces.numpy(), self.texels)

    def region_weights(self, *names: str) -> Float[np.ndarray, "n"]:
        """Return 0..1: how far each texel lies in the named regions."""
        return region_weights(self.head, self.texels, *names)

    def with_fill(self, index: Int[np.ndarray, "m"], colour: Float[np.ndarray, "m 3"]) -> TextureCanvas:
        """Replace the fill of some texels."""
        fill = self.fill.copy()
        fill[index] = colour
        return replace(self, fill=fill)
