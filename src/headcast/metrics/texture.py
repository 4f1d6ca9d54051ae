"""Metrics of skin maps in UV."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from headcast.head.model import HeadModel

__all__ = ["face_texels", "match_gain", "normal_angles"]


def face_texels(head: HeadModel, side: int, regions: Sequence[str]) -> Bool[np.ndarray, "s s"]:
    """Mask texels of skin triangles whose corners all lie in the named regions, but the outermost."""
    import cv2

    inside = head.region_mask(*regions).cpu().numpy()
    skin = head.part_faces("skin").cpu().numpy()
    chosen = skin[inside[head.faces.cpu().numpy()[skin]].all(1)]
    corners = head.uv.cpu().numpy()[head.faces_uv.cpu().numpy()[chosen]] * side - 0.5
    mask = np.zeros((side, side), np.uint8)
    for triangle in np.round(corners * 16).astype(np.int32):
        cv2.fillConvexPoly(mask, triangle, (1.0,), shift=4)
    return cv2.erode(mask, np.ones((3, 3), np.uint8)) > 0


def match_gain(
    fake: Float[np.ndarray, "h w 3"], real: Float[np.ndarray, "h w 3"], region: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """Scale the first by the gain per channel that brings it nearest to the second (linear light)."""
    x, y = fake[region].astype(np.float64), real[region].astype(np.float64)
    gain = (x * y).sum(0) / np.maximum((x * x).sum(0), 1e-12)
    return (fake * gain).astype(fake.dtype)


def normal_angles(a: Float[np.ndarray, "h w 3"], b: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Return degrees between two maps of normals, which need not have unit length."""
    dot = (a * b).sum(-1) / np.maximum(np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1), 1e-12)
    return np.degrees(np.arccos(np.clip(dot, -1, 1)))
