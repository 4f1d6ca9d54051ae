"""Training pairs of the UV restorer: a photo and where it shows the face's texels.

Both textures of a pair come from one observation: the photo and a copy, reduced as training goes, are
unprojected by the same geometry and camera, so that they align texel by texel. De-lighting multiplies both by
the same smooth gain and is left out: the restorer predicts the logarithm of their ratio.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.image import sample_lanczos
from headcast.methods.superhead.uv_maps import SIDE, covered_texels, covered_triangles, map_of, surface_maps
from headcast.observe.types import Observation
from headcast.priors.restorer.degrade import Degradation, degrade
from headcast.texture.texels import texels_of
from headcast.texture.unproject import unproject
from headcast.weights import load_tensors

__all__ = ["Pair", "load_pairs", "make_pair", "pack_pair", "reduced_copy", "textures_of"]

PIXEL_STEPS = 64
"""Of a pixel, in which places are stored; a photo has at most 511 pixels a side."""
MAX_SIDE = 511
ROOM = 1.5  # side of the part of a photo that is kept, in larger sides of the box around its landmarks
FACING = (0.12, 0.4)  # cosines between which a texel's weight grows from 0 to 1
FILL_REACHES = (2.0, 6.0, 18.0, 54.0)  # texels: means that fill what is not visible, the finest that knows it
MODEST = Degradation(blur=(0.0, 0.9), down=(1.0, 1.0), noise=(0.0, 5.0), quality=(55.0, 100.0), plain=0.4)
"""Of a reduced photo, in its own pixels."""


@dataclass(frozen=True)
class Pair:
    """One photo and its texels.

    Attributes:
        photo: (h, w, 3) sRGB, cropped to the face.
        pixel: (2, s, s) where texels lie in it, in steps of 1 / ``PIXEL_STEPS`` pixel; pixel centres at +0.5.
        weight: (s, s) 0..255, how well the photo shows a texel: visible, facing the camera, not behind hair.
        surface: (4, s, s) confidence and normal of ``surface_maps``, times 127.
    """

    photo: UInt8[Tensor, "h w 3"]
    pixel: Tensor
    weight: UInt8[Tensor, "s s"]
    surface: Tensor


def make_pair(observation: Observation, head: HeadModel) -> Pair:
    """Unproject an observed photo to the face's texels of ``SIDE``."""
    texels = texels_of(head, SIDE)
    o = observation
    x0, y0, x1, y1 = face_corners(o)
    found = unproject(o, head, texels)
    t = ((found.facing - FACING[0]) / (FACING[1] - FACING[0])).clip(0, 1)
    weight = found.visible * t * t * (3 - 2 * t) * (1 - found.hair) * (1 - found.glasses)
    place = found.pixel - [x0, y0]
    weight *= ((place > 1) & (place < [x1 - x0 - 1, y1 - y0 - 1])).all(1)
    steps = (place.clip(0, MAX_SIDE) * PIXEL_STEPS).round().astype(np.int16)
    covered = covered_texels(head, covered_triangles(head))
    inside = torch.zeros(SIDE * SIDE)
    inside[covered] = 1
    index = torch.from_numpy(texels.index)
    full = map_of(
        torch.from_numpy(np.concatenate([steps, np.round(weight * 255)[:, None]], 1)).float(), index
    )
    with torch.no_grad():
        vertices = head(o.params)
        surface = surface_maps(head, vertices, head.vertex_normals(vertices), o.camera, covered)
    return Pair(
        torch.from_numpy(np.ascontiguousarray(o.image[y0:y1, x0:x1])),
        full[:2].short(),
        (full[2] * inside.reshape(SIDE, SIDE)).to(torch.uint8),
        (surface * 127).round().to(torch.int8),
    )


class Corners(NamedTuple):
    """Corners of a part of a photo, pixels."""

    x0: int
    y0: int
    x1: int
    y1: int


def face_corners(observation: Observation) -> Corners:
    """Return the part of a photo that is kept, inside it and at most ``MAX_SIDE`` wide."""
    points = observation.detection.points
    low, high = points.min(0), points.max(0)
    reach = float((high - low).max()) * ROOM / 2
    h, w = observation.image.shape[:2]
    x0, y0 = (int(max(v, 0)) for v in (low + high) / 2 - reach)
    end = (low + high) / 2 + reach
    return Corners(x0, y0, int(min(end[0], w, x0 + MAX_SIDE)), int(min(end[1], h, y0 + MAX_SIDE)))


def pack_pair(pair: Pair) -> dict[str, Tensor]:
    """Return a pair's tensors by name."""
    return {k: v.contiguous() for k, v in vars(pair).items()}


@lru_cache(maxsize=2)
def load_pairs(folder: Path) -> tuple[Pair, ...]:
    """Load all pairs of a folder, by name.

    Raises:
        HeadcastError: there are none.
    """
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if not files:
        raise HeadcastError(f"{folder}: no pairs; make them with tools/build_superhead_pairs.py")
    return tuple(Pair(**load_tensors(f).tensors) for f in files)


def reduced_copy(photo: Float[Tensor, "3 h w"], factor: float, seed: int | None) -> Float[Tensor, "3 i j"]:
    """Reduce a photo (display values 0..1) by area means.

    Args:
        seed: of further degradation by ``MODEST``; None: nothing else is done.
    """
    h, w = photo.shape[-2:]
    small = interpolate(photo[None], (max(8, round(h / factor)), max(8, round(w / factor))), mode="area")[0]
    return small if seed is None else degrade(small, seed, MODEST)


def textures_of(pair: Pair, photo: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 s s"]:
    """Sample the pair's photo, of any size, at its texels as a reconstruction does; fill what it hides."""
    h, w = photo.shape[-2:]
    scale = torch.tensor([w / pair.photo.shape[1], h / pair.photo.shape[0]])
    pixel = pair.pixel.permute(1, 2, 0).reshape(-1, 2).float() / PIXEL_STEPS * scale
    shown = torch.nonzero(pair.weight.flatten())[:, 0]
    image = (photo.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
    found = torch.zeros(SIDE * SIDE, 3)
    found[shown] = torch.from_numpy(sample_lanczos(image, pixel[shown].numpy()).astype(np.float32)) / 255
    return fill_hidden(found.T.reshape(3, SIDE, SIDE), pair.weight)


def fill_hidden(values: Float[Tensor, "c s s"], weight: UInt8[Tensor, "s s"]) -> Float[Tensor, "c s s"]:
    """Replace values of little weight by means of those around."""
    import cv2

    w = weight.numpy().astype(np.float32)[..., None] / 255
    v = values.permute(1, 2, 0).numpy()
    channels = v.shape[2]
    both = np.concatenate([v * w, w], 2)
    out = np.full_like(v, 0.5)
    for reach in reversed(FILL_REACHES):
        small = cv2.resize(
            both, None, fx=1 / max(1, reach / 2), fy=1 / max(1, reach / 2), interpolation=cv2.INTER_AREA
        )
        mean = cv2.GaussianBlur(small, (0, 0), min(reach, 2.0))
        mean = cv2.resize(mean, (v.shape[1], v.shape[0]), interpolation=cv2.INTER_LINEAR)
        known = (mean[..., channels:] * 20).clip(0, 1)
        out += known * (mean[..., :channels] / np.maximum(mean[..., channels:], 1e-4) - out)
    out += np.minimum(w * 4, 1) * (v - out)
    return torch.from_numpy(out).permute(2, 0, 1).contiguous()
