"""PNG images inside an avatar file: fast to write, checked before they are decoded."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from headcast.errors import HeadcastError
from headcast.parsing import parsing

__all__ = ["MAX_SIDE", "StoredImages", "decode_png", "encode_texture"]

MAX_SIDE = 8192
MAX_DECODED_BYTES = 1 << 30  # of all images of one file
CHANNELS = {0: 1, 2: 3, 6: 4}  # PNG colour types: grey, RGB, RGBA
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode_texture(image: UInt8[np.ndarray, "h w *c"]) -> bytes:
    """Encode a grey (H, W), RGB or RGBA image as PNG, with light, fast compression."""
    import cv2

    order = {1: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[1 if image.ndim == 2 else image.shape[2]]
    swapped = (
        np.ascontiguousarray(image) if order is None else cv2.cvtColor(np.ascontiguousarray(image), order)
    )
    ok, data = cv2.imencode(".png", swapped, [cv2.IMWRITE_PNG_COMPRESSION, 2])
    if not ok:
        raise RuntimeError("the PNG encoder failed")
    return data.tobytes()


def decode_png(path: Path, entry: str, data: bytes, max_side: int = MAX_SIDE) -> UInt8[np.ndarray, "h w *c"]:
    """Decode the image of an entry; size and type are checked in the header before decoding.

    Raises:
        HeadcastError: not an 8-bit PNG of at most ``max_side`` pixels a side, or damaged.
    """
    from PIL import Image

    _, _, channels = _check_header(path, entry, data, max_side)
    with (
        parsing(path, f"damaged avatar file, image '{entry}'", "make it again with 'headcast create'"),
        Image.open(io.BytesIO(data), formats=("PNG",)) as im,
    ):
        x = np.array(im)
    if x.dtype != np.uint8 or (1 if x.ndim == 2 else x.shape[2]) != channels:
        raise _image_error(path, entry, "is of an unexpected kind")
    return x


class StoredImages(Mapping[str, Any]):
    """Images of an avatar file by name, decoded when they are asked for.

    Raises:
        HeadcastError: one has no valid header, or all together are over ``MAX_DECODED_BYTES`` when decoded.
    """

    def __init__(self, path: Path, data: Mapping[str, bytes]) -> None:
        self.path, self.data = path, data
        self.decoded: dict[str, UInt8[np.ndarray, "..."]] = {}
        sizes = [_check_header(path, name, png) for name, png in data.items()]
        if sum(w * h * c for w, h, c in sizes) > MAX_DECODED_BYTES:
            limit = f"more than {MAX_DECODED_BYTES >> 20} MB of images"
            raise HeadcastError(
                f"{path}: damaged avatar file ({limit}); make it again with 'headcast create'"
            )

    def __getitem__(self, name: str) -> UInt8[np.ndarray, "..."]:
        if name not in self.decoded:
            self.decoded[name] = decode_png(self.path, name, self.data[name])
        return self.decoded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


class _ImageShape(NamedTuple):
    """Size of an image, pixels, and its number of channels."""

    width: int
    height: int
    channels: int


def _check_header(path: Path, entry: str, data: bytes, max_side: int = MAX_SIDE) -> _ImageShape:
    """Return width, height and number of channels, after checking size and depth."""
    if data[:8] != SIGNATURE or data[8:16] != b"\0\0\0\x0dIHDR" or len(data) < 33:
        raise _image_error(path, entry, "is no PNG")
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if not (0 < width <= max_side and 0 < height <= max_side):
        raise _image_error(path, entry, f"is {width}x{height} pixels; at most {max_side} are taken")
    if depth != 8 or colour not in CHANNELS:
        raise _image_error(path, entry, "is of an unexpected kind")
    return _ImageShape(width, height, CHANNELS[colour])


def _image_error(path: Path, entry: str, reason: str) -> HeadcastError:
    return HeadcastError(
        f"{path}: damaged avatar file (image '{entry}' {reason}); make it again with 'headcast create'"
    )
