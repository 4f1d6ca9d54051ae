"""The work on one item, the same on a pool of processes and on a cluster."""

from __future__ import annotations

import functools
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headcast.errors import HeadcastError
from headcast.parsing import short_reason

if TYPE_CHECKING:
    from headcast.batch.items import BatchSettings
    from headcast.head.model import HeadModel

__all__ = ["Outcome", "make_avatar", "make_avatar_from_bytes"]


@dataclass(frozen=True)
class Outcome:
    """What became of an item.

    Attributes:
        status: ``done``; ``refused``: the input cannot be used, the same again would be refused again;
            ``failed``: a bug, a lack of memory, a killed process: worth another try.
        seconds: wall time of the work. died: its process ended, for whatever reason.
        warnings: what limits the avatar. error: one line; empty where it is done. details: a traceback.
    """

    status: str
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    error: str = ""
    details: str = ""
    died: bool = False


@functools.cache
def head_of_process() -> HeadModel:
    """Return the bundled head model, loaded once a process."""
    from headcast.head.model import HeadModel

    return HeadModel.load()


def make_avatar(files: tuple[Path, ...], settings: BatchSettings, out: Path) -> Outcome:
    """Create the avatar of one item and write it, atomically; never raise but for interrupts."""
    from headcast import api
    from headcast.methods.base import get_method, make_options

    start = time.perf_counter()
    try:
        avatar = api.create(
            list(files),
            method=settings.method,
            options=make_options(get_method(settings.method), settings.options).for_output(out),
            head=head_of_process(),
            seed=settings.seed,
            consent=settings.consent,
        )
        if settings.enhance:
            avatar = api.enhance(avatar, seed=settings.seed)
        avatar.save(out)
    except HeadcastError as e:
        return Outcome(status="refused", seconds=time.perf_counter() - start, error=str(e))
    except Exception as e:  # a bug in one item must not end the others
        error = f"{type(e).__name__}: {short_reason(e)}"
        return Outcome(
            status="failed", seconds=time.perf_counter() - start, error=error, details=traceback.format_exc()
        )
    return Outcome(status="done", seconds=time.perf_counter() - start, warnings=avatar.provenance.warnings)


def make_avatar_from_bytes(
    files: tuple[tuple[str, bytes], ...], settings: BatchSettings
) -> tuple[Outcome, bytes | None]:
    """Do the same where the photos arrive as bytes and the avatar leaves as bytes.

    Args:
        files: suffix (``.jpg``) and content of every photo; their names stay at home.
    """
    from headcast.files import private_folder

    with private_folder() as name:
        folder = Path(name)
        paths = []
        for i, (suffix, data) in enumerate(files):
            paths.append(folder / f"{i}{suffix}")
            paths[-1].write_bytes(data)
        outcome = make_avatar(tuple(paths), settings, folder / "out.avatar")
        data = (folder / "out.avatar").read_bytes() if outcome.status == "done" else None
    return outcome, data
