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
AROUND, RINGS = 48, 20
SCLERA = (0.62, 0.56, 0.52)
PHOTO_HUE_WEIGHT = 0.4  # weight of the photo in the hue of the white
IRIS = ((0.0, 0.008), (0.33, 0.01), (0.40, 0.07), (0.7, 0.09), (0.9, 0.06), (1.0, 0.03))


def paint_eyes(canvas: TextureCanvas, white: float) -> TextureCanvas:
    """Fill in the texels of both eyeballs.

    Args:
        white: brightness of this photo's albedo scale: 1 where light skin has a luminance of 0.4.
    """
    head, fill = canvas.head, canvas.fill.copy()
    part = head.part.numpy()[canvas.texels.triangle]
    points = head.landmarks(torch.from_numpy(canvas.rest)).numpy()
    for name, (centre, ring) in IRIS_POINTS.items():
        mine = np.flatnonzero(part == head.part_names.index(name))
        if len(mine):
            radius = float(np.linalg.norm(points[list(ring)] - points[centre], axis=1).mean())
            fill[mine] = _eye_colour(canvas, mine, points[centre], radius, white)
    return replace(canvas, fill=fill)


def _eye_colour(
    canvas: TextureCanvas,
    mine: Int[np.ndarray, "m"],
    centre: Float[np.ndarray, "3"],
    radius: float,
    white: float,
) -> Float[np.ndarray, "m 3"]:
    """Paint the iris within ``radius`` (metres) of ``centre`` and the sclera, darker towards its border."""
    p = interpolate_attributes(canvas.rest, canvas.head.faces.numpy(), canvas.texels.subset(mine)) - centre
    front = p[:, 2] > -0.012
    r = np.where(front, np.hypot(p[:, 0], p[:, 1]) / radius, 9.0)
    angle = np.arctan2(p[:, 1], p[:, 0])
    confidence, colour = canvas.observed.confidence[mine], canvas.observed.albedo[mine]
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
    """Return a colour as bright as the lighter part of the visible white, its hue nearer to the usual one."""
    visible = (r > 1.12) & (r < 2.2) & (confidence > 0.5)
    usual = np.array(SCLERA) * white
    if visible.sum() < 30:
        return usual
    light = colour[visible].mean(1)
    best = np.median(colour[visible][light >= np.quantile(light, 0.4)], 0)
    level = float(np.clip(best.mean(), 0.3 * usual.mean(), 1.1 * usual.mean()))
    red, green, blue = usual ** (1 - PHOTO_HUE_WEIGHT) * np.maximum(best, 1e-3) ** PHOTO_HUE_WEIGHT
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
    """Complete the iris: means over rings and angles of what is visible, diffused around the centre."""
    ring = np.clip((r * RINGS).astype(int), 0, RINGS - 1)
    sector = ((angle / (2 * np.pi) + 0.5) * AROUND).astype(int) % AROUND
    inside = r < 1
    cell = ring * AROUND + sector
    weight = np.bincount(cell[inside], confidence[inside], RINGS * AROUND).reshape(RINGS, AROUND)
    usual = np.interp((np.arange(RINGS) + 0.5) / RINGS, [r for r, _ in IRIS], [y for _, y in IRIS]) * white
    usual_rgb = usual[:, None] * np.array([1.25, 1.0, 0.75])
    total = np.stack(
        [np.bincount(cell[inside], (confidence * colour[:, c])[inside], RINGS * AROUND) for c in range(3)], -1
    )
    total = total.reshape(RINGS, AROUND, 3)
    profile = (total.sum(1) + usual_rgb * 2) / (weight.sum(1)[:, None] + 2)
    total, weight = _diffuse_around(total, weight)
    table = (total + profile[:, None] * 0.05) / (weight[..., None] + 0.05)
    return table[ring, sector]


def _diffuse_around(total: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Diffuse sums and weights (rings, angles) around the centre, away from what is visible."""
    for _ in range(AROUND):  # diffused around the centre, away from what is visible
        for shift in (1, -1):
            total = total + 0.02 * np.roll(total, shift, 1)
            weight = weight + 0.02 * np.roll(weight, shift, 1)
    return total, weight
