"""``headcast create``: common flags and those of the chosen method."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from headcast import api
from headcast.cli.commands import Create
from headcast.cli.output import output_path, report
from headcast.cli.progress import Bar
from headcast.device import pick_device
from headcast.errors import HeadcastError
from headcast.files import check_writable
from headcast.progress import Progress

if TYPE_CHECKING:
    from headcast.head.model import HeadModel

__all__ = ["run_create"]


def run_create(command: Create) -> None:
    """Run ``headcast create``: write an avatar."""
    start = time.perf_counter()
    pick_device(command.device)
    if not command.sources:
        raise HeadcastError("create: give a photo, several photos or a video of one person")
    out = output_path(command.out, command.sources[0].stem, ".avatar")
    check_writable(out)
    options = None if command.options is None else command.options.for_output(out)
    with Bar() as bar:
        avatar = api.create(
            command.sources,
            method=command.method,
            options=options,
            face=command.face,
            same_person=command.same_person,
            head=load_head(command.head, command.flame, command.ict, bar),
            seed=command.seed,
            consent=command.consent,
            progress=bar,
        )
        avatar.save(out)
    report(out, command.seed, start, command.json, avatar.provenance.warnings)


def load_head(name: str, flame: Path | None, ict: Path | None, progress: Progress) -> HeadModel | None:
    """Return the head model that the options name; None: the bundled one."""
    for kind, path in (("flame", flame), ("ict", ict)):
        if name == kind and path is None:
            raise HeadcastError(
                f"--head {kind}: give its file with --{kind} PATH (see docs/foreign_heads.md)"
            )
        if name != kind and path is not None:
            raise HeadcastError(f"--{kind} {path}: only with --head {kind}")
    if name == "headcast":
        return None
    from headcast.head.foreign.known import foreign_head

    return foreign_head(name, flame or ict or Path(), progress)
