"""Readers of PLY and SPZ that know the formats and nothing of the writers."""

from __future__ import annotations

import gzip
import itertools
import struct
from pathlib import Path

import numpy as np

KINDS = {"float": "<f4", "uchar": "u1", "int": "<i4", "uint": "<u4"}


def read_ply(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Elements as structured arrays, and comments. Lists must all have the length of the first."""
    data = path.read_bytes()
    head, _, body = data.partition(b"end_header\n")
    lines = head.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    elements: list[tuple[str, int, list]] = []
    for line in lines[2:]:
        words = line.split()
        if words[0] == "element":
            elements.append((words[1], int(words[2]), []))
        elif words[:2] == ["property", "list"]:
            elements[-1][2].append((words[4], words[2], words[3]))
        elif words[0] == "property":
            elements[-1][2].append((words[2], words[1]))
    out, at = {}, 0
    for name, count, fields in elements:
        layout: list = []
        for field, kind, *of in fields:
            if of:
                length = body[at + np.dtype(layout).itemsize]
                layout += [(f"#{field}", KINDS[kind]), (field, KINDS[of[0]], (length,))]
            else:
                layout.append((field, KINDS[kind]))
        dtype = np.dtype(layout)
        out[name] = np.frombuffer(body, dtype, count, at)
        at += dtype.itemsize * count
    assert at == len(body)
    return out, [line[8:] for line in lines if line.startswith("comment ")]


def columns(rows: np.ndarray, *names: str) -> np.ndarray:
    """Fields side by side."""
    return np.stack([rows[n] for n in names], 1)


def read_spz(path: Path) -> dict[str, np.ndarray]:
    """Position, alpha 0..1, colour 0..1 (display), log_scale, quaternion wxyz."""
    data = gzip.decompress(path.read_bytes())
    magic, version, n, degree, bits, _, reserved = struct.unpack("<IIIBBBB", data[:16])
    assert (magic, version, degree, reserved) == (0x5053474E, 3, 0, 0)
    sizes = [9 * n, n, 3 * n, 3 * n, 4 * n]
    ends = np.cumsum([16, *sizes])
    assert ends[-1] == len(data)
    position, alpha, colour, scale, turn = (
        np.frombuffer(data[a:b], np.uint8) for a, b in itertools.pairwise(ends)
    )
    b = position.reshape(n, 3, 3).astype(np.int32)
    fixed = b[..., 0] | b[..., 1] << 8 | b[..., 2] << 16
    fixed = np.where(fixed >= 1 << 23, fixed - (1 << 24), fixed)
    dc = (colour.reshape(n, 3) / 255 - 0.5) / 0.15
    quaternion = np.zeros((n, 4))
    for row, word in enumerate(turn.view("<u4")):
        largest, word = int(word) >> 30, int(word)
        q = [0.0] * 4
        for i in (3, 2, 1, 0):
            if i != largest:
                q[i] = (word & 511) / 511 / np.sqrt(2) * (-1 if word >> 9 & 1 else 1)
                word >>= 10
        q[largest] = np.sqrt(max(0.0, 1 - sum(x * x for x in q)))
        quaternion[row] = [q[3], *q[:3]]
    return {
        "position": fixed / 2.0**bits,
        "alpha": alpha / 255,
        "colour": dc * 0.28209479177387814 + 0.5,
        "log_scale": scale.reshape(n, 3) / 16 - 10,
        "quaternion": quaternion,
    }
