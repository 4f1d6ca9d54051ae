"""Compiled kernels kept on disk: checksummed, only in folders that nobody else can write.

A cache file is machine code, so it is read only where the user (or root) alone could have put it, and only
when its checksum and key are right. Anything else is a miss: the kernel is compiled and written again. Where
nothing can be written the kernels are compiled in memory, and the log says so once.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import pickle
import secrets
import sys
from pathlib import Path
from typing import Any

from headcast.files import cache_folder
from headcast.owner import is_private

__all__ = ["KernelCache", "kernel_folders"]

DIGEST = hashlib.sha256().digest_size
MODE = 0o700

_log = logging.getLogger(__name__)
_unwritable: set[Path] = set()


def kernel_folders(source: Path) -> list[Path]:
    """Return the folders of a source file's kernels, the preferred one first.

    ``HEADCAST_CACHE`` alone where it is set; else ``__pycache__`` beside the source, then the user's cache.
    """
    own = cache_folder() / "kernels"
    return [own] if os.environ.get("HEADCAST_CACHE") else [source.parent / "__pycache__", own]


class KernelCache:
    """What a numba dispatcher asks for compiled code: ``load_overload`` and ``save_overload``."""

    def __init__(self, source: Path, name: str, line: int) -> None:
        self.source = source
        self.folders = kernel_folders(source)
        self.name = f"{source.stem}.{name}-{line}"
        self.stamp = sources_digest((Path(__file__).parent, source.parent))
        self.cache_path = str(self.folders[0])

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return the compiled function of a signature; None: compile it."""
        from numba.core.compiler import CompileResult

        context.refresh()
        name, key = self._identify(signature, context.codegen())
        for folder in self.folders:
            if (payload := read_sealed(folder / name, key)) is not None:
                try:
                    # a pickle, as in numba's own cache; read_sealed refuses what others can write
                    return CompileResult._rebuild(context, *pickle.loads(payload))
                except Exception:  # written under packages that this key does not tell apart
                    continue
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Write a compiled function to the first folder that takes it."""
        from numba.core.serialize import dumps

        if compiled.lifted or compiled.library.has_dynamic_globals:
            return
        name, key = self._identify(signature, compiled.codegen)
        payload = dumps(compiled._reduce())
        for folder in self.folders:
            if folder not in _unwritable and write_sealed(folder / name, key, payload):
                return
            _unwritable.add(folder)
        _say_once(
            f"{self.folders[-1]}: compiled kernels cannot be kept there, so that every run compiles them"
            " anew; set HEADCAST_CACHE to a folder of yours"
        )

    def _identify(self, signature: Any, codegen: Any) -> tuple[str, bytes]:
        """Return the file's name (one for each kernel, place, machine and version) and its content's key."""
        import llvmlite
        import numba
        import numpy as np

        versions = (numba.__version__, llvmlite.__version__, np.__version__, sys.version_info)
        place = repr((versions, str(self.source), str(signature), codegen.magic_tuple()))
        digest = hashlib.sha256(place.encode()).hexdigest()
        return f"{self.name}-{digest[:16]}.kernel", hashlib.sha256((digest + self.stamp).encode()).digest()


@functools.cache
def sources_digest(folders: tuple[Path, ...]) -> str:
    """Hash all Python files of folders: machine code holds helpers and constants of neighbouring modules."""
    digest = hashlib.sha256()
    for path in sorted({p for folder in folders for p in folder.glob("*.py")}):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read_sealed(path: Path, key: bytes) -> bytes | None:
    """Return a file's payload if its folder is private and its key and checksum are right; else None."""
    try:
        if not is_private(path.parent) or not is_private(path):
            return None
        data = path.read_bytes()
    except OSError:
        return None
    checksum, rest = data[:DIGEST], data[DIGEST:]
    if hashlib.sha256(rest).digest() != checksum or rest[:DIGEST] != key:
        return None
    return rest[DIGEST:]


def write_sealed(path: Path, key: bytes, payload: bytes) -> bool:
    """Write a file that ``read_sealed`` accepts; return whether it could be written."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    content = key + payload
    try:
        path.parent.mkdir(MODE, parents=True, exist_ok=True)
        if not is_private(path.parent):
            return False
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
                file.write(hashlib.sha256(content).digest() + content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError:
        return False
    return True


@functools.cache
def _say_once(text: str) -> None:
    _log.warning(text)
