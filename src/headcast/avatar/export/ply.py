"""The PLY format, binary and little-endian: a header of names, then rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from headcast.files import atomic_path

__all__ = ["write_ply"]

NAMES = {"f4": "float", "u1": "uchar", "i4": "int", "u4": "uint"}


def write_ply(path: Path, elements: dict[str, np.ndarray], comments: tuple[str, ...] = ()) -> None:
    """Write structured arrays as elements, atomically.

    A field with a sub-shape (k,) is a list of k values, whose length is written before each (PLY's lists).

    Args:
        elements: name to (N,) structured array of little-endian fields.
        comments: lines of text; what is not ASCII is written as Python escapes.

    Raises:
        HeadcastError: the place cannot be written.
    """
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [f"comment {' '.join(c.encode('ascii', 'backslashreplace').decode().split())}" for c in comments]
    bodies = []
    for name, rows in elements.items():
        lines.append(f"element {name} {len(rows)}")
        fields = []
        for field in rows.dtype.names or ():
            base, shape = rows.dtype[field].base, rows.dtype[field].shape
            kind = NAMES[base.str[1:]]
            lines.append(f"property {f'list uchar {kind}' if shape else kind} {field}")
            fields += [(f"{field} count", "u1"), (field, base, shape)] if shape else [(field, base)]
        whole = np.zeros(len(rows), fields)
        for field in rows.dtype.names or ():
            whole[field] = rows[field]
            if rows.dtype[field].shape:
                whole[f"{field} count"] = rows.dtype[field].shape[0]
        bodies.append(whole.tobytes())
    head = "\n".join([*lines, "end_header", ""]).encode("ascii")
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join([head, *bodies]))
