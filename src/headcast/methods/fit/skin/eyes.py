"""Paint eyeballs: the iris completed around its centre, a clean sclera, no lid painted on the ball."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int

from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.texture.texels import interpolate_attributes

__all__ = ["paint_eyes"]

IRIS_POINTS = {"eyeLeft": (473, (474, 475, 476, 477)), "eyeRight": (468, (469, 470, 471, 472))}
SECTOR_COUNT, RING_COUNT = 48, 20  # cells of the iris in polar coordinates
SCLERA_ALBEDO = (0.62, 0.56, 0.52)  # linear, if no photo shows any
PHOTO_HUE_WEIGHT = 0.4  # weight of the photo in the hue of the white
IRIS_PROFILE = ((0.0, 0.008), (0.33, 0.01), (0.40, 0.07), (0.7, 0.09), (0.9, 0.06), (1.0, 0.03))
"""Default lightness of the iris, by radius relative to its own."""


def paint_eyes(canvas: TextureCanvas, white: float) -> TextureCanvas:
    """Fill in the texels of both eyeballs.

    Args:
        white: brightness of this photo's albedo scale: 1 where light skin has a luminance of 0.4.
    """
    head, fill = canvas.head, canvas.fill.copy()
    part = head.part.numpy()[canvas.texels.triangle]
    points = head.landmarks(torch.from_numpy(canvas.rest)).numpy()
    for name, (centre, ring) in IRIS_POINTS.items():
        index = np.flatnonzero(part == head.part_names.index(name))
        if len(index):
            radius = float(np.linalg.norm(points[list(ring)] - points[centre], axis=1).mean())
            fill[index] = _eye_colour(canvas, index, points[centre], radius, white)
    return replace(canvas, fill=fill)


def _eye_colour(
    canvas: TextureCanvas,
    index: Int[np.ndarray, "m"],
    centre: Float[np.ndarray, "3"],
    radius: float,
    white: float,
) -> Float[np.ndarray, "m 3"]:
    """Paint the iris within ``radius`` (metres) of ``centre`` and the sclera, darker towards its border."""
    offset = (
        interpolate_attributes(canvas.rest, canvas.head.faces.numpy(), canvas.texels.subset(index)) - centre
    )
    is_front = offset[:, 2] > -0.012
    r = np.where(is_front, np.hypot(offset[:, 0], offset[:, 1]) / radius, 9.0)
    angle = np.arctan2(offset[:, 1], offset[:, 0])
    confidence, colour = canvas.observed.confidence[index], canvas.observed.albedo[index]
    white_of_eye = _sclera_colour(r, confidence, colour, white)
    fill = white_of_eye * (1 - 0.45 * smoothstep(r, 1.2, 2.3))[:, None]
    iris = _iris_colour(r, angle, confidence, colour, white)
    return fill + smoothstep(1.06 - r, 0.0, 0.12)[:, None] * (iris - fill)


def _sclera_colour(
    r: Float[np.ndarray, "m"],
    confidence: Float[np.ndarray, "m"],
    colour: Float[np.ndarray, "m 3"],
    white: float,
) -> Float[np.ndarray, "3"]:
    """Return the sclera's albedo: brightness of its lighter visible part, hue pulled to the default."""
    visible = (r > 1.12) & (r < 2.2) & (confidence > 0.5)
    default = np.array(SCLERA_ALBEDO) * white
    if visible.sum() < 30:
        return default
    lightness = colour[visible].mean(1)
    observed_white = np.median(colour[visible][lightness >= np.quantile(lightness, 0.4)], 0)
    level = float(np.clip(observed_white.mean(), 0.3 * default.mean(), 1.1 * default.mean()))
    red, green, blue = (
        default ** (1 - PHOTO_HUE_WEIGHT) * np.maximum(observed_white, 1e-3) ** PHOTO_HUE_WEIGHT
    )
    green = min(green, 0.94 * red)  # never bluish, which sky and screens make of it
    colour = np.array([red, green, min(blue, 0.96 * green)])
    return colour * (level / colour.mean())


def _iris_colour(
    r: Float[np.ndarray, "m"],
    angle: Float[np.ndarray, "m"],
    confidence: Float[np.ndarray, "m"],
    colour: Float[np.ndarray, "m 3"],
    white: float,
) -> Float[np.ndarray, "m 3"]:
    """Complete the iris: means of observed colours by ring and sector, diffused around the centre."""
    ring = np.clip((r * RING_COUNT).astype(int), 0, RING_COUNT - 1)
    sector = ((angle / (2 * np.pi) + 0.5) * SECTOR_COUNT).astype(int) % SECTOR_COUNT
    in_iris = r < 1
    cell = ring * SECTOR_COUNT + sector
    weight = np.bincount(cell[in_iris], confidence[in_iris], RING_COUNT * SECTOR_COUNT).reshape(
        RING_COUNT, SECTOR_COUNT
    )
    default = (
        np.interp(
            (np.arange(RING_COUNT) + 0.5) / RING_COUNT,
            [r for r, _ in IRIS_PROFILE],
            [y for _, y in IRIS_PROFILE],
        )
        * white
    )
    default_rgb = default[:, None] * np.array([1.25, 1.0, 0.75])
    total = np.stack(
        [
            np.bincount(cell[in_iris], (confidence * colour[:, c])[in_iris], RING_COUNT * SECTOR_COUNT)
            for c in range(3)
        ],
        -1,
    )
    total = total.reshape(RING_COUNT, SECTOR_COUNT, 3)
    profile = (total.sum(1) + default_rgb * 2) / (weight.sum(1)[:, None] + 2)
    total, weight = _diffuse_around(total, weight)
    table = (total + profile[:, None] * 0.05) / (weight[..., None] + 0.05)
    return table[ring, sector]


def _diffuse_around(total: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Diffuse sums and weights (rings, sectors) around the centre into cells without observations."""
    for _ in range(SECTOR_COUNT):
        for shift in (1, -1):
            total = total + 0.02 * np.roll(total, shift, 1)
            weight = weight + 0.02 * np.roll(weight, shift, 1)
    return total, weight
