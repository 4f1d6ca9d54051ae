"""``headcast enhance`` and ``headcast degrade``: super-resolve an avatar, and make an input for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headcast import api
from headcast.cli.commands import Degrade, Enhance
from headcast.cli.output import output_path, report
from headcast.cli.progress import Bar
from headcast.device import pick_device
from headcast.errors import HeadcastError
from headcast.files import check_writable
from headcast.progress import Progress, subrange

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar

__all__ = ["run_degrade", "run_enhance"]

LOAD_END = 0.1  # fraction of the time that reading another program's avatar takes


def run_enhance(command: Enhance) -> None:
    """Run ``headcast enhance``: write the super-resolved avatar; an unfinished run is resumed."""
    start = time.perf_counter()
    pick_device(command.device)
    out = output_path(command.out, f"{command.source.stem}_enhanced", ".avatar")
    check_writable(out)
    options: Any = command.options.for_output(out)
    with Bar() as bar:
        avatar, notes = load_source(command, subrange(bar, 0.0, LOAD_END) or bar)
        enhanced = api.enhance(
            avatar, options=options, seed=command.seed, progress=subrange(bar, LOAD_END, 1.0)
        )
        enhanced.save(out)
    if options.resume_file is not None:
        options.resume_file.unlink(missing_ok=True)
    report(out, command.seed, start, command.json, (*notes, *enhanced.provenance.warnings))


def load_source(command: Enhance, progress: Progress) -> tuple[Avatar, tuple[str, ...]]:
    """Open an avatar, or import another program's; return notes, too.

    Raises:
        HeadcastError: a file is missing, or of another kind.
    """
    is_ply = command.source.suffix.lower() == ".ply"
    if not is_ply:
        for flag, given in (("--flame-params", command.flame_params), ("--flame", command.flame)):
            if given is not None:
                raise HeadcastError(f"{flag} {given}: only for a .ply of GaussianAvatars; leave it out")
        return api.load(command.source), ()
    return api.import_gaussian_avatars(command.source, command.flame_params, command.flame, progress=progress)


def run_degrade(command: Degrade) -> None:
    """Run ``headcast degrade``: write the blurred avatar."""
    start = time.perf_counter()
    out = output_path(command.out, f"{command.avatar.stem}_degraded", ".avatar")
    check_writable(out)
    api.degrade(api.load(command.avatar), command.factor).save(Path(out))
    report(out, 0, start, command.json)
