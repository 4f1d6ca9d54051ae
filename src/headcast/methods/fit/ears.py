"""Pin ears back where a photo shows less of them than the fitted head has: its ears all stick out alike."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.image import sample_bilinear
from headcast.observe.types import Observation
from headcast.render.geometry import visibility

__all__ = ["pin_ears"]

SCALES = np.linspace(1.0, 0.3, 15)  # of the distance by which an ear sticks out, tried in this order
ROOT_QUANTILE = 0.1  # of the vertices' distances to the middle: where an ear begins to stick out
ON_SKIN = 0.85  # share of an ear's visible vertices that the photo must show as skin
SOME_SKIN = 0.2  # share at the least scale below which hair covers the ear, which then stays as it is
MIN_VISIBLE = 40  # vertices of an ear, for a photo to tell
MIN_FACING = 0.1  # cosine to the camera of an ear's visible vertices


def pin_ears(observation: Observation, head: HeadModel) -> Float[Tensor, "v 3"]:
    """Return offsets (metres, head frame) that pin each ear to the skin that a photo shows of it."""
    offset = torch.zeros_like(head.neutral)
    if observation.masks is None or "ears" not in head.region_names:
        return offset
    rest = head.shape(observation.params.identity)
    posed = head(observation.params)
    for side in (1.0, -1.0):
        ear = head.region_mask("ears") & (rest[:, 0] * side > 0)
        scale = _pinned_scale(observation, head, rest, posed, ear)
        out = (rest[:, 0] * side)[ear]
        root = out.quantile(ROOT_QUANTILE)
        offset[ear, 0] = side * (scale - 1) * (out - root).clamp(min=0)
    return offset


def _pinned_scale(
    observation: Observation,
    head: HeadModel,
    rest: Float[Tensor, "v 3"],
    posed: Float[Tensor, "v 3"],
    ear: Bool[Tensor, "v"],
) -> float:
    """Return the largest scale at which the photo shows the ear's visible vertices as skin."""
    camera, masks = observation.camera, observation.masks
    assert masks is not None
    points = posed[ear]
    to_camera = torch.nn.functional.normalize(camera.center - points, dim=1)
    facing = (head.vertex_normals(posed)[ear] * to_camera).sum(1)
    seen = (visibility(points, camera, posed, head.faces, tolerance=0.003) > 0.5) & (facing > MIN_FACING)
    if int(seen.sum()) < MIN_VISIBLE:
        return 1.0
    outwards = _sideways(observation.params, head)
    distance = rest[ear, 0].abs()
    beyond = (distance - distance.quantile(ROOT_QUANTILE)).clamp(min=0)
    outwards = outwards * torch.sign(rest[ear, 0])[:, None]
    skin = masks.skin.astype(np.float32)
    on_skin = 0.0
    for scale in SCALES:
        moved = points + outwards * ((float(scale) - 1) * beyond)[:, None]
        pixel = camera.project(moved[seen]).numpy().astype(np.float32)
        on_skin = float((sample_bilinear(skin, pixel) > 0.5).mean())
        if on_skin >= ON_SKIN:
            return float(scale)
    return float(SCALES[-1]) if on_skin > SOME_SKIN else 1.0


def _sideways(params: HeadParams, head: HeadModel) -> Float[Tensor, "3"]:
    """Return the head's own +X (the subject's left) in the world, neck included."""
    tips = torch.tensor([[0.05, 0.0, 0.0], [-0.05, 0.0, 0.0]])
    weights = torch.zeros(2, head.skin_weights.shape[1])
    weights[:, 2] = 1.0
    left, right = head.skin_points(tips, weights, params)
    return torch.nn.functional.normalize(left - right, dim=0)
