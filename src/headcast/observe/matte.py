"""Separate a person from the background: a coarse matte for the parser, and its result's edges."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from headcast.crops.square import Box
from headcast.face_networks.segmentation import SEGMENTATION_SIDE, segment_people, segment_whole
from headcast.observe.filters import blur, guided, local_colour, resized

__all__ = ["coarse_matte", "keep_connected", "refine_by_colour", "refine_matte"]

NET = SEGMENTATION_SIDE
VIEWS = (2.3, 2.8, 3.6)  # sides of the squares that the network segments, in face sizes


def coarse_matte(rgb: UInt8[np.ndarray, "h w 3"], box: Box) -> Float[np.ndarray, "h w"]:
    """Average the network's outputs in squares of several sizes around head and shoulders, also mirrored."""
    import cv2

    h, w = rgb.shape[:2]
    total, weight = np.zeros((h, w), np.float32), np.zeros((h, w), np.float32)
    fallback = segment_whole(rgb)
    size = max(box[2] - box[0], box[3] - box[1])
    for view in VIEWS:
        k, W = _network_from_image(box, view, size, h, w)
        part = area_warp(rgb, W, k)
        mask = (segment_people(part) + segment_people(part[:, ::-1])[:, ::-1]) / 2
        back = {"dsize": (w, h), "flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP}
        border = _central_weight()
        view_weight = cv2.warpAffine(blur(border, 4.0), W, **back)
        total += cv2.warpAffine(logit(mask), W, **back) * view_weight
        weight += view_weight
    mean = (total + 0.02 * logit(fallback)) / (weight + 0.02)
    return 1 / (1 + np.exp(distance_prior(h, w, box) - mean))


def _central_weight() -> np.ndarray:
    """Return 1 in a network square, 0 on its rim, where the network sees too little around."""
    border = np.zeros((NET, NET), np.float32)
    border[4:-4, 4:-4] = 1
    return border


def _network_from_image(box: Box, view: float, size: float, h: int, w: int) -> tuple[float, np.ndarray]:
    """Return the affine map from the image to one square of the network, and its scale."""
    side = min(view * size, float(max(h, w)))
    x = clamp_interval((box[0] + box[2]) / 2, side, w)
    y = clamp_interval((box[1] + box[3]) / 2 + 0.15 * size, side, h)
    k = NET / side
    matrix = np.array([[k, 0, NET / 2 - k * x + 0.5 * k - 0.5], [0, k, NET / 2 - k * y + 0.5 * k - 0.5]])
    return k, matrix


def distance_prior(height: int, width: int, box: Box) -> Float[np.ndarray, "h w"]:
    """Return log odds against a place being this person: they grow sideways and upwards from the face."""
    x0, y0, x1, y1 = box
    size = max(x1 - x0, y1 - y0)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    side = np.maximum(np.maximum(x0 - x, x - x1), 0) / size
    up = np.maximum(y0 - y, 0) / size
    reach = np.hypot(side, up)
    above_chin = np.clip((y1 - y) / (0.3 * size), 0, 1)
    return (8 * np.maximum(reach - 0.35, 0) * above_chin).astype(np.float32)


def logit(p: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return log odds, bounded: averaged, they let two sure views outvote a wavering one."""
    p = np.clip(p, 0.01, 0.99)
    return np.log(p / (1 - p)).astype(np.float32)


def clamp_interval(middle: float, side: float, length: int) -> float:
    """Move the middle of an interval so that the interval stays in the image where it can."""
    if side >= length:
        return length / 2
    return float(np.clip(middle, side / 2, length - side / 2))


def area_warp(rgb: UInt8[np.ndarray, "h w 3"], W: np.ndarray, k: float) -> UInt8[np.ndarray, "s s 3"]:
    """Crop affinely to the network's size without skipping pixels."""
    import cv2

    x = blur(rgb, 0.4 / k) if k < 0.7 else rgb
    return cv2.warpAffine(x, W, (NET, NET), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def refine_by_colour(
    rgb: UInt8[np.ndarray, "h w 3"], matte: Float[np.ndarray, "h w"], box: Box
) -> Float[np.ndarray, "h w"]:
    """Let colour models of person and background (GrabCut) decide where the network wavers."""

    h, w = rgb.shape[:2]
    scale = min(1.0, 256 / max(h, w))
    hs, ws = max(1, round(h * scale)), max(1, round(w * scale))
    small, m = resized(rgb, hs, ws), resized(matte, hs, ws)
    size = max(box[2] - box[0], box[3] - box[1]) * scale
    sure, never = _sure_regions(size, m, box, scale)
    if sure.sum() < 50 or never.sum() < 50:
        return matte
    vote = _grab_cut(m, sure, never, small)
    vote = resized(vote, h, w)
    wavering = 4 * matte * (1 - matte)
    return matte + (vote - matte) * np.clip(2 * wavering - 0.4, 0, 0.85)


def _grab_cut(matte: np.ndarray, sure: np.ndarray, never: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Return 1 where GrabCut finds the person, slightly blurred."""
    import cv2

    labels = np.where(matte > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[sure], labels[never] = cv2.GC_FGD, cv2.GC_BGD
    cv2.setRNGSeed(0)
    cv2.grabCut(small, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    return blur(((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.float32), 1.0)


def _sure_regions(size: float, matte: np.ndarray, box: Box, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the person is for sure (the face is), and where the background."""
    import cv2

    ring = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, round(0.05 * size)) + 1,) * 2)
    sure = cv2.erode((matte > 0.93).astype(np.uint8), ring, borderType=cv2.BORDER_REPLICATE) > 0
    never = cv2.erode((matte < 0.1).astype(np.uint8), ring, borderType=cv2.BORDER_REPLICATE) > 0
    x0, y0, x1, y1 = (max(0, round(v * scale)) for v in box)
    sure[y0:y1, x0:x1] |= matte[y0:y1, x0:x1] > 0.5
    return sure, never


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
