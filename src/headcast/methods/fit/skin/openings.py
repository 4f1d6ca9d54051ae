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

__all__ = ["distance_to", "lower_lashes", "paint_openings", "reject_teeth"]

LASH_LINE = (0.0009, 0.35)  # width, metres; darkening at the lower lid's edge
NOSTRIL_RIMS = ((20, 242, 238, 79, 166, 59, 60), (250, 462, 458, 309, 392, 289, 290))
NOSTRIL_SHAPE_M = (0.0025, 0.0075, 0.016)  # centre behind the rim, radius there, depth
NOSTRIL_AXIS = (0.0, 0.73, -0.68)  # of the canal, in the head frame
OBSERVED_NEARBY = (6.0, 0.85)  # distance in texels of a 1024 texture; reduction of the dark there
NOSTRIL_ALBEDO = (0.16, 0.07, 0.05)  # relative to the skin's
LIP_EDGE_M = 0.0022  # from the lips' inner edge: nearer texels may have the colours of teeth
TOOTH_LOG_DIFFERENCE = (0.1, 0.3)  # of redness to the lips, from which a texel is a tooth


def paint_openings(canvas: TextureCanvas) -> TextureCanvas:
    """Darken the lower lash lines and the nostrils' inside.

    Next to observed texels nostrils are less dark, else a black line would remain along the nose's outline,
    which the photo shows at a grazing angle.
    """
    head, texels = canvas.head, canvas.texels
    is_skin = (head.part == head.part_names.index("skin")).numpy()[texels.triangle]
    index = np.flatnonzero(is_skin & (canvas.region_weights("lids", "nose", "face") > 0))
    sub = texels.subset(index)
    nostril = _nostril_weight(head, sub, canvas.rest) * (
        1 - _reduce_near_observed(canvas.observed.confidence, texels, index)
    )
    lashes = lower_lashes(head, canvas.rest, interpolate_attributes(canvas.rest, head.faces.numpy(), sub))
    darkening = np.array(NOSTRIL_ALBEDO) ** nostril[:, None]
    return canvas.with_fill(index, canvas.fill[index] * (lashes[:, None] * darkening).astype(np.float32))


def _reduce_near_observed(
    confidence: Float[np.ndarray, "n"], texels: Texels, index: Int[np.ndarray, "m"]
) -> Float[np.ndarray, "m"]:
    """Return the reduction of the dark at texels ``index`` near confident ones, 0..1."""
    import cv2

    width, max_reduction = OBSERVED_NEARBY[0] * texels.size / 1024, OBSERVED_NEARBY[1]
    crop, gather_texels = texels.crop(index, round(4 * width))
    return max_reduction * smoothstep(
        gather_texels(cv2.GaussianBlur(crop(confidence), (0, 0), width)), 0.05, 0.4
    )


def _nostril_weight(
    head: HeadModel, texels: Texels, rest: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, "m"]:
    """Return 0..1: weight of texels inside the nostrils."""
    vertices = torch.from_numpy(rest).float()
    position = interpolate_attributes(rest, head.faces.numpy(), texels)
    normal = interpolate_attributes(head.vertex_normals(vertices).numpy(), head.faces.numpy(), texels)
    points = head.landmarks(vertices).numpy()
    weight = np.zeros(len(position), np.float32)
    axis = np.array(NOSTRIL_AXIS)
    for rim in NOSTRIL_RIMS:
        to_centre = points[list(rim)].mean(0) + NOSTRIL_SHAPE_M[0] * axis - position
        inward = (normal * to_centre).sum(1) / np.maximum(np.linalg.norm(to_centre, axis=1), 1e-6)
        depth = -to_centre @ axis
        radius = np.linalg.norm(to_centre + depth[:, None] * axis, axis=1) / (
            NOSTRIL_SHAPE_M[1] + 0.4 * depth.clip(0)
        )
        radial_weight = 1 - smoothstep(radius, 0.8, 1.0)
        depth_weight = smoothstep(depth, -3 * NOSTRIL_SHAPE_M[0], -NOSTRIL_SHAPE_M[0]) * (
            depth < NOSTRIL_SHAPE_M[2]
        )
        weight = np.maximum(weight, smoothstep(inward, 0.1, 0.5) * radial_weight * depth_weight)
    return weight.astype(np.float32)


def lower_lashes(
    head: HeadModel, rest: Float[np.ndarray, "v 3"], position: Float[np.ndarray, "m 3"]
) -> Float[np.ndarray, "m"]:
    """Return the fraction of light that the lower lashes transmit at points near the eyelids' edges."""
    width, darkening = LASH_LINE
    light_fraction = np.ones(len(position), np.float32)
    for _, _, edge in lid_margins(head, rest):
        if not len(edge):
            continue
        distance = distance_to(rest[edge], position, 3 * width)
        light_fraction *= 1 - darkening * np.exp(-((distance / width) ** 2)).astype(np.float32)
    return light_fraction


def distance_to(
    line: Float[np.ndarray, "k 3"], position: Float[np.ndarray, "m 3"], max_distance: float
) -> Float[np.ndarray, "m"]:
    """Return the distance to a polyline through ``k`` points, metres; 1 beyond ``max_distance``."""
    parameter = np.linspace(0, len(line) - 1, 8 * len(line))
    dense = np.stack([np.interp(parameter, np.arange(len(line)), line[:, k]) for k in range(3)], 1)
    candidates = np.flatnonzero(
        ((position > dense.min(0) - max_distance) & (position < dense.max(0) + max_distance)).all(1)
    )
    distance = np.ones(len(position), np.float32)
    p, q = position[candidates].astype(np.float32), dense.astype(np.float32)
    squared = (p**2).sum(1)[:, None] - 2 * p @ q.T + (q**2).sum(1)
    distance[candidates] = np.sqrt(np.maximum(squared.min(1), 0)) if len(candidates) else 0
    return np.where(distance < max_distance, distance, 1.0).astype(np.float32)


def reject_teeth(canvas: TextureCanvas) -> TextureCanvas:
    """Lower the confidence of lip texels near the inner edge that are less red than the lips."""
    from headcast.observe.landmark_points import LIPS_INNER

    observed, fill = canvas.observed, canvas.fill
    points = canvas.head.landmarks(torch.from_numpy(canvas.rest).float()).numpy()[list(LIPS_INNER)]
    index = np.flatnonzero(canvas.region_weights("lips") > 0)
    position = canvas.gather(canvas.rest)[index]
    distance = distance_to(np.concatenate([points, points[:1]]), position, 2 * LIP_EDGE_M)
    near_edge = 1 - smoothstep(distance, 0.7 * LIP_EDGE_M, LIP_EDGE_M)
    redness = [np.log((x[index, 0] + 0.02) / (x[index, 1:].mean(1) + 0.02)) for x in (fill, observed.albedo)]
    lighter = np.log((observed.albedo[index].mean(1) + 0.02) / (fill[index].mean(1) + 0.02))
    tooth_weight = smoothstep(redness[0] - redness[1], *TOOTH_LOG_DIFFERENCE) * smoothstep(lighter, -0.3, 0.0)
    return replace(canvas, observed=observed.scale_confidence(index, 1 - near_edge * tooth_weight))
