"""Upper eyelids when closed, with the lashes below their edge: patches of the finished texture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from headcast.avatar.lids import Lids, Patch
from headcast.head.model import HeadModel
from headcast.image import linear_to_srgb
from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.lids import LID_BLINK_FRACTION, UpperLids, blink_offset
from headcast.methods.fit.skin.openings import distance_to
from headcast.texture.margins import lid_margins
from headcast.texture.masks import region_weights
from headcast.texture.texels import Texels, interpolate_attributes

__all__ = ["ClosedLids", "close_lids", "lash_fringe", "lid_patches"]

LASH_FRINGE = (0.0045, 0.85)  # length below a closed lid's edge, metres; cover at the edge
LASH_GAPS = (0.0005, 0.6)  # metres between lashes; fraction of skin visible between their tips
LASH_FAN = 0.35  # outward slope of lashes, metres per metre downwards
LASH_ALBEDO = 0.1  # relative to the skin's


@dataclass(frozen=True)
class ClosedLids:
    """Texels of the upper eyelids, left and right, when closed.

    Attributes:
        index: of m texels each. colour: linear albedo. weight: 0..1, 0 where nothing changes.
    """

    index: tuple[Int[np.ndarray, "m1"], Int[np.ndarray, "m2"]]
    colour: tuple[Float[np.ndarray, "m1 3"], Float[np.ndarray, "m2 3"]]
    weight: tuple[Float[np.ndarray, "m1"], Float[np.ndarray, "m2"]]


def close_lids(canvas: TextureCanvas, lids: UpperLids) -> ClosedLids:
    """Compute the colours of closed eyelids.

    Args:
        canvas: de-lit of the lashes' shade, filled with bare skin.
    """
    observed, fill = canvas.observed, canvas.fill
    confidence = observed.confidence[lids.index, None]
    colour = (confidence * observed.albedo[lids.index] + (1 - confidence) * fill[lids.index]).astype(
        np.float32
    )
    weight = smoothstep(lids.blink_fraction, *LID_BLINK_FRACTION).astype(np.float32)
    fringe_index, cover = lash_fringe(canvas.head, canvas.texels, canvas.rest)
    index = np.concatenate([lids.index, fringe_index])
    colour, weight = (
        np.concatenate([colour, LASH_ALBEDO * fill[fringe_index]]),
        np.concatenate([weight, cover]),
    )
    left = canvas.gather(canvas.rest[:, :1])[index, 0] > 0
    sides = left, ~left
    index, colours, weights = zip(*((index[s], colour[s], weight[s]) for s in sides), strict=True)
    return ClosedLids(index, colours, weights)


def lash_fringe(
    head: HeadModel, texels: Texels, rest: Float[np.ndarray, "v 3"]
) -> tuple[Int[np.ndarray, "k"], Float[np.ndarray, "k"]]:
    """Find texels that the upper lashes cover when the eyes are closed, and their cover 0..1."""
    length, density = LASH_FRINGE
    closed = rest + blink_offset(head)
    index = np.flatnonzero(region_weights(head, texels, "lids", "face") > 0)
    position = interpolate_attributes(closed, head.faces.numpy(), texels.subset(index))
    cover = np.zeros(len(index), np.float32)
    for _, edge, _ in lid_margins(head, rest):
        cover = _fringe_cover(closed, edge, position, length, density, cover)
    covered = np.flatnonzero(cover > 0.01)
    return index[covered], cover[covered].clip(0, 1)


def _fringe_cover(
    closed: np.ndarray,
    edge: np.ndarray,
    position: np.ndarray,
    length: float,
    density: float,
    cover: np.ndarray,
) -> np.ndarray:
    """Add the cover of the lashes below one closed eyelid's edge."""
    line = closed[edge]
    distance = distance_to(line, position, 2 * length)
    below_edge = np.interp(position[:, 0], line[:, 0], line[:, 1]) - position[:, 1]
    past_corner = np.maximum(line[0, 0] - position[:, 0], position[:, 0] - line[-1, 0])
    is_below = (below_edge > 0) * (1 - smoothstep(past_corner, 0, length / 2))
    fan = position[:, 0] - LASH_FAN * below_edge * np.sign(line[:, 0].mean())
    gap = 0.5 + 0.5 * np.cos(2 * np.pi * fan / (2 * LASH_GAPS[0]))
    tips = smoothstep(distance, 0.3 * length, length) * LASH_GAPS[1] * gap
    cover += is_below * density * np.exp(-((distance / length) ** 2)) * (1 - tips)
    return cover


def lid_patches(
    texture: UInt8[np.ndarray, "s s 3"], texels: Texels, lids: ClosedLids, blink: Float[Tensor, "2"]
) -> Lids:
    """Cut closed eyelids as patches of the finished ``texture``, which may be finer than ``texels``."""
    import cv2

    patches = []
    for index, colour, weight in zip(lids.index, lids.colour, lids.weight, strict=True):
        low, rgba = _rasterize_lid(texels, index, colour, weight)
        scale = texture.shape[0] // texels.size
        rgba = cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        patch = Patch(torch.from_numpy(low * scale), np.zeros((*rgba.shape[:2], 3), np.uint8))
        texture_patch = patch.inside(texture).astype(np.float32) / 255
        mixed = rgba[..., :3] + (1 - rgba[..., 3:]) * texture_patch
        finished = np.where(rgba[..., 3:] > 0, mixed, texture_patch)
        patches.append(replace(patch, texture=(finished * 255).round().clip(0, 255).astype(np.uint8)))
    return Lids((patches[0], patches[1]), blink)


def _rasterize_lid(
    texels: Texels, index: np.ndarray, colour: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rasterize one lid's premultiplied colour and weight; also return its first texel (x, y)."""
    y, x = np.divmod(texels.index[index], texels.size)
    first = np.maximum([x.min() - 1, y.min() - 1], 0)
    end = np.minimum([x.max() + 2, y.max() + 2], texels.size)
    values = np.concatenate([linear_to_srgb(colour.clip(0, 1)), np.ones((len(index), 1))], 1)
    rgba = np.zeros((end[1] - first[1], end[0] - first[0], 4), np.float32)
    rgba[y - first[1], x - first[0]] = values * weight[:, None]
    return first, rgba
