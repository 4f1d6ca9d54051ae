"""Masks on photos and textures: outlines of landmarks, regions of the head, soft borders."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from headcast.head.model import HeadModel
from headcast.observe.types import Observation
from headcast.texture.texels import Texels, interpolate_attributes

__all__ = ["feather", "outline_band", "region_weights"]


def region_weights(head: HeadModel, texels: Texels, *names: str) -> Float[np.ndarray, "n"]:
    """Return 0..1: how far each texel lies in the named regions of the head."""
    wanted = [i for i, n in enumerate(head.region_names) if n in names]
    inside = torch.isin(head.region, torch.tensor(wanted, dtype=torch.long)).numpy()
    return interpolate_attributes(inside[:, None].astype(np.float32), head.faces.numpy(), texels)[:, 0]


def feather(weight: Float[np.ndarray, "n"], texels: Texels, width: float) -> Float[np.ndarray, "n"]:
    """Let texel weights fall to 0 gently, and only inwards, at borders.

    Args:
        width: of the falling part, texels of a 1024 texture.
    """
    import cv2

    radius = width * texels.size / 1024
    image = texels.to_image(weight)
    k = 2 * round(radius) + 1
    inner = cv2.erode(image, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k)))
    soft = cv2.GaussianBlur(inner, (0, 0), radius * 0.6)
    return np.minimum(weight, texels.from_image(soft))


def outline_band(
    observation: Observation, outlines: tuple[tuple[int, ...], ...], width: float
) -> Float[np.ndarray, "h w"]:
    """Return 1 within ``width`` pixels of closed outlines, and inside them."""
    import cv2

    mask = np.zeros(observation.image.shape[:2], np.uint8)
    for outline in outlines:
        p = np.round((observation.detection.points[list(outline)] - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(mask, [p], (255,), cv2.LINE_AA, 4)
        cv2.polylines(mask, [p], True, (255,), max(1, round(2 * width)), cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255
