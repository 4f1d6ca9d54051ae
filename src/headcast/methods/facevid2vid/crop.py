"""The square of an image that the networks see: a face with room for its hair and its movements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.crops.square import Box, Square, square_around

__all__ = ["clip_square", "crop_face", "to_pixels"]

ROOM = 1.9
"""Side of the square in larger sides of the landmarks' box. VoxCeleb's crops, which the published weights
were trained on, come from another detector; this is about theirs by eye, not measured."""
MOVEMENT_ROOM = 1.2
"""Side of the square in larger sides of the box around a face's places in a clip, at least."""


def clip_square(boxes: Sequence[Box]) -> Square:
    """Place one square about the boxes of a face's landmarks in one or more frames.

    Args:
        boxes: x0, y0, x1, y1, pixels.
    """
    each = np.asarray(boxes, float)
    union = (*each[:, :2].min(0).tolist(), *each[:, 2:].max(0).tolist())
    face = float(np.median((each[:, 2:] - each[:, :2]).max(1)))
    whole = max(union[2] - union[0], union[3] - union[1], 1.0)
    return square_around(union, max(ROOM * face / whole, MOVEMENT_ROOM))


def crop_face(rgb: UInt8[np.ndarray, "h w 3"], square: Square, side: int) -> Float[Tensor, "1 3 s s"]:
    """Resample a square as the networks take it, 0..1; beyond the image its edge is repeated."""
    cut = square.cut(np.ascontiguousarray(rgb), side).image
    return torch.from_numpy(cut).permute(2, 0, 1)[None].float() / 255


def to_pixels(image: Float[Tensor, "1 3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Convert a generated image, 0..1, to 8-bit sRGB."""
    return (image[0] * 255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
