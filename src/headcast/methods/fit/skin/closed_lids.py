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
from headcast.methods.fit.skin.lids import AROUND, UpperLids, blink_offset
from headcast.methods.fit.skin.openings import distance_to
from headcast.texture.margins import lid_margins
from headcast.texture.masks import region_weights
from headcast.texture.texels import Texels, interpolate_attributes

__all__ = ["ClosedLids", "close_lids", "lash_fringe", "lid_patches"]

FRINGE = (0.0045, 0.85)  # metres of lashes below a closed lid's edge, fraction of the skin they cover at it
GAPS = (0.0005, 0.6)  # metres between lashes, how much of the skin shows between their tips
FAN = 0.35  # metres that lashes run outwards for each downwards
LASH = 0.1  # their albedo, next to the skin's


@dataclass(frozen=True)
class ClosedLids:
    """Texels of the upper eyelids, left and right, when closed.

    Attributes:
        which: m numbers of texels each. colour: linear albedo. weight: 0..1, 0 where nothing changes.
    """

    which: tuple[Int[np.ndarray, "m1"], Int[np.ndarray, "m2"]]
    colour: tuple[Float[np.ndarray, "m1 3"], Float[np.ndarray, "m2 3"]]
    weight: tuple[Float[np.ndarray, "m1"], Float[np.ndarray, "m2"]]


def close_lids(canvas: TextureCanvas, lids: UpperLids) -> ClosedLids:
    """Compute the colours of closed eyelids.

    Args:
        canvas: what is observed without the lashes' shade, else the bare fill.
    """
    observed, fill = canvas.observed, canvas.fill
    confidence = observed.confidence[lids.which, None]
    colour = (confidence * observed.albedo[lids.which] + (1 - confidence) * fill[lids.which]).astype(
        np.float32
    )
    weight = smoothstep(lids.blink_fraction, *AROUND).astype(np.float32)
    below, cover = lash_fringe(canvas.head, canvas.texels, canvas.rest)
    which = np.concatenate([lids.which, below])
    colour, weight = np.concatenate([colour, LASH * fill[below]]), np.concatenate([weight, cover])
    left = canvas.gather(canvas.rest[:, :1])[which, 0] > 0
    sides = left, ~left
    which, colours, weights = zip(*((which[s], colour[s], weight[s]) for s in sides), strict=True)
    return ClosedLids(which, colours, weights)


def lash_fringe(
    head: HeadModel, texels: Texels, rest: Float[np.ndarray, "v 3"]
) -> tuple[Int[np.ndarray, "k"], Float[np.ndarray, "k"]]:
    """Find texels of the lower eyelids that the upper lashes cover when the eyes are closed, and how far."""
    length, dense = FRINGE
    closed = rest + blink_offset(head)
    mine = np.flatnonzero(region_weights(head, texels, "lids", "face") > 0)
    at = interpolate_attributes(closed, head.faces.numpy(), texels.subset(mine))
    cover = np.zeros(len(mine), np.float32)
    for _, edge, _ in lid_margins(head, rest):
        cover = _fringe_cover(closed, edge, at, length, dense, cover)
    covered = np.flatnonzero(cover > 0.01)
    return mine[covered], cover[covered].clip(0, 1)


def _fringe_cover(
    closed: np.ndarray,
    edge: np.ndarray,
    at: np.ndarray,
    length: float,
    dense: float,
    cover: np.ndarray,
) -> np.ndarray:
    """Add the cover of the lashes below one closed eyelid's edge."""
    line = closed[edge]
    distance = distance_to(line, at, 2 * length)
    over = np.interp(at[:, 0], line[:, 0], line[:, 1]) - at[:, 1]
    beyond = np.maximum(line[0, 0] - at[:, 0], at[:, 0] - line[-1, 0])
    inside = (over > 0) * (1 - smoothstep(beyond, 0, length / 2))
    fan = at[:, 0] - FAN * over * np.sign(line[:, 0].mean())
    between = 0.5 + 0.5 * np.cos(2 * np.pi * fan / (2 * GAPS[0]))
    tips = smoothstep(distance, 0.3 * length, length) * GAPS[1] * between
    cover += inside * dense * np.exp(-((distance / length) ** 2)) * (1 - tips)
    return cover


def lid_patches(
    texture: UInt8[np.ndarray, "s s 3"], texels: Texels, lids: ClosedLids, blink: Float[Tensor, "2"]
) -> Lids:
    """Cut closed eyelids as patches of the finished ``texture``, which may be finer than ``texels``."""
    import cv2

    made = []
    for which, colour, weight in zip(lids.which, lids.colour, lids.weight, strict=True):
        low, rgba = _rasterize_lid(texels, which, colour, weight)
        scale = texture.shape[0] // texels.size
        rgba = cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        patch = Patch(torch.from_numpy(low * scale), np.zeros((*rgba.shape[:2], 3), np.uint8))
        there = patch.inside(texture).astype(np.float32) / 255
        mixed = rgba[..., :3] + (1 - rgba[..., 3:]) * there
        same = np.where(rgba[..., 3:] > 0, mixed, there)
        made.append(replace(patch, texture=(same * 255).round().clip(0, 255).astype(np.uint8)))
    return Lids((made[0], made[1]), blink)


def _rasterize_lid(
    texels: Texels, which: np.ndarray, colour: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rasterize one lid's premultiplied colour and weight; also return its first texel (x, y)."""
    y, x = np.divmod(texels.index[which], texels.size)
    low = np.maximum([x.min() - 1, y.min() - 1], 0)
    high = np.minimum([x.max() + 2, y.max() + 2], texels.size)
    values = np.concatenate([linear_to_srgb(colour.clip(0, 1)), np.ones((len(which), 1))], 1)
    rgba = np.zeros((high[1] - low[1], high[0] - low[0], 4), np.float32)
    rgba[y - low[1], x - low[0]] = values * weight[:, None]
    return low, rgba
