"""``headcast doctor``: check what works here, what is missing and how to get it, which model files exist."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from headcast.cli.commands import Doctor
from headcast.cli.output import escape_controls, print_result
from headcast.cli.progress import Bar
from headcast.doctor.machine import Check, base_checks, extra_checks
from headcast.doctor.modelfiles import Found, find, identify, usual_places
from headcast.errors import HeadcastError
from headcast.files import cache_folder
from headcast.methods.base import AnyMethod
from headcast.parsing import short_reason

__all__ = ["doctor", "run_doctor"]


def run_doctor(command: Doctor) -> None:
    """Run ``headcast doctor``: print the checks."""
    doctor(command.places, command.convert, command.json)


def doctor(places: Sequence[Path], convert: bool, as_json: bool) -> None:
    """Report, and with ``convert`` build the head models found so that ``create`` starts at once.

    Raises:
        HeadcastError: the base installation is broken; a path does not exist.
    """
    base, extras, methods = base_checks(), extra_checks(), method_checks()
    found = [identify(p) for p in find([*places] or usual_places(), 6 if places else 1)]
    if not places:
        found = [f for f in found if f.name]
    if convert:
        found = [build_head(f) for f in found]
    if as_json:
        files = [{**asdict(f), "path": str(f.path)} for f in found]
        print_result(
            json.dumps(
                {
                    "base": [asdict(c) for c in base],
                    "extras": [asdict(c) for c in extras],
                    "methods": [asdict(c) for c in methods],
                    "files": files,
                    "cache": str(cache_folder()),
                },
                indent=1,
            )
        )
    else:
        print_table(base, extras, methods, found, bool(places))
    broken = [c for c in base if not c.ok]
    if broken:
        raise HeadcastError(f"doctor: {broken[0].name}: {broken[0].found}; {broken[0].remedy}")


def method_checks() -> list[Check]:
    """Check for every registered method whether it can run here, and what it lacks."""
    from headcast.methods.base import (
        animator_names,
        get_animator,
        get_method,
        get_skin_mapper,
        method_names,
        skin_mapper_names,
    )

    all_methods = [
        *(get_method(n) for n in method_names()),
        *(get_animator(n) for n in animator_names()),
        *(get_skin_mapper(n) for n in skin_mapper_names()),
    ]
    return [_method_check(m) for m in all_methods]


def _method_check(method: AnyMethod) -> Check:
    name = f"method {method.name}"
    if method.available():
        return Check(name, True, method.description)
    try:
        method.check(method.Options())
    except HeadcastError as e:
        return Check(name, False, method.description, str(e))
    return Check(name, False, method.description, "see its documentation")


def build_head(found: Found) -> Found:
    """Build the head model of a file into the cache; a failure becomes its ``problem``."""
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
    except Exception as e:  # one file must not end the search
        return replace(found, problem=f"cannot be built ({short_reason(e)})")


def print_table(
    base: Sequence[Check],
    extras: Sequence[Check],
    methods: Sequence[Check],
    found: Sequence[Found],
    has_places: bool,
) -> None:
    """Print all checks and files as one table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False, pad_edge=False, expand=False)
    for title in ("", "what", "found", "to do"):
        table.add_column(title, overflow="fold")

    def add_row(mark: str, style: str, *details: str) -> None:
        table.add_row(Text(mark, style=style), *(Text(escape_controls(w)) for w in details))

    for c in base:
        add_row("ok" if c.ok else "!!", "green" if c.ok else "bold red", c.name, c.found, c.remedy)
    table.add_section()
    for c in extras:
        add_row("ok" if c.ok else "--", "green" if c.ok else "yellow", f"extra {c.name}", c.found, c.remedy)
    table.add_section()
    for c in methods:
        add_row("ok" if c.ok else "--", "green" if c.ok else "yellow", c.name, c.found, c.remedy)
    table.add_section()
    for f in found:
        is_usable = bool(f.name) and not f.problem
        name = f.name or ("damaged or unsafe" if f.problem else "unknown")
        details = f.problem or f"{f.licence}{f'; hash {f.hash}' if f.hash else ''}"
        add_row(
            "ok" if is_usable else "--",
            "green" if is_usable else "yellow",
            name,
            f"{shorten_path(f.path)}: {details}",
            f.use,
        )
    if not found:
        add_row(
            "--",
            "yellow",
            "model files",
            "none found" if has_places else "none in the standard search paths",
            "headcast doctor FILE|FOLDER ... searches elsewhere",
        )
    console = Console(soft_wrap=False, highlight=False)
    with console.capture() as printed:
        console.print(table)
    print_result(printed.get().rstrip("\n"), styled=True)


def shorten_path(path: Path) -> str:
    """Return the path relative to the current folder if that is shorter."""
    try:
        return min(str(path), os.path.relpath(path), key=len)
    except ValueError:
        return str(path)
