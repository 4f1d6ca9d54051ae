"""Rows on disk: a run that was interrupted goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from headcast.errors import HeadcastError
from headcast.evaluate.report import Report, Row
from headcast.files import atomic_path

__all__ = ["Measured", "Store", "add_measured"]


@dataclass
class Measured:
    """What was measured of one method on one item.

    Attributes:
        rows: one a frame or view.
        features: by the name of their set (``real`` or the method's): vectors for figures of whole
            sets.
    """

    rows: list[Row]
    features: dict[str, Float[np.ndarray, "n d"]] = field(default_factory=dict)


class Store:
    """Rows in ``folder/rows/SUBJECT/ITEM.json``, images in ``pictures``; a deleted file is measured again."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.facts = json.loads(json.dumps(facts))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise HeadcastError(f"{folder}: cannot be written ({e.strerror}); choose another place") from e

    def path(self, subject: str, item: str) -> Path:
        """Return the file of a method's rows on an item."""
        return self.folder / "rows" / _plain(subject) / f"{_plain(item)}.json"

    def get(self, subject: str, item: str, more: Any = None) -> Measured | None:
        """Return rows measured before with the same settings, or None."""
        path = self.path(subject, item)
        try:
            kept = json.loads(path.read_text())
            if kept["facts"] != self._facts(more):
                return None
            return Measured(kept["rows"], {k: np.array(v, np.float32) for k, v in kept["features"].items()})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, subject: str, item: str, found: Measured, more: Any = None) -> None:
        """Write rows with the settings they depend on."""
        path = self.path(subject, item)
        path.parent.mkdir(parents=True, exist_ok=True)
        features = {k: np.round(v.astype(np.float64), 6).tolist() for k, v in found.features.items()}
        with atomic_path(path) as temporary:
            temporary.write_text(
                json.dumps({"facts": self._facts(more), "rows": found.rows, "features": features})
            )

    def once(self, subject: str, item: str, work: Callable[[], Measured], more: Any = None) -> Measured:
        """Return rows from disk, else measure and store them. ``more``: facts that they depend on as well."""
        found = self.get(subject, item, more)
        if found is None:
            found = work()
            self.put(subject, item, found, more)
        return found

    def together(
        self, columns: Iterable[str], item: str, make: Callable[[], Mapping[str, Row]], more: Any = None
    ) -> dict[str, Row]:
        """Return one row per column, from disk where all are stored; else ``make`` measures all at once."""
        kept = {c: self.get(c, item, more) for c in columns}
        if all(kept.values()):
            return {c: m.rows[0] for c, m in kept.items() if m is not None}
        made = dict(make())
        for c, row in made.items():
            self.put(c, item, Measured([row]), more)
        return made

    def image_path(self, subject: str, item: str, name: str) -> Path:
        """Return the file of a method's image of an item, for the sheet."""
        return self.folder / "pictures" / _plain(subject) / _plain(item) / f"{_plain(name)}.png"

    def keep(self, subject: str, item: str, name: str, rgb: UInt8[np.ndarray, "h w c"]) -> None:
        """Store an image for the sheet."""
        from headcast.image import save_png
        from headcast.marks import png_metadata

        path = self.image_path(subject, item, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(path, rgb, png_metadata({}))

    def forget_images(self, subject: str, item: str) -> None:
        """Delete the images of an earlier run with other settings."""
        for path in self.image_path(subject, item, "x").parent.glob("*.png"):
            path.unlink()

    def kept(self, subject: str, item: str) -> dict[str, UInt8[np.ndarray, "h w 3"]]:
        """Read the stored images, by name."""
        from headcast.image import load_image

        folder = self.image_path(subject, item, "x").parent
        return {p.stem: load_image(p).rgb for p in sorted(folder.glob("*.png"))}

    def _facts(self, more: Any) -> Any:
        return {**self.facts, "more": json.loads(json.dumps(more))}


def _plain(name: str) -> str:
    """Make a name safe for a file."""
    return "".join(c if c.isalnum() or c in "-_+." else "_" for c in name).strip(".") or "_"


def add_measured(report: Report, item: str, found: Mapping[str, Measured]) -> None:
    """Add the rows of every method (``found[method]``) on one item to a report."""
    for subject, measured in found.items():
        report.add(subject, item, measured.rows)
