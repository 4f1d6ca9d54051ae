"""Splats in Niantic's SPZ, version 3: one gzip stream of quantized numbers, about a tenth of a PLY.

A header of 16 bytes (magic, version, count, SH degree, fractional bits, flags, reserved), then attribute by
attribute: positions (3 x 24 bit fixed point), alphas, colours, scales (bytes), rotations (the smallest three
of x y z w in 10 bits each). Its frame (right, up, back) is the head frame as viewed from the front.
The format has no room for words; the synthetic mark, licences and consent stand in the comment of the gzip
header (RFC 1952, 2.3.1), which decompressors pass over.
"""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from headcast.avatar.base import Avatar
from headcast.avatar.export.splat_ply import SH_C0
from headcast.avatar.export.splats import Splats, posed_splats
from headcast.files import atomic_path
from headcast.marks import header_lines

__all__ = ["encode_spz", "write_spz"]

MAGIC, VERSION = 0x5053474E, 3
FRACTION = 20
"""Bits after the point: a millionth of a metre, up to 8 metres."""
ANTIALIASED = 1
COMMENT = 16
"""gzip's flag for a header with a comment."""
COLOUR = 0.15
"""Bytes of colour are 0.5 + COLOUR f_dc."""


def write_spz(avatar: Avatar, path: Path, *, expression: Mapping[str, float] | None = None) -> None:
    """Write the Gaussians in the head frame.

    Args:
        expression: weights by ARKit name; the head is upright and otherwise at rest.
    """
    data = encode_spz(posed_splats(avatar, expression), header_lines(avatar.info))
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def encode_spz(splats: Splats, comments: Sequence[str] = ()) -> bytes:
    """Encode the file's content; the same splats give the same bytes.

    Args:
        comments: lines for the gzip header; what is not ASCII is escaped as in Python.
    """
    header = struct.pack("<IIIBBBB", MAGIC, VERSION, len(splats), 0, FRACTION, ANTIALIASED, 0)
    fixed = np.round(splats.position.astype(np.float64) * (1 << FRACTION))
    fixed = fixed.clip(-(1 << 23), (1 << 23) - 1).astype("<i4")
    alpha = 255 / (1 + np.exp(-splats.opacity.astype(np.float64)))
    dc = (splats.colour - 0.5) / SH_C0
    parts = [
        fixed.view(np.uint8).reshape(-1, 3, 4)[..., :3],
        to_byte(alpha),
        to_byte((dc * COLOUR + 0.5) * 255),
        to_byte((splats.log_scale + 10) * 16),
        smallest_three(splats.quaternion),
    ]
    return commented(gzip.compress(header + b"".join(p.tobytes() for p in parts), 9, mtime=0), comments)


def commented(packed: bytes, comments: Sequence[str]) -> bytes:
    """Insert a comment into the header of a gzip stream as Python writes it."""
    if not comments:
        return packed
    words = "\n".join(comments).replace("\0", " ").encode("ascii", "backslashreplace")
    return packed[:3] + bytes([packed[3] | COMMENT]) + packed[4:10] + words + b"\0" + packed[10:]


def to_byte(values: np.ndarray) -> np.ndarray:
    """Round values to the nearest bytes, clipped to 0..255."""
    return np.round(values).clip(0, 255).astype(np.uint8)


def smallest_three(quaternion: Float[np.ndarray, "n 4"]) -> np.ndarray:
    """Pack quaternions to (N,) 32-bit words: largest index (2 bits), sign, size of the others."""
    q = quaternion[:, [1, 2, 3, 0]].astype(np.float64)
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    largest = np.abs(q).argmax(1)
    q *= np.where(np.take_along_axis(q, largest[:, None], 1) < 0, -1, 1)
    word = largest.astype(np.uint32)
    for i in range(4):
        size = np.round(np.abs(q[:, i]) * math.sqrt(2) * 511).clip(0, 511).astype(np.uint32)
        longer = (word << 10) | ((q[:, i] < 0).astype(np.uint32) << 9) | size
        word = np.where(largest == i, word, longer)
    return word.astype("<u4")
