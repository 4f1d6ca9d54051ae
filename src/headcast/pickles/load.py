"""Opens pickles and torch checkpoints (zip and the older form) through the restricted machine."""

from __future__ import annotations

import mmap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from headcast.errors import HeadcastError
from headcast.files import check_readable
from headcast.parsing import open_zip, parsing, short_reason
from headcast.pickles.machine import ByteReader, Machine
from headcast.pickles.rebuild import DTYPES, Rebuilder
from headcast.pickles.values import Bad, Budget, Name, Storage

__all__ = ["load_restricted"]

OLD_TORCH = 0x1950A86A20F9469CFC6C
"""The number that torch's form before zip begins with."""
UNFOLDS = 9
"""Largest size of all arrays and storages together, in sizes of the file."""
SMALLEST_LIMIT = 1 << 26
MAX_FILE_BYTES = 1 << 34


def load_restricted(path: str | Path, keep_unknown: bool = False, shapes_only: bool = False) -> Any:
    """Load a pickle or torch checkpoint; nothing in the file is run, imported or looked up.

    Rebuilt are Python's containers, numbers and texts, numpy arrays (read-only), scipy's csc and csr matrices
    (as ``Sparse``), chumpy's arrays (as numpy arrays) and torch tensors (on the CPU, sharing storages). A
    name that is not called comes back as ``Name``.

    Args:
        keep_unknown: objects of other classes come back as inert ``Record`` instead of refusing the file.
        shapes_only: tensors come back on the device ``meta``, without their numbers; large files open fast.

    Raises:
        HeadcastError: unreadable, damaged, or asking for something else.
    """
    path = Path(path)
    check_readable(path, "model")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise HeadcastError(f"{path}: larger than {MAX_FILE_BYTES >> 30} GB; give a file of weights")
    how = How(size, keep_unknown, shapes_only, Budget(UNFOLDS * size + SMALLEST_LIMIT))
    with parsing(path, "not a readable model file", "get it again from its publisher"):
        try:
            with path.open("rb") as f:
                if f.read(4) == b"PK\x03\x04":
                    return _zip(path, how)
                return _pickle(memoryview(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)), how)
        except Bad as e:
            raise HeadcastError(
                f"{path}: not opened: {short_reason(e)}; get the file again from its publisher"
            ) from e


class How(NamedTuple):
    """Size of the whole file, how it is opened, and what it may cost."""

    size: int
    keep_unknown: bool
    shapes_only: bool
    budget: Budget

    def machine(self, reader: ByteReader, persistent: Callable[[Any], Any]) -> Machine:
        """Make a machine for one pickle of the file; all share its budget."""
        rebuilder = Rebuilder(self.budget, self.keep_unknown, lambda data: _nested(data, self))
        return Machine(reader, rebuilder, persistent, self.budget)


def _no_persistent(_: Any) -> Any:
    raise Bad("it refers to objects outside of it")


def _pickle(data: memoryview, how: How) -> Any:
    """Load a plain pickle, or torch's older form."""
    first = how.machine(ByteReader(data), _no_persistent).run()
    if type(first) is int and first == OLD_TORCH:
        return _old_torch(data, how)
    return first


def _nested(data: Any, how: How) -> Any:
    """Load a storage that torch pickled as bytes within the pickle."""
    if not isinstance(data, bytes):
        raise Bad("it holds a storage that is no bytes")
    how.budget.nesting -= 1
    if how.budget.nesting < 0:
        raise Bad("it holds storages within storages")
    try:
        return _old_torch(memoryview(data), how)
    finally:
        how.budget.nesting += 1


def _zip(path: Path, how: How) -> Any:
    """Load torch's zip: ``<name>/data.pkl`` and one file for each storage, never compressed."""
    with open_zip(path) as archive:
        entries = {e.filename: e for e in archive.infolist()}
        found = [n for n in entries if n.endswith("data.pkl") and n.count("/") <= 1]
        if len(found) != 1:
            raise Bad("a zip archive without a checkpoint")
        root = found[0].removesuffix("data.pkl")

        def content(name: str) -> bytes:
            entry = entries.get(name)
            if entry is None or entry.compress_type != zipfile.ZIP_STORED or entry.file_size > how.size:
                raise Bad(f"the archive's entry '{name[:60]}' is missing or unusual")
            return archive.read(entry)

        if f"{root}byteorder" in entries and content(f"{root}byteorder") != b"little":
            raise Bad("written on a machine of another byte order")
        storages: dict[str, Storage] = {}

        def persistent(key: Any) -> Storage:
            dtype, name, count = storage_key(key)
            if name not in storages:
                if how.shapes_only:
                    storages[name] = Storage(torch.empty(count, dtype=dtype, device="meta"))
                else:
                    storages[name] = fill_storage(content(f"{root}data/{name}"), dtype, how.budget)
            return storages[name]

        return how.machine(ByteReader(content(found[0])), persistent).run()


def fill_storage(raw: bytes, dtype: torch.dtype, budget: Budget) -> Storage:
    """Make a storage of given bytes."""
    budget.spend_bytes(len(raw))
    if len(raw) % dtype.itemsize:
        raise Bad("a storage of a broken length")
    return Storage(torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.zeros(0, dtype=dtype))


class StorageKey(NamedTuple):
    """Element type, name and number of elements of a storage."""

    dtype: torch.dtype
    name: str
    elements: int


def storage_key(key: Any) -> StorageKey:
    """Return element type, name and count of ``("storage", torch.FloatStorage, name, place, count, ...)``."""
    if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage" or not isinstance(key[1], Name):
        raise Bad("it refers to something that is no storage")
    kind, name = key[1], key[2] if isinstance(key[2], str) else ""
    if kind.module not in ("torch", "torch.storage", "torch.cuda"):
        raise Bad(f"it has a storage of '{str(kind)[:60]}'")
    dtype = DTYPES.get(kind.attribute.removesuffix("Storage"))
    if dtype is None or not name.isalnum():
        raise Bad(f"it has a storage of '{str(kind)[:60]}'")
    if type(key[4]) is not int or not 0 <= key[4] < 1 << 40:
        raise Bad("it has a storage of an impossible size")
    return StorageKey(dtype, name, key[4])


def _old_torch(data: memoryview, how: How) -> Any:
    """Load the form before zip: magic number, version, system, object, storage names, each one's numbers.

    The numbers come last, so the object is run twice: once to learn the storages, once with them.
    """
    reader = ByteReader(data)
    head = [how.machine(reader, _no_persistent).run() for _ in range(3)]
    if type(head[0]) is not int or head[0] != OLD_TORCH:
        raise Bad("not a checkpoint")
    start = reader.at
    kinds: dict[str, tuple[torch.dtype, int]] = {}

    def learn(key: Any) -> Storage:
        dtype, name, count = storage_key(key)
        if len(key) > 5 and key[5] is not None:
            raise Bad("it has a storage within a storage")
        kinds[name] = dtype, count
        return Storage(torch.empty(count, dtype=dtype, device="meta"))

    shapes = how.machine(reader, learn).run()
    if how.shapes_only:
        return shapes
    names = how.machine(reader, _no_persistent).run()
    storages: dict[str, Storage] = {}
    for name in names if isinstance(names, list) else []:
        dtype, count = kinds.get(name, (torch.uint8, -1)) if isinstance(name, str) else (torch.uint8, -1)
        if reader.number("q") != count:
            raise Bad("a storage of another length than said")
        storages[name] = fill_storage(reader.take(count * dtype.itemsize), dtype, how.budget)
    if set(storages) != set(kinds):
        raise Bad("it lacks storages")
    return how.machine(ByteReader(data, start), lambda k: storages[storage_key(k)[1]]).run()
