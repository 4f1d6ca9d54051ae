"""Opens pickles and torch checkpoints (zip and the older form) through the restricted machine."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from headcast.errors import HeadcastError
from headcast.files import check_readable
from headcast.pickles.machine import Machine, Reader
from headcast.pickles.rebuild import DTYPES, Rebuilder
from headcast.pickles.values import Bad, Name, Storage

__all__ = ["load_restricted"]

OLD_TORCH = 0x1950A86A20F9469CFC6C
"""The number that torch's form before zip begins with."""
UNFOLDS = 8
"""Largest size of all arrays together, in sizes of the file."""
SMALLEST_LIMIT = 1 << 26


def load_restricted(path: str | Path, keep_unknown: bool = False) -> Any:
    """The content of a pickle or torch checkpoint; nothing in the file is run, imported or looked up.

    Rebuilt are Python's containers, numbers and texts, numpy arrays (read-only), scipy's csc and csr matrices
    (as ``Sparse``), chumpy's arrays (as numpy arrays) and torch tensors (on the CPU, sharing storages). A
    name that is not called comes back as ``Name``.

    Args:
        keep_unknown: objects of other classes come back as inert ``Record`` instead of refusing the file.

    Raises:
        HeadcastError: unreadable, damaged, or asking for something else.
    """
    path = Path(path)
    check_readable(path, "model")
    try:
        data = path.read_bytes()
        if data.startswith(b"PK\x03\x04"):
            return _zip(data, keep_unknown)
        return _pickle(data, keep_unknown)
    except Bad as e:
        raise HeadcastError(f"{path}: not opened: {e}; get the file again from its publisher") from e
    except (OSError, zipfile.BadZipFile, MemoryError, RecursionError, NotImplementedError) as e:
        raise HeadcastError(
            f"{path}: not a readable model file ({e}); get it again from its publisher"
        ) from e


def _rebuilder(size: int, keep_unknown: bool, nested: Callable[[bytes], Any] | None = None) -> Rebuilder:
    return Rebuilder(UNFOLDS * size + SMALLEST_LIMIT, keep_unknown, nested or _no_nesting)


def _no_nesting(_: bytes) -> Any:
    raise Bad("it holds checkpoints within checkpoints")


def _no_persistent(_: Any) -> Any:
    raise Bad("it refers to objects outside of it")


def _pickle(data: bytes, keep_unknown: bool) -> Any:
    """A plain pickle, or torch's older form."""
    reader = Reader(data)
    call = _rebuilder(len(data), keep_unknown, lambda b: _old_torch(b, keep_unknown))
    first = Machine(reader, call, _no_persistent).run()
    if first == OLD_TORCH and type(first) is int:
        return _old_torch(data, keep_unknown)
    return first


def _zip(data: bytes, keep_unknown: bool) -> Any:
    """torch's zip: ``<name>/data.pkl`` and one file for each storage, never compressed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {e.filename: e for e in archive.infolist()}
        found = [n for n in entries if n.endswith("data.pkl") and n.count("/") <= 1]
        if len(found) != 1:
            raise Bad("a zip archive without a checkpoint")
        root = found[0].removesuffix("data.pkl")
        order = entries.get(f"{root}byteorder")
        if order is not None and archive.read(order)[:16] != b"little":
            raise Bad("written on a machine of another byte order")

        def content(name: str) -> bytes:
            entry = entries.get(name)
            if entry is None or entry.compress_type != zipfile.ZIP_STORED or entry.file_size > len(data):
                raise Bad(f"the archive's entry '{name[:60]}' is missing or unusual")
            return archive.read(entry)

        storages: dict[str, Storage] = {}

        def persistent(key: Any) -> Storage:
            dtype, name = storage_key(key)
            if name not in storages:
                storages[name] = filled(content(f"{root}data/{name}"), dtype)
            return storages[name]

        call = _rebuilder(len(data), keep_unknown, lambda b: _old_torch(b, keep_unknown))
        return Machine(Reader(content(found[0])), call, persistent).run()


def filled(raw: bytes, dtype: torch.dtype) -> Storage:
    """A storage of given bytes."""
    return Storage(torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.zeros(0, dtype=dtype))


def storage_key(key: Any) -> tuple[torch.dtype, str]:
    """Element type and name of ``("storage", torch.FloatStorage, name, place, count, ...)``."""
    if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage" or not isinstance(key[1], Name):
        raise Bad("it refers to something that is no storage")
    kind, name = key[1], str(key[2])
    if kind.module not in ("torch", "torch.storage", "torch.cuda"):
        raise Bad(f"it has a storage of '{str(kind)[:60]}'")
    dtype = DTYPES.get(kind.attribute.removesuffix("Storage"))
    if dtype is None or not name.isalnum():
        raise Bad(f"it has a storage of '{str(kind)[:60]}'")
    return dtype, name


def _old_torch(data: bytes, keep_unknown: bool) -> Any:
    """Before zip: magic number, version, system, the object, storage names, then each one's numbers.

    The numbers come last, so the object is run twice: once to learn the storages, once with them.
    """
    if not isinstance(data, bytes):
        raise Bad("it holds a storage that is no bytes")
    reader = Reader(data)
    nothing = _rebuilder(len(data), False)
    head = [Machine(reader, nothing, _no_persistent).run() for _ in range(3)]
    if head[0] != OLD_TORCH:
        raise Bad("not a checkpoint")
    start = reader.at
    kinds: dict[str, tuple[torch.dtype, int]] = {}

    def learn(key: Any) -> Storage:
        dtype, name = storage_key(key)
        view = key[5] if len(key) > 5 else None
        if view is not None or not isinstance(key[4], int) or key[4] * dtype.itemsize > len(data):
            raise Bad("it has a storage of an impossible kind")
        kinds[name] = dtype, key[4]
        return Storage(torch.empty(key[4], dtype=dtype, device="meta"))

    Machine(reader, _rebuilder(len(data), keep_unknown), learn).run()
    names = Machine(reader, nothing, _no_persistent).run()
    storages: dict[str, Storage] = {}
    for name in map(str, names if isinstance(names, list) else []):
        dtype, count = kinds[name]
        if reader.number("q") != count:
            raise Bad("a storage of another length than said")
        storages[name] = filled(reader.take(count * dtype.itemsize), dtype)
    if set(storages) != set(kinds):
        raise Bad("it lacks storages")
    again = Reader(data, start)
    return Machine(again, _rebuilder(len(data), keep_unknown), lambda k: storages[storage_key(k)[1]]).run()
