"""Edges of a person's coverage, and which person it is."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from headcast.crops.square import Box
from headcast.observe.filters import guided, local_colour, resized

__all__ = ["keep_connected", "refine_matte"]


def keep_connected(matte: Float[np.ndarray, "h w"], box: Box) -> Float[np.ndarray, "h w"]:
    """Drop what is not connected with the face."""
    import cv2

    solid = (matte > 0.5).astype(np.uint8)
    _, labels = cv2.connectedComponents(solid)
    x0, y0, x1, y1 = (round(v) for v in box)
    inner = labels[max(y0, 0) : max(y1, 1), max(x0, 0) : max(x1, 1)]
    counts = np.bincount(inner[inner > 0].ravel(), minlength=2)
    if counts[1:].sum() == 0:
        return matte
    mine = (labels == int(counts[1:].argmax()) + 1).astype(np.uint8)
    size = max(x1 - x0, y1 - y0)
    k = max(3, round(0.06 * size)) | 1
    near = cv2.dilate(mine, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k)))
    return matte * near


def refine_matte(
    rgb: UInt8[np.ndarray, "h w 3"], coarse: Float[np.ndarray, "h w"], size: float
) -> Float[np.ndarray, "h w"]:
    """Move the soft edge to where the colours change.

    In a band around the coarse edge every pixel is compared with the mean colours of sure person and sure
    background nearby: its place on the line between them is its coverage, trusted as far as the two colours
    differ and the pixel lies near their line. A guided filter then ties the band to the image's edges.
    """

    image = rgb.astype(np.float32) / 255
    reach = max(2.0, 0.035 * size)
    sure, never = _edge_regions(reach, coarse)
    band = 1 - sure - never
    front, front_weight = _wide_colour(image, sure, 1.3 * reach)
    back, back_weight = _wide_colour(image, never, 1.3 * reach)
    place, trust = _place_between(front, back, image)
    trust = trust * np.minimum(1, 50 * np.minimum(front_weight, back_weight)) * band
    prior = np.clip(coarse, 0, 1)
    mixed = prior + trust * (place - prior)
    mixed = np.where(band > 0, mixed, sure)
    fine = guided(image, mixed.astype(np.float32), max(2, round(0.35 * reach)), 2e-4)
    out = np.where(band > 0, fine, sure)
    return np.clip((out - 0.04) / 0.92, 0, 1).astype(np.float32)


def _wide_colour(image: np.ndarray, weight: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ``local_colour``, computed on as few pixels as its blur needs."""
    h, w = weight.shape
    k = max(1, round(sigma / 3))
    small = max(1, round(h / k)), max(1, round(w / k))
    share = resized(weight.astype(np.float32), *small)
    mixed = resized(image * weight[..., None], *small) / np.maximum(share, 1e-6)[..., None]
    colour, total = local_colour(mixed, share, sigma / k)
    return resized(colour, h, w), resized(total, h, w)


def _place_between(front: np.ndarray, back: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's place from background (0) to person (1) in colour, and the trust in it."""
    line = front - back
    length = (line**2).sum(-1)
    place = np.clip(((image - back) * line).sum(-1) / np.maximum(length, 1e-6), 0, 1)
    squared_distance = ((image - back - place[..., None] * line) ** 2).sum(-1)
    trust = length**2 / (length**2 + 0.003) * np.exp(-squared_distance / (0.25 * length + 0.003))
    return place, trust


def _edge_regions(reach: float, coarse: Float[np.ndarray, "h w"]) -> tuple[np.ndarray, np.ndarray]:
    """Return what is person and what background for sure, at least ``reach`` pixels from the coarse edge."""
    import cv2

    k = 2 * round(reach) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k))
    sure = cv2.erode((coarse > 0.8).astype(np.uint8), disk, borderType=cv2.BORDER_REPLICATE).astype(
        np.float32
    )
    never = cv2.erode((coarse < 0.2).astype(np.uint8), disk, borderType=cv2.BORDER_REPLICATE).astype(
        np.float32
    )
    return sure, never
