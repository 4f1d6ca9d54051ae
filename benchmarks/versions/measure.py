"""What a process costs: processor seconds of it and its children, wall time, peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["CommandFailed", "Cost", "run"]

TOLD_LINES = 3
"""Of a failed command's output that its message repeats."""
BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of ``ru_maxrss``."""


class Cost(NamedTuple):
    """Of one run.

    Attributes:
        cpu: seconds of processor time, all threads and children.
        wall: seconds.
        peak_mb: largest resident set of the process or of one of its children, 2**20 bytes.
    """

    cpu: float
    wall: float
    peak_mb: float


class CommandFailed(Exception):
    """A command that ended with an error; says which, how, and where its output is."""


def run(command: Sequence[str], environ: Mapping[str, str], log: Path, timed_inside: bool = False) -> Cost:
    """Run a command and wait for it; its output goes to ``log``.

    A child starts with this process's peak memory on its account (the kernel copies it at exec), so this
    module and what calls it import nothing large.

    Args:
        timed_inside: the command's last line of output is JSON with the ``cpu`` and ``wall`` that count.

    Raises:
        CommandFailed: another exit code than 0.
    """
    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=dict(environ),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    lines = log.read_text(errors="replace").strip().splitlines()
    if process.returncode:
        told = " / ".join(line.strip() for line in lines[-TOLD_LINES:]) or "no output"
        raise CommandFailed(f"exit code {process.returncode}: {told} (all of it: {log})")
    peak = usage.ru_maxrss * BYTES_PER_UNIT / 2**20
    if timed_inside:
        inner = json.loads(lines[-1])
        return Cost(inner["cpu"], inner["wall"], peak)
    return Cost(usage.ru_utime + usage.ru_stime, wall, peak)
