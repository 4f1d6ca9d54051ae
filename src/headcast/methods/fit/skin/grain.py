"""Fine detail of hidden skin: patches of the person's own observed skin, laid over each other at random."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.texture.texels import Texels

__all__ = ["skin_grain"]

EPS = 2e-3  # linear albedo, added before the logarithm
PATCH = 40  # texels of a 1024 texture: side of a patch; patches overlap by half
COARSE = 9.0  # standard deviation, texels of a 1024 texture, from which detail is colour that is diffused
MIN_KNOWN = 0.95  # of a patch's texels, that show skin
MIN_PATCHES = 20  # of a kind, to draw from
KINDS = (0.25, 0.75)  # of growth: up to the first a patch is bare skin, from the second where a beard grows
BEARD_DARKENING = 0.15  # natural logarithm, from which what grows is a beard and not smooth skin
MAX_DETAIL, MAX_BARE_DETAIL = 0.5, 0.25  # natural logarithm, of skin with and without a beard


def skin_grain(
    canvas: TextureCanvas, growth: Float[np.ndarray, "n"], rng: np.random.Generator
) -> Float[np.ndarray, "n 3"]:
    """Synthesise the logarithm of skin's detail at every texel, from what is observed of bare skin and beard.

    Args:
        growth: 0..1, where a beard may grow.
    """
    texels, observed = canvas.texels, canvas.observed
    known = _known(canvas)
    detail = texels.to_image(_detail(canvas, known) * known[:, None])
    side = max(8, 2 * round(PATCH * texels.size / 2048))
    corners = _patches(texels.to_image(known.astype(np.float32)), side)
    grown = texels.to_image(growth)[corners[:, 0] + side // 2, corners[:, 1] + side // 2]
    bare, beard = corners[grown < KINDS[0]], corners[grown > KINDS[1]]
    if len(bare) < MIN_PATCHES:
        return np.zeros_like(observed.albedo)
    out = _lay(detail.clip(-MAX_BARE_DETAIL, MAX_BARE_DETAIL), bare, side, rng)
    if len(beard) >= MIN_PATCHES and _beard_darkening(canvas, known, growth) > BEARD_DARKENING:
        weight = texels.to_image(growth.clip(0, 1))[..., None]
        out = np.sqrt(1 - weight) * out + np.sqrt(weight) * _lay(detail, beard, side, rng)
    return texels.from_image(out)


def _beard_darkening(
    canvas: TextureCanvas, known: Bool[np.ndarray, "n"], growth: Float[np.ndarray, "n"]
) -> float:
    """Return by how much skin is darker where a beard may grow than elsewhere, natural logarithm."""
    log = np.log(np.maximum(canvas.observed.albedo.mean(1), 0) + EPS)
    bare, grown = known & (growth < KINDS[0]), known & (growth > KINDS[1])
    return float(np.median(log[bare]) - np.median(log[grown])) if bare.any() and grown.any() else 0.0


def _known(canvas: TextureCanvas) -> Bool[np.ndarray, "n"]:
    """Return which texels surely show skin of the face, away from its features."""
    observed = canvas.observed
    certain = observed.confidence * observed.is_clean * observed.in_face * observed.label[:, 0]
    return certain * observed.frontality * canvas.region_weights("face") > 0.7


def _detail(canvas: TextureCanvas, known: Bool[np.ndarray, "n"]) -> Float[np.ndarray, "n 3"]:
    """Return the logarithm of albedo less that of its surroundings."""
    import cv2

    texels: Texels = canvas.texels
    log = np.log(np.maximum(canvas.observed.albedo, 0) + EPS).astype(np.float32)
    weight = known[:, None].astype(np.float32)
    sigma = COARSE * texels.size / 1024
    blurred = texels.from_image(
        cv2.GaussianBlur(texels.to_image(np.concatenate([log * weight, weight], 1)), (0, 0), sigma)
    )
    return (log - blurred[:, :3] / np.maximum(blurred[:, 3:], 1e-3)).clip(-MAX_DETAIL, MAX_DETAIL)


def _patches(known: Float[np.ndarray, "s s"], side: int) -> Int[np.ndarray, "p 2"]:
    """Return the corners (row, column) of squares that nearly all show skin."""
    import cv2

    fraction = cv2.boxFilter(known, -1, (side, side), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    inside = fraction[: known.shape[0] - side, : known.shape[1] - side] > MIN_KNOWN
    return np.argwhere(inside)[:: max(1, side // 4)]


def _lay(
    detail: Float[np.ndarray, "s s 3"], corners: Int[np.ndarray, "p 2"], side: int, rng: np.random.Generator
) -> Float[np.ndarray, "s s 3"]:
    """Lay patches over the texture, half over each other, so that their variance remains."""
    size, step = len(detail), side // 2
    window = np.sin((np.arange(side) + 0.5) / side * np.pi).astype(np.float32)
    window = (window[:, None] * window)[..., None]
    padded = np.zeros((size + 2 * side, size + 2 * side, 3), np.float32)
    for row in range(0, size + side, step):
        for column in range(0, size + side, step):
            y, x = corners[rng.integers(len(corners))]
            patch = detail[y : y + side, x : x + side]
            if rng.random() < 0.5:
                patch = patch[:, ::-1]
            padded[row : row + side, column : column + side] += window * patch
    return padded[side : side + size, side : side + size]
