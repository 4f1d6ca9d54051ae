"""``headcast doctor``: what works here, what is missing and how to get it, which model files are at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from headcast.cli.commands import Doctor
from headcast.cli.progress import Bar
from headcast.doctor.machine import Check, base_checks, extra_checks
from headcast.doctor.modelfiles import Found, find, identify, usual_places
from headcast.errors import HeadcastError
from headcast.files import cache_folder

__all__ = ["doctor", "run_doctor"]


def run_doctor(command: Doctor) -> None:
    """Run ``headcast doctor``."""
    doctor(command.places, command.convert, command.json)


def doctor(places: Sequence[Path], convert: bool, as_json: bool) -> None:
    """Reports, and with ``convert`` builds the heads found so that ``create`` starts at once.

    Raises:
        HeadcastError: the base does not work; a place does not exist.
    """
    base, extras = base_checks(), extra_checks()
    found = [identify(p) for p in find([*places] or usual_places(), 6 if places else 1)]
    if not places:
        found = [f for f in found if f.name]
    if convert:
        found = [converted(f) for f in found]
    if as_json:
        files = [{**asdict(f), "path": str(f.path)} for f in found]
        print(json.dumps({"base": [asdict(c) for c in base], "extras": [asdict(c) for c in extras],
                          "files": files, "cache": str(cache_folder())}, indent=1))  # fmt: skip
    else:
        show(base, extras, found, bool(places))
    broken = [c for c in base if not c.ok]
    if broken:
        raise HeadcastError(f"doctor: {broken[0].name}: {broken[0].found}; {broken[0].remedy}")


def converted(found: Found) -> Found:
    """A head file, built and kept."""
    from dataclasses import replace

    from headcast.head.foreign.known import foreign_head

    if not found.kind:
        return found
    try:
        with Bar() as bar:
            head = foreign_head(found.kind, found.path, bar)
        return replace(found, use=f"{found.use} (built: {head.hash})")
    except HeadcastError as e:
        return replace(found, problem=str(e))


def show(base: Sequence[Check], extras: Sequence[Check], found: Sequence[Found], asked: bool) -> None:
    """One table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False, pad_edge=False, expand=False)
    for title in ("", "what", "found", "to do"):
        table.add_column(title, overflow="fold")

    def line(mark: str, style: str, *words: str) -> None:
        table.add_row(Text(mark, style=style), *(Text(w) for w in words))

    for c in base:
        line("ok" if c.ok else "!!", "green" if c.ok else "bold red", c.name, c.found, c.remedy)
    table.add_section()
    for c in extras:
        line("ok" if c.ok else "--", "green" if c.ok else "yellow", f"extra {c.name}", c.found, c.remedy)
    table.add_section()
    for f in found:
        good = bool(f.name) and not f.problem
        name = f.name or ("damaged or hostile" if f.problem else "not known")
        words = f.problem or f"{f.licence}{f'; hash {f.hash}' if f.hash else ''}"
        line("ok" if good else "--", "green" if good else "yellow", name, f"{short(f.path)}: {words}", f.use)
    if not found:
        line("--", "yellow", "model files", "none found" if asked else "none in the usual places",
             "headcast doctor FILE|FOLDER ... looks elsewhere")  # fmt: skip
    Console(soft_wrap=False, highlight=False).print(table)


def short(path: Path) -> str:
    """Relative to the current folder where that is shorter."""
    try:
        return min(str(path), os.path.relpath(path), key=len)
    except ValueError:
        return str(path)
