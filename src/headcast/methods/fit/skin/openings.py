"""Paint where the face opens: lower lash lines, dark nostrils, lips without the teeth behind them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int

from headcast.head.model import HeadModel
from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.texture.margins import lid_margins
from headcast.texture.texels import Texels, interpolate_attributes

__all__ = ["distance_to", "distrust_teeth", "lower_lashes", "paint_openings"]

LASHES = (0.0009, 0.35)  # width (metres), how much darker at the lower lid's edge
NOSTRIL_RIMS = ((20, 242, 238, 79, 166, 59, 60), (250, 462, 458, 309, 392, 289, 290))
NOSTRIL = (0.0025, 0.0075, 0.016)  # metres of its middle behind its rim, its radius there and its depth
NOSTRIL_AXIS = (0.0, 0.73, -0.68)  # of the canal, in the head frame
BESIDE = (4.0, 0.3)  # texels of a 1024 texture, how much of the dark is left out there
INSIDE_NOSE = (0.16, 0.07, 0.05)  # of the skin's albedo
INNER_LIP = 0.0022  # metres from the lips' inner edge within which teeth may have been painted
TOOTH = (0.1, 0.3)  # logarithm of how much less red than lips


def paint_openings(canvas: TextureCanvas) -> TextureCanvas:
    """Darken the lower lash lines and the nostrils' inside.

    Right beside what the photo shows nostrils are less dark: else the nose's outline in the photo, at too
    great a slant to be trusted, comes out as a black line.
    """
    head, texels = canvas.head, canvas.texels
    skin = (head.part == head.part_names.index("skin")).numpy()[texels.triangle]
    mine = np.flatnonzero(skin & (canvas.region_weights("lids", "nose", "face") > 0))
    sub = texels.subset(mine)
    inside = _in_nostrils(head, sub, canvas.rest) * (1 - _dark_loss(canvas.observed.confidence, texels, mine))
    lashes = lower_lashes(head, canvas.rest, interpolate_attributes(canvas.rest, head.faces.numpy(), sub))
    dark = np.array(INSIDE_NOSE) ** inside[:, None]
    return canvas.with_fill(mine, canvas.fill[mine] * (lashes[:, None] * dark).astype(np.float32))


def _dark_loss(
    confidence: Float[np.ndarray, "n"], texels: Texels, which: Int[np.ndarray, "m"]
) -> Float[np.ndarray, "m"]:
    """Return the fraction of the dark that texels ``which`` lose for lying near trusted ones."""
    import cv2

    width, most = BESIDE[0] * texels.size / 1024, BESIDE[1]
    here, places = texels.crop(which, round(4 * width))
    return most * smoothstep(places(cv2.GaussianBlur(here(confidence), (0, 0), width)), 0.05, 0.4)


def _in_nostrils(head: HeadModel, texels: Texels, rest: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "m"]:
    """Return 0..1: how far texels lie within the nostrils."""
    vertices = torch.from_numpy(rest).float()
    at = interpolate_attributes(rest, head.faces.numpy(), texels)
    normal = interpolate_attributes(head.vertex_normals(vertices).numpy(), head.faces.numpy(), texels)
    points = head.landmarks(vertices).numpy()
    out = np.zeros(len(at), np.float32)
    axis = np.array(NOSTRIL_AXIS)
    for rim in NOSTRIL_RIMS:
        to = points[list(rim)].mean(0) + NOSTRIL[0] * axis - at
        inward = (normal * to).sum(1) / np.maximum(np.linalg.norm(to, axis=1), 1e-6)
        deep = -to @ axis
        radius = np.linalg.norm(to + deep[:, None] * axis, axis=1) / (NOSTRIL[1] + 0.4 * deep.clip(0))
        near = 1 - smoothstep(radius, 0.8, 1.0)
        within = smoothstep(deep, -3 * NOSTRIL[0], -NOSTRIL[0]) * (deep < NOSTRIL[2])
        out = np.maximum(out, smoothstep(inward, 0.1, 0.5) * near * within)
    return out.astype(np.float32)


def lower_lashes(
    head: HeadModel, rest: Float[np.ndarray, "v 3"], at: Float[np.ndarray, "m 3"]
) -> Float[np.ndarray, "m"]:
    """Return the fraction of light that the lower lashes leave at points near the eyelids' edges."""
    width, dark = LASHES
    out = np.ones(len(at), np.float32)
    for _, _, edge in lid_margins(head, rest):
        if not len(edge):
            continue
        distance = distance_to(rest[edge], at, 3 * width)
        out *= 1 - dark * np.exp(-((distance / width) ** 2)).astype(np.float32)
    return out


def distance_to(
    line: Float[np.ndarray, "k 3"], at: Float[np.ndarray, "m 3"], most: float
) -> Float[np.ndarray, "m"]:
    """Return metres to a line through ``k`` points in order, 1 beyond ``most``."""
    t = np.linspace(0, len(line) - 1, 8 * len(line))
    dense = np.stack([np.interp(t, np.arange(len(line)), line[:, k]) for k in range(3)], 1)
    near = np.flatnonzero(((at > dense.min(0) - most) & (at < dense.max(0) + most)).all(1))
    out = np.ones(len(at), np.float32)
    p, q = at[near].astype(np.float32), dense.astype(np.float32)
    squared = (p**2).sum(1)[:, None] - 2 * p @ q.T + (q**2).sum(1)
    out[near] = np.sqrt(np.maximum(squared.min(1), 0)) if len(near) else 0
    return np.where(out < most, out, 1.0).astype(np.float32)


def distrust_teeth(canvas: TextureCanvas) -> TextureCanvas:
    """Distrust lips that are, near their inner edge, less red than these lips are."""
    from headcast.observe.landmark_points import LIPS_INNER

    observed, fill = canvas.observed, canvas.fill
    points = canvas.head.landmarks(torch.from_numpy(canvas.rest).float()).numpy()[list(LIPS_INNER)]
    mine = np.flatnonzero(canvas.region_weights("lips") > 0)
    at = canvas.gather(canvas.rest)[mine]
    distance = distance_to(np.concatenate([points, points[:1]]), at, 2 * INNER_LIP)
    near = 1 - smoothstep(distance, 0.7 * INNER_LIP, INNER_LIP)
    redness = [np.log((x[mine, 0] + 0.02) / (x[mine, 1:].mean(1) + 0.02)) for x in (fill, observed.albedo)]
    lighter = np.log((observed.albedo[mine].mean(1) + 0.02) / (fill[mine].mean(1) + 0.02))
    tooth = smoothstep(redness[0] - redness[1], *TOOTH) * smoothstep(lighter, -0.3, 0.0)
    return replace(canvas, observed=observed.scale_confidence(mine, 1 - near * tooth))
