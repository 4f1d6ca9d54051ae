"""Paint teeth, gums, tongue and the mouth's inside: as visible in the photo, else plausible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from headcast.head.model import HeadModel
from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.teeth import JAWS, ToothPoints, crown_light, enlarge_crowns, tooth_points

__all__ = ["paint_mouth", "shape_mouth"]

DEFAULT_ALBEDO: dict[str, tuple[float, float, float]] = {
    "teethUpper": (0.52, 0.455, 0.415),
    "teethLower": (0.47, 0.41, 0.37),
    "gums": (0.40, 0.16, 0.14),
    "tongue": (0.34, 0.13, 0.115),
    "mouth": (0.11, 0.03, 0.027),
}
"""Linear albedo for skin of luminance 0.4, without the occlusion of ``head.occlusion``."""

TONGUE_OFFSET_M = (0.0, -0.007, -0.009)
"""Displacement of the head model's tongue, so that an open mouth looks deep."""

MIN_TEETH_TEXELS = 60  # observed texels from which the teeth take the photo's colour
TONGUE_DEPTH_M = (0.0, 0.035)  # behind its tip, over which the palate shades the tongue
TONGUE_SHADE = 0.75  # light that it loses there
CORNER_LIGHT = (1.0, 0.97, 0.84, 0.66, 0.46, 0.34, 0.28, 0.25)
"""Fraction of the light on teeth by their number from the middle: cheeks and lips shade the outer ones."""
CORNER_HUE = (0.9, 1.0, 1.1)  # exponents of that fraction, by colour channel
TEETH_SCALE_EXPONENT = 0.4  # of the photo's scale in the teeth's: they hardly darken with the skin


def paint_mouth(canvas: TextureCanvas, white: float) -> TextureCanvas:
    """Fill in the texels of the mouth's parts; cheeks shade the teeth far from the middle.

    Args:
        white: brightness of this photo's albedo scale: 1 where light skin has a luminance of 0.4.
    """
    head, fill = canvas.head, canvas.fill.copy()
    part = head.part.numpy()[canvas.texels.triangle]
    for name, colour in DEFAULT_ALBEDO.items():
        if name not in head.part_names:
            continue
        is_part = part == head.part_names.index(name)
        if is_part.any():
            scale = white**TEETH_SCALE_EXPONENT if name in JAWS else white
            default = np.tile(np.array(colour, np.float32) * scale, (int(is_part.sum()), 1))
            fill[is_part] = _teeth_colour(canvas, name, is_part, default) if name in JAWS else default
            if name == "tongue":
                depth = canvas.gather(canvas.rest[:, 2:])[is_part]
                fill[is_part] *= 1 - TONGUE_SHADE * smoothstep(depth.max() - depth, *TONGUE_DEPTH_M)
    return replace(canvas, fill=fill)


def _teeth_colour(
    canvas: TextureCanvas, jaw: str, is_part: Bool[np.ndarray, "n"], default: Float[np.ndarray, "m 3"]
) -> Float[np.ndarray, "m 3"]:
    """Return the default scaled to the brighter observed teeth, with a part of their hue, tooth by tooth."""
    points = tooth_points(canvas.head, canvas.rest, jaw)
    number, across, height, outward = canvas.gather(np.stack(points, 1).astype(np.float32))[is_part].T
    is_observed = canvas.observed.confidence[is_part] > 0.5
    if is_observed.sum() > MIN_TEETH_TEXELS:
        albedo = canvas.observed.albedo[is_part][is_observed]
        lightness = albedo.mean(1)
        is_bright = lightness > np.quantile(lightness, 0.3)
        ratio = np.median(albedo[is_bright] / default[is_observed][is_bright], 0)
        level = float(np.clip(ratio.mean(), 0.4, 1.15))
        default = default * level * np.clip(ratio / max(ratio.mean(), 1e-6), 0.88, 1.12)
    number = number.round().astype(np.int64)
    light = crown_light(ToothPoints(number, across, height, outward))[:, None]
    corner = np.array(CORNER_LIGHT)[number.clip(0, len(CORNER_LIGHT) - 1)]
    return default * light * corner[:, None] ** np.array(CORNER_HUE)


def shape_mouth(head: HeadModel) -> Float[np.ndarray, "v 3"]:
    """Displace the rest shape (head frame, metres): the tongue lies behind the teeth, crowns touch."""
    displacement = enlarge_crowns(head, head.neutral.double().numpy())
    if "tongue" in head.part_names:
        displacement[np.unique(head.faces[head.part == head.part_names.index("tongue")].numpy())] = (
            TONGUE_OFFSET_M
        )
    return displacement
