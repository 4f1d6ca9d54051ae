"""The square crop around the face that the networks process, and which of its pixels are skin."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.camera import Camera
from headcast.crops.square import PixelSquare, cut_square, pixel_square
from headcast.methods.uhr_texture.network import resize_maps
from headcast.observe.detection import Masks
from headcast.observe.types import Observation

__all__ = ["FULL", "MOST", "crop_face_square", "crop_mask", "face_square_of", "reduce_photo", "skin_trust"]

FULL = 1024
"""Pixels of the face's square below which the method was not designed to work."""
MOST = 4096
ROOM = 1.65
"""Side of the square in larger sides of the box around the 478 landmarks."""
RISE = 0.03
"""Of the square's side, by which it lies above the middle of that box: foreheads have no landmarks."""
LEAST = 8
"""Pixels of the square at least."""


def face_square_of(observation: Observation) -> PixelSquare:
    """Return left, top and side of the square around the face, in the photo's pixels."""
    return pixel_square(observation.detection.box, ROOM, rise=RISE, least=LEAST)


def reduce_photo(observation: Observation, most: int = FULL) -> Observation:
    """Reduce the photo until the square has ``most`` pixels: enough for masks and the fit, saves GB."""
    factor = most / face_square_of(observation)[2]
    if factor >= 1:
        return observation
    camera = observation.camera.scaled(factor)
    h, w = camera.height, camera.width
    image = resize_maps(torch.from_numpy(observation.image).permute(2, 0, 1)[None].float(), h, w)[0]
    shrunk = lambda x: resize_maps(torch.from_numpy(x)[None, None].float(), h, w)[0, 0].numpy()  # noqa: E731
    detection, masks = observation.detection, observation.masks
    return replace(
        observation,
        image=image.round().byte().permute(1, 2, 0).numpy(),
        detection=replace(
            detection, points=detection.points * factor, box=tuple(x * factor for x in detection.box)
        ),
        masks=masks and Masks(**{f.name: shrunk(getattr(masks, f.name)) for f in fields(masks)}),
        camera=camera,
    )


class FaceSquare(NamedTuple):
    """Image 0..1 and camera of the square around a face, and where it lies in the photo."""

    rgb: Float[Tensor, "3 n n"]
    camera: Camera
    place: tuple[int, int, int]


def crop_face_square(observation: Observation, most: int = MOST) -> FaceSquare:
    """Cut out the square around the face at the photo's resolution (at most ``most``); also its camera.

    Also left, top and side of it in the photo; edges are repeated where it reaches beyond the photo.
    """
    left, top, side = face_square_of(observation)
    cut = cut_square(observation.image, left, top, side)
    rgb = torch.from_numpy(cut).permute(2, 0, 1).float() / 255
    camera = observation.camera.cropped(left, top, side, side)
    if side > most:
        rgb = resize_maps(rgb[None], most, most)[0]
        camera = camera.scaled(most / side)
    return FaceSquare(rgb, camera, (left, top, side))


def skin_trust(observation: Observation, n: int) -> Float[Tensor, "n n"]:
    """Estimate skin without glasses and hair (face parser and masks), 0..1, over the square."""
    from headcast.observe.parsed import label_probability
    from headcast.priors.parser import available

    masks = observation.masks
    if masks is None:
        return torch.ones(n, n)
    glasses, hair = masks.glasses, masks.hair
    trust = masks.skin * (1 - glasses)
    if available():
        labels = label_probability(observation.image, observation.detection)
        cover = np.maximum(labels["glasses"], labels["hair"])
        trust = (
            np.minimum(trust, masks.person)
            * (1 - np.clip(2 * cover - 0.6, 0, 1))
            * (1 - np.clip(2 * hair - 0.6, 0, 1))
        )
    return crop_mask(observation, trust, n)


def crop_mask(observation: Observation, x: Float[np.ndarray, "h w"], n: int) -> Float[Tensor, "n n"]:
    """Crop a mask of the photo to the square, 0 beyond the photo."""
    cropped = cut_square(x, *face_square_of(observation), fill=0)
    return resize_maps(torch.from_numpy(cropped.astype(np.float32))[None, None], n, n)[0, 0].clamp(0, 1)
