"""Arrays of plain numbers in ``.npz`` files, checked before they are decoded. Nothing is unpickled."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from headcast.files import check_readable
from headcast.parsing import open_zip, parsing

__all__ = ["array_names", "load_arrays"]

MAX_ARRAY_BYTES = 1 << 30  # of all arrays that are read, decoded
MAX_INFLATION = 1100  # deflate makes at most 1032 bytes of one
NUMBERS = "biuf"


def load_arrays(
    path: str | Path,
    names: Collection[str] | None,
    remedy: str,
    *,
    limit: int = MAX_ARRAY_BYTES,
    kinds: str = NUMBERS,
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Load named arrays of plain numbers from an npz file; only these are decoded.

    Shapes and types are read first: what an array claims must match its entry, and all together take at most
    ``limit`` bytes.

    Args:
        names: arrays to read where they exist; None: all.
        kinds: numpy's letters of the types that are taken.

    Raises:
        HeadcastError: unreadable, damaged, of another type, or larger.
    """
    check_readable(Path(path), "npz")
    with parsing(path, "not a readable npz of plain arrays", remedy), open_zip(path) as archive:
        entries = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
        wanted = [n for n in entries if names is None or n in names]
        total = sum(claimed_bytes(archive, entries[n], kinds) for n in wanted)
        if total > limit:
            raise ValueError(f"its arrays take {total >> 20} MB, over {limit >> 20}")
        return {n: _read_array(archive, entries[n]) for n in wanted}


def array_names(path: str | Path, remedy: str) -> list[str]:
    """List the arrays of an npz file; nothing is decoded.

    Raises:
        HeadcastError: unreadable, or no npz.
    """
    check_readable(Path(path), "npz")
    with parsing(path, "not a readable npz", remedy), open_zip(path) as archive:
        return [n.removesuffix(".npy") for n in archive.namelist()]


def claimed_bytes(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, kinds: str) -> int:
    """Return the decoded size of an array, from its header; it must match the entry's size."""
    with archive.open(entry) as f:
        shape, _, dtype = _array_header(f)
        header = f.tell()
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in kinds or (dtype.kind in NUMBERS and dtype.itemsize > 8):
        raise ValueError(f"'{entry.filename[:60]}' is of the type {dtype.str[:12]}")
    if size != entry.file_size - header:
        raise ValueError(f"'{entry.filename[:60]}' claims another size than it has")
    if entry.file_size > MAX_INFLATION * max(entry.compress_size, 64):
        raise ValueError(f"'{entry.filename[:60]}' claims more than it can hold")
    return size


class _ArrayHeader(NamedTuple):
    """What an ``.npy`` stream says of its array."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype


def _array_header(f: Any) -> _ArrayHeader:
    version = np.lib.format.read_magic(f)
    if version == (1, 0):
        return _ArrayHeader(*np.lib.format.read_array_header_1_0(f))
    if version == (2, 0):
        return _ArrayHeader(*np.lib.format.read_array_header_2_0(f))
    raise ValueError("an array of an unknown version")


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Shaped[np.ndarray, "..."]:
    with archive.open(entry) as f:
        shape, fortran, dtype = _array_header(f)
        out = np.empty(entry.file_size - f.tell(), np.uint8)
        at = 0
        while block := f.read(1 << 20):
            out[at : at + len(block)] = np.frombuffer(block, np.uint8)
            at += len(block)
    if at != len(out):
        raise ValueError(f"'{entry.filename[:60]}' is cut")
    array = out.view(dtype).reshape(shape, order="F" if fortran else "C")
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))
