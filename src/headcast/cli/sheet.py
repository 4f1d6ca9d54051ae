"""A contact sheet of an avatar: photo, source view, both sides, four expressions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from headcast import api
from headcast.cli.expression import parse_expression
from headcast.crops.square import PixelSquare
from headcast.image import load_image, save_png
from headcast.marks import png_metadata

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar

__all__ = ["FACES", "avatar_sheet", "write_avatar_sheet"]

FACES = (
    "mouthSmileLeft=.8,mouthSmileRight=.8,cheekSquintLeft=.4,cheekSquintRight=.4",
    "jawOpen=.7",
    "eyeBlinkLeft=1,eyeBlinkRight=1",
    "eyeLookOutLeft=.8,eyeLookInRight=.8",
)
PAPER = "#d8dade"


def write_avatar_sheet(photo: Path, avatar: Path, out: Path, size: int = 320) -> None:
    """Write the contact sheet of an avatar file and the photo it was made from."""
    loaded = api.load(avatar)
    save_png(out, avatar_sheet(load_image(photo).over_grey(), loaded, size), png_metadata(loaded.info))


def avatar_sheet(
    photo: UInt8[np.ndarray, "h w 3"], avatar: Avatar, size: int = 320
) -> UInt8[np.ndarray, "a b 3"]:
    """Render a 2 x 4 grid: photo, source view, yaw -30 and 30; smile, open jaw, blink, gaze to the left."""
    crop_box = head_crop_box(avatar, photo.shape[0], photo.shape[1])
    source = api.render(avatar, view="source", background=PAPER)
    images = [
        resize_square(crop_square(photo, crop_box), size),
        resize_square(crop_square(source, crop_box), size),
    ]
    images += [api.render(avatar, yaw=y, size=(size, size), background=PAPER) for y in (-30.0, 30.0)]
    images += [
        api.render(avatar, expression=parse_expression(e), size=(size, size), background=PAPER) for e in FACES
    ]
    return np.vstack([np.hstack(images[:4]), np.hstack(images[4:])])


def head_crop_box(avatar: Avatar, height: int, width: int) -> PixelSquare:
    """Return left, top and side (pixels) of a square around the head in the source view, inside the image."""
    points = avatar.head.landmarks(avatar.head(avatar.source.params), 478)
    pixels = avatar.source.camera.project(points)
    low, high = pixels.amin(0), pixels.amax(0)
    side = min(round(2.1 * float((high - low).max())), height, width)
    x, y = ((low + high) / 2 - side / 2 - (high - low) * 0.08).round().int().tolist()
    return PixelSquare(min(max(x, 0), width - side), min(max(y, 0), height - side), side)


def crop_square(
    image: UInt8[np.ndarray, "h w 3"], crop_box: tuple[int, int, int]
) -> UInt8[np.ndarray, "s s 3"]:
    """Crop a square (left, top, side) from an image."""
    x, y, side = crop_box
    return image[y : y + side, x : x + side]


def resize_square(image: UInt8[np.ndarray, "s s 3"], size: int) -> UInt8[np.ndarray, "t t 3"]:
    """Resize a square image: area filter down, cubic up."""
    import cv2

    method = cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_CUBIC
    return cv2.resize(image, (size, size), interpolation=method)
