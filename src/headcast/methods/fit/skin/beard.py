"""Where a beard grows. What a photo shows of it there, and nowhere else, is continued along the jaw."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas

__all__ = ["beard_growth"]

REACH = (1.0, 1.0, 1.2, 2.0, 2.6, 2.9, 3.0, 3.0, 3.0, 3.0, 3.0)
JAW = (
    ((234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152), REACH),
    ((454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152), REACH),
)
"""Landmarks from the sideburn along the jaw to the chin, and how far a beard grows from them, cm."""
MOUTH = ((61, 40, 37, 267, 270, 291, 321, 314, 84, 91, 61), 1.6)
"""Landmarks around the lips, and how far a moustache and the beard of the chin grow from them, cm."""
REGIONS = ("face", "neck")
SOFTNESS = 0.35  # of the reach, over which growth falls to zero


def beard_growth(canvas: TextureCanvas) -> Float[np.ndarray, "n"]:
    """Return 0..1: how densely a beard may grow, by the distance to the jaw and the mouth."""
    head, rest = canvas.head, canvas.rest
    points = head.landmarks(torch.from_numpy(rest).float()).numpy()
    which = np.flatnonzero(np.isin(np.array(head.region_names)[head.region.numpy()], REGIONS))
    growth = np.zeros((len(rest), 1), np.float32)
    for index, reach in (*JAW, (MOUTH[0], (MOUTH[1],) * len(MOUTH[0]))):
        parameter, along = np.linspace(0, len(index) - 1, 8 * len(index)), np.arange(len(index))
        line = np.stack([np.interp(parameter, along, points[list(index), k]) for k in range(3)], 1)
        width = np.interp(parameter, along, np.array(reach) / 100)
        distance = np.linalg.norm(rest[which, None] - line, axis=2) / width
        near = 1 - smoothstep(distance.min(1), 1 - SOFTNESS, 1.0)
        growth[which, 0] = np.maximum(growth[which, 0], near)
    return (canvas.gather(growth)[:, 0] * canvas.region_weights(*REGIONS)).clip(0, 1).astype(np.float32)
