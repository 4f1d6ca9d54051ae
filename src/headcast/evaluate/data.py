"""Which items a folder holds; what cannot be read is skipped and listed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from headcast.errors import HeadcastError
from headcast.files import is_video
from headcast.parsing import load_json, load_table

__all__ = ["clips_in", "groups_of", "names_of_split", "people_in", "photos_in", "skin_thirds", "stamp_of"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")

THIRDS = ("darkest", "middle", "lightest")


def clips_in(data: Path) -> dict[str, Path]:
    """List clips by name: the file itself, or those of the folder (or of its ``videos``).

    Raises:
        HeadcastError: there is none.
    """
    if data.is_file():
        return {data.stem: data}
    folder = data / "videos" if (data / "videos").is_dir() else data
    found = {p.stem: p for p in _sorted(folder) if p.is_file() and is_video(p)}
    if not found:
        raise HeadcastError(f"{data}: no videos there; give a clip or a folder of clips")
    return found


def stamp_of(path: Path) -> list[int]:
    """Return a file's size in bytes and time of change in ns: what its rows depend on.

    Raises:
        HeadcastError: there is no such file.
    """
    try:
        facts = path.stat()
    except OSError as e:
        raise HeadcastError(f"{path}: cannot be read ({e.strerror}); check the name") from e
    return [facts.st_size, facts.st_mtime_ns]


def photos_in(data: Path) -> dict[str, Path]:
    """List photos by name: the split ``evaluation`` of ``portraits``, else the folder's, or the file itself.

    Raises:
        HeadcastError: there is none.
    """
    splits = data / "splits.json"
    if splits.is_file() and (data / "portraits").is_dir():
        names = names_of_split(splits, "evaluation")
        return {n: data / "portraits" / f"{n}.jpg" for n in names}
    if data.is_file():
        return {data.stem: data}
    found = (
        {p.stem: p for p in sorted(data.iterdir()) if p.suffix.lower() in SUFFIXES} if data.is_dir() else {}
    )
    if not found:
        raise HeadcastError(f"{data}: no images there; give a folder of portraits")
    return found


def people_in(data: Path, marker: str) -> list[Path]:
    """List folders below ``data`` (or itself) that hold a file which matches ``marker``.

    Raises:
        HeadcastError: there is none.
    """
    if next(data.glob(marker), None):
        return [data]
    found = [
        p for p in _sorted(data) if p.is_dir() and not p.name.startswith(".") and next(p.glob(marker), None)
    ]
    if not found:
        raise HeadcastError(f"{data}: no folders with {marker} there; see docs/evaluate.md")
    return found


def _sorted(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise HeadcastError(f"{folder}: no such folder; check the name")
    return sorted(folder.iterdir())


def groups_of(data: Path, items: list[str]) -> dict[str, list[str]]:
    """Read groups of items from ``groups.csv`` in the folder or above it: a column ``id``, one per trait."""
    path = next((p for p in (data / "groups.csv", data.parent / "groups.csv") if p.is_file()), None)
    found: dict[str, list[str]] = {}
    if path is None:
        return found
    for line in load_table(path, ("id",), "give a column 'id' and one for each trait"):
        if line["id"] not in items:
            continue
        for trait, value in line.items():
            if trait != "id" and value:
                found.setdefault(f"{trait.replace('_', ' ')}: {value}", []).append(line["id"])
    return dict(sorted(found.items()))


def names_of_split(splits: Path, split: str) -> list[str]:
    """Read the names of a split from ``splits.json``: a list of texts by split.

    Raises:
        HeadcastError: it is damaged, or has no such split.
    """
    found = load_json(splits, "take it from the data set again")
    names = found.get(split) if isinstance(found, dict) else None
    if not isinstance(names, list) or not all(isinstance(n, str) and "/" not in n for n in names):
        raise HeadcastError(f"{splits}: has no list of names '{split}'; take it from the data set again")
    return names


def skin_thirds(angles: Mapping[str, float]) -> dict[str, list[str]]:
    """Split people into thirds by typology angle (degrees), from dark to light; each names its range."""
    order = sorted(angles, key=lambda name: angles[name])
    found = {}
    for label, part in zip(THIRDS, np.array_split(np.array(order, object), len(THIRDS)), strict=True):
        people = [str(name) for name in part]
        if people:
            low, high = angles[people[0]], angles[people[-1]]
            found[f"skin: {label} third ({low:.0f}° to {high:.0f}° ITA)"] = people
    return found
