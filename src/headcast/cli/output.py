"""Output paths, and the report on a finished command."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from headcast.cli.record import write_record
from headcast.errors import HeadcastError

__all__ = ["output_path", "report"]


def output_path(given: Path | None, stem: str, suffix: str) -> Path:
    """Return the output path: the given one, or ``stem`` with ``suffix`` in the current folder.

    Raises:
        HeadcastError: the given name has another suffix.
    """
    out = given or Path(stem + suffix)
    if out.suffix.lower() != suffix:
        raise HeadcastError(f"{out}: the output's name must end in {suffix}")
    return out


def report(out: Path, seed: int, start: float, as_json: bool, notes: Sequence[str] = ()) -> None:
    """Write run.json and print where the result is; notes go to stderr."""
    record = write_record(out, seed, time.perf_counter() - start, tuple(notes))
    if as_json:
        print(json.dumps(record, indent=1))
        return
    for note in notes:
        sys.stderr.write(f"headcast: {note}\n")
    print(out)
