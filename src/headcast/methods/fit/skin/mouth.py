"""Teeth, gums, tongue and the mouth's inside: as seen where the photo shows them well, else plausible."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headcast.head.model import HeadModel
from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.observations import Evidence
from headcast.texture.texels import Texels, gather

__all__ = ["DEFAULTS", "paint_mouth", "tongue_low"]

DEFAULTS: dict[str, tuple[float, float, float]] = {
    "teethUpper": (0.62, 0.545, 0.465), "teethLower": (0.56, 0.485, 0.41), "gums": (0.40, 0.16, 0.14),
    "tongue": (0.36, 0.12, 0.105), "mouth": (0.18, 0.04, 0.035),
}  # fmt: skip
"""Linear albedo, next to skin of luminance 0.4; how dark it is in there, ``head.occlusion`` says."""

TONGUE = (0.0, -0.005, -0.004)
"""Metres by which the tongue is moved from the head model's place, so that an open mouth looks deep."""

BEHIND = (0.004, 0.03)  # metres behind the foremost teeth
SHADE = (0.9, 1.2, 1.3)  # logarithm of the shade furthest behind, by colour


def paint_mouth(
    head: HeadModel, texels: Texels, seen: Evidence, fill_in: Float[np.ndarray, "n 3"],
    rest: Float[np.ndarray, "v 3"], white: float,
) -> None:  # fmt: skip
    """Fills in the texels of the mouth's parts of ``fill_in``.

    Args:
        rest: vertices at rest; cheeks shade the teeth far behind the foremost.
        white: brightness of this photo's albedo scale: 1 where light skin has a luminance of 0.4.
    """
    part = head.part.numpy()[texels.triangle]
    for name, colour in DEFAULTS.items():
        if name not in head.part_names:
            continue
        mine = part == head.part_names.index(name)
        if not mine.any():
            continue
        behind = gather(rest[:, 2:], head.faces.numpy(), texels)[mine, 0]
        behind = smoothstep(behind.max() - behind, *BEHIND)
        fill = np.tile(np.array(colour, np.float32) * white, (int(mine.sum()), 1))
        good = seen.trust[mine] > 0.5
        if name.startswith("teeth") and good.sum() > 60:
            light = seen.albedo[mine][good].mean(1)
            lit = light > np.quantile(light, 0.3)
            ratio = np.median(seen.albedo[mine][good][lit] / fill[good][lit], 0)
            level = float(np.clip(ratio.mean(), 0.4, 1.15))
            fill = fill * level * np.clip(ratio / max(ratio.mean(), 1e-6), 0.88, 1.12)
        if name.startswith("teeth"):
            fill = fill * np.exp(-behind[:, None] * np.array(SHADE))
        fill_in[mine] = fill


def tongue_low(head: HeadModel) -> Float[np.ndarray, "v 3"]:
    """Displacement of the rest shape (head frame, metres) that lays the tongue down behind the teeth."""
    out = np.zeros(tuple(head.neutral.shape))
    if "tongue" in head.part_names:
        out[np.unique(head.faces[head.part == head.part_names.index("tongue")].numpy())] = TONGUE
    return out
