"""Output paths, what is printed, and the report on a finished command."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from headcast.cli.record import write_record
from headcast.cli.style import numbered, style
from headcast.errors import HeadcastError

__all__ = [
    "checked_stdout",
    "escape_controls",
    "free_path",
    "output_path",
    "print_error",
    "print_note",
    "print_result",
    "report",
]

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal obeys instead of showing them, overrides of the writing direction among them."""


def output_path(given: Path | None, stem: str, suffix: str) -> Path:
    """Return the output path: the given one, or ``stem`` with ``suffix`` in the current folder.

    Raises:
        HeadcastError: the given name has another suffix.
    """
    out = given or Path(stem + suffix)
    if out.suffix.lower() != suffix:
        raise HeadcastError(f"{out}: the output's name must end in {suffix}")
    return free_path(out)


def free_path(out: Path) -> Path:
    """Return where to write: ``out``, or with a number where an earlier output is there, which is then said.

    An earlier output is a file, or a folder with a ``run.json``. ``--overwrite`` replaces it.
    """
    if style.overwrite or not (out.is_file() or (out / "run.json").is_file()):
        return out
    other = numbered(out)
    print_note(f"{out}: exists; written to {other} instead (--overwrite replaces it)")
    return other


def report(out: Path, seed: int, start: float, as_json: bool, notes: Sequence[str] = ()) -> None:
    """Write run.json and print where the result is; notes go to stderr."""
    record = write_record(out, seed, time.perf_counter() - start, tuple(notes))
    if as_json:
        print_result(json.dumps(record, indent=1))
        return
    for note in notes:
        print_note(note)
    print_result(str(out))


def escape_controls(text: str) -> str:
    """Replace control characters by escapes such as ``\\x1b``."""
    return CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def print_result(text: str, *, styled: bool = False) -> None:
    """Print a command's result on standard output.

    Args:
        styled: it holds colours for a terminal, and what comes from files is escaped already.

    Raises:
        HeadcastError: standard output takes no more, the disk behind it is full for example.
        BrokenPipeError: nobody reads any more.
    """
    if sys.stdout is None:
        return
    if not styled:
        text = "\n".join(escape_controls(line) for line in text.split("\n"))
    with checked_stdout():
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


@contextlib.contextmanager
def checked_stdout() -> Iterator[None]:
    """Turn a failure to write to standard output into an error of the user, except a reader's departure.

    Raises:
        HeadcastError: standard output takes no more.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as e:
        raise HeadcastError(
            f"standard output: cannot be written ({e.strerror}); send it to another place"
        ) from e


def print_note(text: str) -> None:
    """Print one line on standard error; nothing with ``--quiet``, or where that is closed or full."""
    if not style.quiet:
        print_error(text)


def print_error(text: str) -> None:
    """Print one line on standard error, also with ``--quiet``; nothing where that is closed or full."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"headcast: {escape_controls(' '.join(text.split()))}\n")
        sys.stderr.flush()
