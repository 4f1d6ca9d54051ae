"""A head's skin in one colour, all of it seen by a photo: what tests of single steps begin with."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headcast.head.model import HeadModel
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.texture.texels import texels_of

__all__ = ["SKIN", "plain_canvas"]

SKIN = np.array([0.4, 0.28, 0.22], np.float32)


def plain_canvas(
    size: int,
    albedo: Float[np.ndarray, "3"] = SKIN,
    fill: Float[np.ndarray, "3"] = SKIN,
    confidence: float = 1.0,
) -> TextureCanvas:
    """Skin everywhere, lit evenly and viewed frontally; ``size``: side of the texture."""
    head = HeadModel.load()
    texels = texels_of(head, size)
    n = len(texels.index)
    one = np.ones(n, np.float32)
    seen = TexelObservations(
        albedo=np.tile(albedo, (n, 1)),
        confidence=one * np.float32(confidence),
        is_clean=one.copy(),
        label=np.tile(np.array([1, 0, 0], np.float32), (n, 1)),
        frontality=one.copy(),
        in_face=one.copy(),
        label_confidence=one.copy(),
        foldedness=0 * one,
        shading=np.ones((n, 3), np.float32),
        facing=one.copy(),
    )
    rest = head.neutral.numpy()
    return TextureCanvas(head=head, texels=texels, rest=rest, observed=seen, fill=np.tile(fill, (n, 1)))
