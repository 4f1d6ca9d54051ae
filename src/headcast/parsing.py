"""The one boundary around every decoder: damage becomes one line, sizes are bounded before decoding.

A loader puts what touches a file's own bytes into ``with parsing(...)``, and reads whole formats by
``load_json``, ``load_table`` and ``array_files.load_arrays``. Code outside the boundary keeps its tracebacks.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headcast.errors import HeadcastError
from headcast.files import article, check_readable

__all__ = [
    "check_text",
    "decode_text",
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
MAX_DIRECTORY_BYTES = 1 << 23  # of a zip's list of entries: about 100,000 of them
MAX_REASON = 120
MAX_STATEMENT_CHARACTERS = 1 << 16
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
