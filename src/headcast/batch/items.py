"""What a batch works through: items of a folder, addressed by their content and the settings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headcast import __version__
from headcast.errors import HeadcastError
from headcast.files import content_kind

__all__ = ["BatchSettings", "Item", "find_items", "safe_stem"]

MAX_STEM = 48  # characters of a source's name that an output's name keeps
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class BatchSettings:
    """How every avatar of a batch is made.

    Attributes:
        method: name of a registered method. options: fields of its ``Options`` by name, plain values.
        seed: random seed. consent: statement kept in every avatar. enhance: super-resolve afterwards.
    """

    method: str
    options: Mapping[str, Any] | None = None
    seed: int = 0
    consent: str | None = None
    enhance: bool = False

    def fingerprint(self) -> str:
        """Return as text what results depend on beside the photos: settings, program, weights."""
        from headcast.methods.base import get_method

        program = [__version__, self.method, get_method(self.method).version()]
        facts = [*program, dict(self.options or {}), self.seed, self.consent, self.enhance]
        return json.dumps(facts, sort_keys=True, default=str)


@dataclass(frozen=True)
class Item:
    """One avatar to be made.

    Attributes:
        name: the source's path below the folder, with forward slashes.
        files: photos of one person, or one video.
        key: hex digest of the files' content and the settings.
    """

    name: str
    files: tuple[Path, ...]
    key: str

    @property
    def output(self) -> str:
        """Name of the avatar's file: the source's name made safe, and the first digits of the key."""
        return f"{safe_stem(self.name)}-{self.key[:12]}.avatar"


def find_items(folder: str | Path, settings: BatchSettings) -> list[Item]:
    """List the items of a folder: every photo and video in it, and every sub-folder of photos of one person.

    Hidden files, and files that are neither images nor videos, are left out.

    Raises:
        HeadcastError: it is no folder, cannot be read, or holds nothing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise HeadcastError(f"{folder}: no such folder; give a folder of photos")
    try:
        groups = list(_groups(folder))
    except OSError as e:
        raise HeadcastError(f"{folder}: cannot be read ({e.strerror}); check its permissions") from e
    if not groups:
        raise HeadcastError(f"{folder}: holds no photos and no videos; give a folder that does")
    fingerprint = settings.fingerprint()
    return [Item(name, files, _key(files, fingerprint)) for name, files in groups]


def _groups(folder: Path) -> Iterator[tuple[str, tuple[Path, ...]]]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file() and content_kind(path) is not None:
            yield path.name, (path,)
        elif path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith(".")]
            photos = tuple(p for p in inside if content_kind(p) is not None)
            if photos:
                yield f"{path.name}/", photos


def _key(files: Sequence[Path], fingerprint: str) -> str:
    total = hashlib.sha256(fingerprint.encode())
    for path in files:
        digest = hashlib.sha256()
        try:
            with path.open("rb") as f:
                while chunk := f.read(CHUNK_BYTES):
                    digest.update(chunk)
        except OSError:  # the item fails later, with its own message
            digest.update(str(path).encode(errors="replace"))
        total.update(digest.digest())
    return total.hexdigest()


def safe_stem(name: str) -> str:
    """Return a file name's stem, made of letters, digits, ``-`` and ``_`` alone, at most 48 of them."""
    stem = name.rstrip("/").rpartition("/")[2]
    stem = stem if name.endswith("/") else (stem.rpartition(".")[0] or stem)
    return re.sub(r"[^\w-]+", "_", stem).strip("_")[:MAX_STEM] or "item"
