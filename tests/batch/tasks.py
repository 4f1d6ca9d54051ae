"""Stand-ins for the work on an item: what a photo holds says what becomes of it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from headcast.batch.items import BatchSettings
from headcast.batch.work import Outcome

__all__ = ["PNG", "task", "task_bytes"]

PNG = b"\x89PNG\r\n\x1a\n"


def task(files: tuple[Path, ...], settings: BatchSettings, out: Path) -> Outcome:
    """Obey the words after the PNG signature: die, refuse, break, sleep N; else write the avatar."""
    start = time.perf_counter()
    words = files[0].read_bytes()[len(PNG) :].decode().split()
    with (out.parent / "calls.txt").open("a") as f:
        f.write(f"{files[0].name}\n")
    if words[0] == "die":
        os.kill(os.getpid(), getattr(signal, words[1]))
    if words[0] == "refuse":
        return Outcome("refused", 0.1, error=f"{files[0]}: no face found")
    if words[0] == "break":
        return Outcome("failed", 0.1, error="ValueError: broken")
    if words[0] == "sleep":
        time.sleep(float(words[1]))
    out.write_bytes(b"an avatar of " + files[0].read_bytes())
    return Outcome("done", time.perf_counter() - start, ("the face is small",))


def task_bytes(files: tuple[tuple[str, bytes], ...], settings: BatchSettings) -> tuple[Outcome, bytes | None]:
    """Sleep, then return an avatar that says which node's process made it."""
    time.sleep(1.0)
    return Outcome("done", 1.0), b"an avatar of " + files[0][1]
