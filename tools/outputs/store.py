"""One recorded item: arrays and values in one file, written whole or not at all."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["VOLATILE", "Item", "code_of", "flat", "items_of", "load", "save"]

VALUES, CODE = "values.json", "code.txt"
LEVEL = 1
"""Of deflate: recording takes minutes, disks are large."""

VOLATILE = frozenset(
    {
        # when and how fast
        "finished",
        "seconds",
        "minutes",
        # by which program, from which commit, on which machine
        "created_by",
        "generator",
        "versions",
        "headcast",
        "torch",
        "commit",
        "platform",
        # run.json: where it was written
        "command",
        "output",
    }
)
"""Keys of JSON files, logs and metadata that are left out, at whatever depth. Beside them: the list of all
bundled weights in run.json (avatars and cards name those that were used)."""

PASSING = (
    (re.compile(r"headcast \d+\.\d+(\.\w+)*"), "headcast"),
    (re.compile(r"this run [\d.]+ minutes"), "this run"),
)
"""What is replaced inside of words: the program's version, durations."""


@dataclass(frozen=True)
class Item:
    """What was found: arrays of numbers by name, and everything else (numbers, words) by name."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def under(self, prefix: str) -> Item:
        """The same with names below ``prefix``."""
        return Item(
            {f"{prefix}/{k}": v for k, v in self.arrays.items()},
            {f"{prefix}/{k}": v for k, v in self.values.items()},
        )

    def __or__(self, other: Item) -> Item:
        return Item(self.arrays | other.arrays, self.values | other.values)


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested JSON as leaves by path, without volatile keys and without the program's version in words."""
    if isinstance(value, dict):
        pairs = [(str(k), v) for k, v in value.items() if str(k) not in VOLATILE]
    elif isinstance(value, list | tuple):
        pairs = [(str(i), v) for i, v in enumerate(value)]
    else:
        return {name: lasting(value) if isinstance(value, str) else value}
    leaves: dict[str, Any] = {} if pairs else {name: type(value).__name__}
    for key, inner in pairs:
        leaves |= flat(inner, f"{name}.{key}" if name else key)
    return leaves


def lasting(words: str) -> str:
    """Words without what changes from run to run."""
    for pattern, word in PASSING:
        words = pattern.sub(word, words)
    return words


def save(path: Path, item: Item, code: str) -> None:
    """Writes an item that a state of the code made; a file of that name is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as z:
        z.writestr(CODE, code)
        z.writestr(VALUES, json.dumps(item.values, indent=0, sort_keys=True))
        for name, array in item.arrays.items():
            with z.open(f"{name}.npy", "w", force_zip64=True) as f:
                np.lib.format.write_array(f, np.asanyarray(array), allow_pickle=False)
    unfinished.replace(path)


def load(path: Path) -> Item:
    """Reads an item."""
    with zipfile.ZipFile(path) as z:
        arrays = {}
        for name in z.namelist():
            if name not in (VALUES, CODE):
                with z.open(name) as f:
                    arrays[name.removesuffix(".npy")] = np.lib.format.read_array(f, allow_pickle=False)
        return Item(arrays, json.loads(z.read(VALUES)))


def code_of(path: Path) -> str:
    """Which state of the code made an item."""
    with zipfile.ZipFile(path) as z:
        return z.read(CODE).decode()


def items_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Names and files of what was recorded in a folder."""
    for path in sorted((folder / "items").glob("*.zip")):
        yield path.stem, path
