"""Level skin that a photo shows at a slant: it looks darker and redder than the light's harmonics say."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Bool, Float

from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas

__all__ = ["slant_level"]

EPS = 2e-3  # linear albedo, added before the logarithm
EDGES = (0.1, 0.2, 0.3, 0.4, 0.5)  # cosines to the camera between which the difference is measured
FRONTAL = (0.55, 0.8)  # cosines with which slanted skin is compared
MIN_TEXELS = 300  # of a 1024 texture, from which a difference is believed
MAX_DARKER, MAX_LIGHTER = 0.45, 0.2  # natural logarithm
SIDES = (0.4, 0.7)  # of half the face's width, from which skin is levelled: eye sockets and nose are darker


def slant_level(canvas: TextureCanvas, growth: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n 3"]:
    """Return factors that level the albedo of slanted skin with that of frontal skin.

    How much darker skin is than the skin model says is measured by its cosine to the camera, separately on
    the subject's left and right. Skin without a beard tells it; the sides of the face are levelled.

    Args:
        growth: 0..1, where a beard may grow.
    """
    observed = canvas.observed
    log_level = np.zeros_like(observed.albedo)
    across = np.abs(canvas.gather(canvas.rest)[:, 0])
    difference = np.log((observed.albedo + EPS) / (canvas.fill + EPS))
    certain = _is_certain(canvas, growth)
    subject_left = canvas.gather(canvas.rest)[:, 0] > 0
    for side in (subject_left, ~subject_left):
        curve = _darkening(difference, observed.facing, certain & side, canvas.texels.size)
        at = [np.interp(observed.facing, *curve_of) for curve_of in curve]
        log_level[side] = np.stack(at, 1)[side]
    face = canvas.region_weights("face")
    weight = face * observed.label[:, 0] * smoothstep(across / across[face > 0.5].max(), *SIDES)
    return np.exp(-log_level * weight[:, None]).astype(np.float32)


def _is_certain(canvas: TextureCanvas, growth: Float[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Return which texels surely show bare skin of the face."""
    observed = canvas.observed
    certain = observed.is_clean * observed.in_face * smoothstep(observed.label[:, 0], 0.6, 0.9)
    return (certain * canvas.region_weights("face") * (1 - growth) > 0.5) & (observed.confidence > 0)


def _darkening(
    difference: Float[np.ndarray, "n 3"],
    facing: Float[np.ndarray, "n"],
    certain: Bool[np.ndarray, "n"],
    size: int,
) -> list[tuple[Float[np.ndarray, "k"], Float[np.ndarray, "k"]]]:
    """Return, for every channel, cosines to the camera and the logarithm by which skin is darker there."""
    least = MIN_TEXELS * (size / 1024) ** 2
    frontal = certain & (facing > FRONTAL[0]) & (facing < FRONTAL[1])
    if frontal.sum() < least:
        return [(np.ones(1), np.zeros(1))] * 3
    usual = np.median(difference[frontal], 0)
    cosine, darker = [], []
    for low, high in itertools.pairwise(EDGES):
        inside = certain & (facing >= low) & (facing < high)
        if inside.sum() >= least:
            cosine.append((low + high) / 2)
            darker.append(np.median(difference[inside], 0) - usual)
    cosine.append(FRONTAL[0])
    darker.append(np.zeros(3))
    values = np.clip(np.array(darker), -MAX_DARKER, MAX_LIGHTER)
    return [(np.array(cosine), values[:, c]) for c in range(3)]
