"""``headcast create``: common flags and those of the chosen method."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from headcast import api
from headcast.cli.commands import Create, Refine
from headcast.cli.output import output_path, report
from headcast.cli.progress import Bar
from headcast.device import pick_device
from headcast.errors import HeadcastError
from headcast.files import check_writable
from headcast.progress import Progress, subrange
from headcast.registry import DEFAULT_METHOD

if TYPE_CHECKING:
    from headcast.head.model import HeadModel

__all__ = ["run_create", "run_refine"]

CREATE_END = 0.15  # fraction of the time of ``create --enhance`` until there is an avatar to enhance
SMALL_FACE = "the face is small"
"""Words of the warning (``observe.report``) after which enhancing is suggested."""


def run_create(command: Create) -> None:
    """Run ``headcast create``: write an avatar."""
    start = time.perf_counter()
    pick_device(command.device)
    if not command.sources:
        raise HeadcastError("create: give a photo, several photos or a video of one person")
    out = output_path(command.out, command.sources[0].stem, ".avatar")
    check_writable(out)
    options = None if command.options is None else command.options.for_output(out)
    if command.enhance and command.method != DEFAULT_METHOD:
        raise HeadcastError(
            f"create --method {command.method}: takes no --enhance; run headcast enhance after"
        )
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
            progress=subrange(bar, 0.0, CREATE_END) if command.enhance else bar,
        )
        if command.enhance:
            avatar = api.enhance(avatar, seed=command.seed, progress=subrange(bar, CREATE_END, 1.0))
        avatar.save(out)
    notes = avatar.provenance.warnings
    if not command.enhance and any(SMALL_FACE in note for note in notes):
        notes = (*notes, f"headcast enhance {out} super-resolves it; so does create --enhance")
    report(out, command.seed, start, command.json, notes)


def run_refine(command: Refine) -> None:
    """Run ``headcast refine``: write the avatar improved by further photos or a video."""
    start = time.perf_counter()
    pick_device(command.device)
    if not command.sources:
        raise HeadcastError("refine: give further photos or a video of the avatar's person")
    out = output_path(command.out, f"{command.avatar.stem}_refined", ".avatar")
    check_writable(out)
    avatar = api.load(command.avatar)
    with Bar() as bar:
        refined = api.refine(avatar, command.sources, face=command.face, progress=bar)
        refined.save(out)
    report(out, refined.provenance.seed, start, command.json, refined.provenance.warnings)


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
