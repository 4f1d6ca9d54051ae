"""What every command takes: how much it says, and what happens to an output that exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["EVERYWHERE", "Style", "numbered", "style", "take_style"]

EVERYWHERE = {
    "--quiet": "Say nothing but errors; the result's name still goes to standard output.",
    "--verbose": "Say every step as it begins, and where an error came from.",
    "--overwrite": "Replace an output that exists; else the new one gets a numbered name, which is said.",
}
"""Flags of every command, and what they do."""
LONGEST = 10_000


@dataclass
class Style:
    """How the running command speaks and writes."""

    quiet: bool = False
    verbose: bool = False
    overwrite: bool = False


style = Style()


def take_style(arguments: Sequence[str]) -> list[str]:
    """Set ``style`` by the flags among the arguments that every command takes; return the other arguments."""
    flags = [a for a in arguments if a in EVERYWHERE]
    for name in ("quiet", "verbose", "overwrite"):
        setattr(style, name, f"--{name}" in flags)
    return [a for a in arguments if a not in EVERYWHERE]


def numbered(path: Path) -> Path:
    """Return a path that does not exist: ``me.avatar``, else ``me-2.avatar``, ``me-3.avatar`` and so on."""
    if not path.exists():
        return path
    for number in range(2, LONGEST):
        other = path.with_name(f"{path.stem}-{number}{path.suffix}")
        if not other.exists():
            return other
    return path
