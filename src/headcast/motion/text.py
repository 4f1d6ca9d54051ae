"""Text of recordings in the encodings that phones, spreadsheets and Windows write."""

from __future__ import annotations

import codecs
from pathlib import Path

__all__ = ["read_unicode"]


def read_unicode(path: str | Path) -> str:
    """Read a text file as UTF-8 or UTF-16, with or without a byte order mark.

    UTF-16 without a mark is recognised by the zero bytes of its ASCII characters. An odd last byte, as a cut
    UTF-16 file has, is dropped.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is neither.
    """
    data = Path(path).read_bytes()
    zeros = [i % 2 for i, b in enumerate(data[:64]) if b == 0]
    little = data.startswith(codecs.BOM_UTF16_LE) or (len(zeros) > 1 and all(zeros))
    big = data.startswith(codecs.BOM_UTF16_BE) or (len(zeros) > 1 and not any(zeros))
    if little or big:
        text = data[: len(data) // 2 * 2].decode("utf-16-le" if little else "utf-16-be")
        return text.removeprefix("\ufeff")
    return data.decode("utf-8-sig")
