"""The one boundary around every decoder: damage becomes one line, sizes are bounded before decoding.

A loader puts what touches a file's own bytes into ``with parsing(...)``, and reads whole formats by
``load_json``, ``load_table`` and ``load_arrays``. Code outside the boundary keeps its tracebacks.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
import struct
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from headcast.errors import HeadcastError
from headcast.files import article, check_readable

__all__ = [
    "array_names",
    "check_text",
    "decode_text",
    "load_arrays",
    "load_json",
    "load_table",
    "open_zip",
    "parse_json",
    "parsing",
    "read_limited",
    "read_text",
    "short_reason",
]

MAX_TEXT_BYTES = 1 << 25
MAX_ARRAY_BYTES = 1 << 30  # of all arrays that are read, decoded
MAX_DIRECTORY_BYTES = 1 << 23  # of a zip's list of entries: about 100,000 of them
MAX_INFLATION = 1100  # deflate makes at most 1032 bytes of one
MAX_REASON = 120
MAX_STATEMENT_CHARACTERS = 1 << 16
NUMBERS = "biuf"
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
END_OF_ZIP, END_OF_ZIP64 = b"PK\5\6", b"PK\6\6"
ZIP64_BYTES = 56 + 20  # its end record and the locator, between the list and the end


@contextmanager
def parsing(path: str | Path, problem: str, remedy: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a file's bytes into one line: ``path: problem (reason); remedy``.

    Only decoding and conversion of the file's content belong inside: an exception of other code would be
    reported as damage.

    Raises:
        HeadcastError: anything failed within; a ``HeadcastError`` raised within passes unchanged.
    """
    try:
        yield
    except HeadcastError:
        raise
    except Exception as e:  # decoders raise nearly everything on damaged bytes
        raise HeadcastError(f"{path}: {problem} ({short_reason(e)}); {remedy}") from e


def short_reason(reason: object) -> str:
    """Describe an exception in one short printable line."""
    if isinstance(reason, MemoryError):
        return "too large for the available memory"
    if isinstance(reason, RecursionError):
        return "nested too deeply"
    if isinstance(reason, KeyError):
        text = f"{reason} is missing"
    elif isinstance(reason, OSError) and reason.strerror:
        text = reason.strerror
    else:
        text = str(reason)
    words = " ".join(text[: 4 * MAX_REASON].split())
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)
    return shown[:MAX_REASON] or type(reason).__name__


def read_limited(path: str | Path, kind: str, limit: int) -> bytes:
    """Read a whole regular file of at most ``limit`` bytes.

    Args:
        kind: what the file should be, for messages.

    Raises:
        HeadcastError: missing, empty, a device, pipe or folder, unreadable, or larger.
    """
    path = Path(path)
    check_readable(path, kind)
    with parsing(path, "cannot be read", "check its permissions"), path.open("rb") as f:
        data = f.read(limit + 1)
    if len(data) > limit:
        raise HeadcastError(f"{path}: larger than {limit >> 20} MB; give {article(kind)} {kind} file")
    return data


def read_text(path: str | Path, kind: str, limit: int = MAX_TEXT_BYTES, errors: str = "strict") -> str:
    """Read a text file in UTF-8 or UTF-16, with or without a byte order mark.

    Raises:
        HeadcastError: unreadable, too large, or not in that encoding.
    """
    data = read_limited(path, kind, limit)
    with parsing(path, f"not a readable {kind} file", "save it as UTF-8 text"):
        return decode_text(data, errors)


def decode_text(data: bytes, errors: str = "strict") -> str:
    """Decode UTF-8 or UTF-16; the mark is dropped.

    UTF-16 without a mark is recognised by the zero bytes of its ASCII characters. An odd last byte, as a cut
    UTF-16 file has, is dropped.

    Raises:
        UnicodeDecodeError: it is neither.
    """
    zeros = [i % 2 for i, b in enumerate(data[:64]) if b == 0]
    little = data.startswith(codecs.BOM_UTF16_LE) or (len(zeros) > 1 and all(zeros))
    big = data.startswith(codecs.BOM_UTF16_BE) or (len(zeros) > 1 and not any(zeros))
    if little or big:
        text = data[: len(data) // 2 * 2].decode("utf-16-le" if little else "utf-16-be", errors)
        return text.removeprefix("\ufeff")
    return data.decode("utf-8-sig", errors)


def load_json(path: str | Path, remedy: str, limit: int = MAX_TEXT_BYTES) -> Any:
    """Load a JSON file; half of a surrogate pair, which no text may hold, counts as damage.

    Raises:
        HeadcastError: unreadable, too large, no JSON, or nested too deeply.
    """
    text = read_text(path, "JSON", limit)
    with parsing(path, "not a readable JSON file", remedy):
        return parse_json(text)


def check_text(text: str | None, name: str, limit: int = MAX_STATEMENT_CHARACTERS) -> None:
    """Check before long work that a given text can be stored.

    Raises:
        HeadcastError: bytes that are no text (from the command line), a null character, or too long.
    """
    given = text or ""
    try:
        given.encode()
    except UnicodeEncodeError as e:
        raise HeadcastError(f"{name}: character {e.start + 1} is no text; write it in UTF-8") from None
    if "\0" in given or len(given) > limit:
        raise HeadcastError(f"{name}: give at most {limit} characters, none of them null")


def parse_json(text: str, constants: Callable[[str], Any] | None = None) -> Any:
    """Parse JSON; raise ValueError on lone surrogates, which cannot be written again."""
    data = json.loads(text, parse_constant=constants)
    if SURROGATE_ESCAPE.search(text):
        json.dumps(data, ensure_ascii=False).encode()
    return data


def load_table(path: str | Path, columns: Collection[str], remedy: str) -> list[dict[str, str]]:
    """Load a CSV file with a header as one dictionary a row; absent cells are empty.

    Raises:
        HeadcastError: unreadable, too large, no CSV, or without one of ``columns``.
    """
    lines = read_text(path, "CSV").splitlines()
    with parsing(path, "not a readable CSV file", remedy):
        reader = csv.DictReader(lines, restkey="", restval="")
        missing = [c for c in columns if c not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"no column '{missing[0]}'")
        return [{k: v for k, v in row.items() if k} for row in reader]


@contextmanager
def open_zip(path: str | Path, limit: int = MAX_DIRECTORY_BYTES) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose list of entries takes at most ``limit`` bytes, checked before it is parsed.

    Raises:
        ValueError, zipfile.BadZipFile: too many entries, or no zip; use within ``parsing``.
    """
    with Path(path).open("rb") as f:
        if zip_directory_bytes(f) > limit:
            raise ValueError("a zip of too many entries")
        with zipfile.ZipFile(f) as archive:
            yield archive


def zip_directory_bytes(f: io.BufferedIOBase) -> int:
    """Return the size in bytes of a zip's list of entries, as its end says; 0: no end found."""
    size = f.seek(0, 2)
    f.seek(max(0, size - (1 << 16) - 22 - ZIP64_BYTES))
    tail = f.read()
    f.seek(0)
    end = tail.rfind(END_OF_ZIP)
    if end < 0 or len(tail) < end + 22:
        return 0
    wide = end - ZIP64_BYTES
    if wide >= 0 and tail[wide : wide + 4] == END_OF_ZIP64:
        return struct.unpack("<Q", tail[wide + 40 : wide + 48])[0]
    return struct.unpack("<I", tail[end + 12 : end + 16])[0]


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
