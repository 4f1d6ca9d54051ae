"""PNG images inside an avatar file: fast to write, checked before they are decoded."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from headcast.errors import HeadcastError

__all__ = ["MAX_SIDE", "decode_png", "encode_texture"]

MAX_SIDE = 8192
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


def decode_png(path: Path, entry: str, data: bytes) -> UInt8[np.ndarray, "h w *c"]:
    """Decode the image of an entry; size and type are checked in the header before decoding.

    Raises:
        HeadcastError: not an 8-bit PNG of at most ``MAX_SIDE`` pixels a side, or damaged.
    """
    from PIL import Image

    channels = _check_header(path, entry, data)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as im:
            x = np.array(im)
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        LookupError,
        OverflowError,
        ArithmeticError,
        RuntimeError,
        AssertionError,
        AttributeError,
        MemoryError,
        EOFError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as e:
        raise _image_error(path, entry, "cannot be decoded") from e
    if x.dtype != np.uint8 or (1 if x.ndim == 2 else x.shape[2]) != channels:
        raise _image_error(path, entry, "is of an unexpected kind")
    return x


def _check_header(path: Path, entry: str, data: bytes) -> int:
    """Return the number of channels, after checking size and depth."""
    if data[:8] != SIGNATURE or data[8:16] != b"\0\0\0\x0dIHDR" or len(data) < 33:
        raise _image_error(path, entry, "is no PNG")
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise _image_error(path, entry, f"is {width}x{height} pixels; at most {MAX_SIDE} are taken")
    if depth != 8 or colour not in CHANNELS:
        raise _image_error(path, entry, "is of an unexpected kind")
    return CHANNELS[colour]


def _image_error(path: Path, entry: str, reason: str) -> HeadcastError:
    return HeadcastError(
        f"{path}: damaged avatar file (image '{entry}' {reason}); make it again with 'headcast create'"
    )
