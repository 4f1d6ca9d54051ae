"""The colour cast of photos: tinted, black-and-white or under coloured light; painted parts follow it.

Teeth, tongue, nostrils and hidden skin are painted from priors, which know photos of neutral colours alone.
The completion therefore sees albedo without the cast, and what it painted gets the cast afterwards. Photos of
ordinary colours have none, and nothing changes for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.observations import TexelObservations

__all__ = ["NEUTRAL", "PhotoCast", "estimate_photo_cast"]

EPS = 0.01  # linear albedo added before its logarithm is taken
SKIN_CHROMA = (0.642, -0.148, -0.494)
"""Logarithm of linear colour less its mean over the channels: median of the skin in 442 portraits."""
SKIN_RANGE = (0.45, 1.6)  # multiples of it that skin under ordinary light has
CAST = (0.45, 0.65)  # distance from these multiples beyond which it is a cast; none of the portraits is
MONOCHROME = (0.045, 0.065)
"""RMS of the face's chroma that its lightness does not explain: below, one colour alone; colour photos have
.09 and more (the faintest of 442: .066)."""
FEW = 500  # texels up to which nothing is estimated
TINT_RANGE = (0.02, 0.98)  # quantiles of lightness between which the tint is known


@dataclass(frozen=True, eq=False)
class PhotoCast:
    """How a photo's colours differ from those of ordinary photos.

    Attributes:
        gain: (3,) factors of linear albedo, geometric mean 1.
        monochrome: 0..1, 1 where colour depends on lightness alone.
        tint: (2, 3) chroma of a monochrome photo (``SKIN_CHROMA``'s unit): at lightness 0, and its slope.
        lightness: (2,) range of mean log albedo in which ``tint`` holds.
    """

    gain: Float[np.ndarray, "3"]
    monochrome: float
    tint: Float[np.ndarray, "2 3"]
    lightness: tuple[float, float]

    @property
    def is_neutral(self) -> bool:
        """Whether nothing is to be done."""
        return self.monochrome == 0 and bool((self.gain == 1).all())

    def remove(self, observed: TexelObservations) -> TexelObservations:
        """Divide what is observed by the cast."""
        if self.is_neutral:
            return observed
        return replace(observed, albedo=(observed.albedo / self.gain).astype(np.float32))

    def apply_to_observed(self, observed: TexelObservations) -> TexelObservations:
        """Multiply by the cast what was divided by it."""
        if self.is_neutral:
            return observed
        return replace(observed, albedo=(observed.albedo * self.gain).astype(np.float32))

    def apply(self, canvas: TextureCanvas) -> TextureCanvas:
        """Return to the photo's colours: what is observed, and what was painted."""
        if self.is_neutral:
            return canvas
        fill = self._tinted(np.maximum(canvas.fill, 0) * self.gain)
        observed = self.apply_to_observed(canvas.observed)
        return replace(canvas, observed=observed, fill=fill.astype(np.float32))

    def _tinted(self, colour: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Move colours to those that a monochrome photo has at their luminance, as far as it is one."""
        if self.monochrome == 0:
            return colour
        lightness = np.log(colour + EPS).mean(1).clip(*self.lightness)
        tint = np.exp(self.tint[0] + lightness[:, None] * self.tint[1])
        tinted = tint * (colour.mean(1) / tint.mean(1))[:, None]
        return colour + self.monochrome * (tinted - colour)


NEUTRAL = PhotoCast(np.ones(3), 0.0, np.zeros((2, 3)), (0.0, 0.0))
"""No cast."""


def estimate_photo_cast(observed: TexelObservations) -> PhotoCast:
    """Estimate the cast from what is surely visible of the face; ``NEUTRAL`` where that is little."""
    face = observed.confidence * observed.in_face > 0.7
    skin = face & (observed.is_clean * observed.label[:, 0] > 0.7)
    if skin.sum() < FEW:
        return NEUTRAL
    log = np.log(observed.albedo[face].astype(np.float64) + EPS)
    lightness = log.mean(1)
    chroma = log - lightness[:, None]
    basis = np.stack([np.ones_like(lightness), lightness], 1)
    tint = np.linalg.lstsq(basis, chroma, rcond=None)[0]
    spread = float(np.sqrt(((chroma - basis @ tint) ** 2).sum(1).mean()))
    monochrome = 1 - float(smoothstep(spread, *MONOCHROME))
    usual = np.array(SKIN_CHROMA)
    tone = np.median(chroma[skin[face]], 0)
    nearest = np.clip(tone @ usual / (usual @ usual), *SKIN_RANGE) * usual
    weight = max(monochrome, float(smoothstep(float(np.linalg.norm(tone - nearest)), *CAST)))
    low, high = np.quantile(lightness, TINT_RANGE)
    return PhotoCast(np.exp(weight * (tone - nearest)), monochrome, tint, (float(low), float(high)))
