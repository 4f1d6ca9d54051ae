"""The manifest of a batch: one JSON line an item as it ends, and the same as a table at the end."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from headcast.files import atomic_path
from headcast.parsing import read_text

__all__ = ["FIELDS", "Manifest"]

FIELDS = ("source", "status", "output", "seconds", "warnings", "error", "key", "finished")
MAX_BYTES = 1 << 30


class Manifest:
    """``manifest.jsonl`` of an output folder; a killed run leaves every line but perhaps the last whole."""

    def __init__(self, folder: Path) -> None:
        self.path, self.table = folder / "manifest.jsonl", folder / "manifest.csv"
        self.entries: dict[str, dict[str, Any]] = {}
        if self.path.is_file() and self.path.stat().st_size:
            for line in read_text(self.path, "JSON lines", MAX_BYTES, errors="replace").splitlines():
                with suppress(ValueError):  # the last line of a killed run
                    entry = json.loads(line)
                    if isinstance(entry, dict) and isinstance(entry.get("source"), str):
                        self.entries[entry["source"]] = {k: entry.get(k, "") for k in FIELDS}

    def by_key(self, key: str) -> dict[str, Any] | None:
        """Return the entry of an earlier item of the same content and settings."""
        return next((e for e in self.entries.values() if e["key"] == key), None)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Keep an entry and append it to the file, on the disk before this returns."""
        self.entries[entry["source"]] = {k: entry.get(k, "") for k in FIELDS}
        line = json.dumps(self.entries[entry["source"]], ensure_ascii=True) + "\n"
        with self.path.open("a+b") as f:
            f.seek(0, os.SEEK_END)
            if f.tell():
                f.seek(-1, os.SEEK_END)
                line = line if f.read(1) == b"\n" else "\n" + line
            f.write(line.encode())
            f.flush()
            os.fsync(f.fileno())

    def close(self) -> None:
        """Write both files anew, one line an item, in the order of the sources."""
        entries = [self.entries[name] for name in sorted(self.entries)]
        with atomic_path(self.path) as temporary:
            temporary.write_text("".join(json.dumps(e) + "\n" for e in entries), encoding="utf-8")
        with atomic_path(self.table) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
            writer: csv.DictWriter[str] = csv.DictWriter(f, FIELDS)
            writer.writeheader()
            for entry in entries:
                row = {k: "; ".join(v) if isinstance(v, list) else v for k, v in entry.items()}
                writer.writerow({k: _plain(v) for k, v in row.items()})


def _plain(value: Any) -> Any:
    """Keep a spreadsheet from taking text for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
