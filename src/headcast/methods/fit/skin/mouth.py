"""Paint teeth, gums, tongue and the mouth's inside: as visible in the photo, else plausible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from headcast.head.model import HeadModel
from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas

__all__ = ["lower_tongue", "paint_mouth"]

DEFAULTS: dict[str, tuple[float, float, float]] = {
    "teethUpper": (0.62, 0.545, 0.465),
    "teethLower": (0.56, 0.485, 0.41),
    "gums": (0.40, 0.16, 0.14),
    "tongue": (0.36, 0.12, 0.105),
    "mouth": (0.18, 0.04, 0.035),
}
"""Linear albedo, next to skin of luminance 0.4; how dark it is in there, ``head.occlusion`` says."""

TONGUE = (0.0, -0.005, -0.004)
"""Metres by which the tongue is moved from the head model's place, so that an open mouth looks deep."""

BEHIND = (0.004, 0.03)  # metres behind the foremost teeth
MIN_VISIBLE = 60  # texels of teeth from which on their colour is the photo's
SHADE = (0.9, 1.2, 1.3)  # logarithm of the shade furthest behind, by colour


def paint_mouth(canvas: TextureCanvas, white: float) -> TextureCanvas:
    """Fill in the texels of the mouth's parts; cheeks shade the teeth far behind the foremost.

    Args:
        white: brightness of this photo's albedo scale: 1 where light skin has a luminance of 0.4.
    """
    head, fill = canvas.head, canvas.fill.copy()
    part = head.part.numpy()[canvas.texels.triangle]
    for name, colour in DEFAULTS.items():
        if name not in head.part_names:
            continue
        mine = part == head.part_names.index(name)
        if mine.any():
            plain = np.tile(np.array(colour, np.float32) * white, (int(mine.sum()), 1))
            fill[mine] = _teeth_colour(canvas, mine, plain) if name.startswith("teeth") else plain
    return replace(canvas, fill=fill)


def _teeth_colour(
    canvas: TextureCanvas, mine: Bool[np.ndarray, "n"], plain: Float[np.ndarray, "m 3"]
) -> Float[np.ndarray, "m 3"]:
    """Return ``plain`` as light as the lighter part of the visible teeth, and nearer to its hue."""
    behind = canvas.gather(canvas.rest[:, 2:])[mine, 0]
    behind = smoothstep(behind.max() - behind, *BEHIND)
    good = canvas.observed.confidence[mine] > 0.5
    if good.sum() > MIN_VISIBLE:
        albedo = canvas.observed.albedo[mine][good]
        light = albedo.mean(1)
        lit = light > np.quantile(light, 0.3)
        ratio = np.median(albedo[lit] / plain[good][lit], 0)
        level = float(np.clip(ratio.mean(), 0.4, 1.15))
        plain = plain * level * np.clip(ratio / max(ratio.mean(), 1e-6), 0.88, 1.12)
    return plain * np.exp(-behind[:, None] * np.array(SHADE))


def lower_tongue(head: HeadModel) -> Float[np.ndarray, "v 3"]:
    """Displace the rest shape (head frame, metres) so that the tongue lies down behind the teeth."""
    out = np.zeros(tuple(head.neutral.shape))
    if "tongue" in head.part_names:
        out[np.unique(head.faces[head.part == head.part_names.index("tongue")].numpy())] = TONGUE
    return out
