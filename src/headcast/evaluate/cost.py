"""What a command costs: wall time and peak memory of its processes."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from headcast.errors import HeadcastError

__all__ = ["Cost", "create_cost", "megabytes", "process_cost", "tracking_milliseconds", "tree"]


EVERY = 0.1  # seconds between two looks at the memory


@dataclass(frozen=True)
class Cost:
    """Wall seconds of a command, and the peak megabytes of its processes together."""

    seconds: float
    megabytes: float


def process_cost(arguments: list[str], environment: dict[str, str] | None = None) -> Cost:
    """Runs ``headcast ARGUMENTS`` in a process of its own.

    Memory that several of its processes share counts once (Linux: proportional set size, looked at ten times
    a second). Elsewhere it is the largest resident set of any single child of this process so far.
    """
    program = "from headcast.cli.main import entry; entry()"
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments], env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, sum(megabytes(p) for p in tree(process.pid)))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(EVERY)
        seconds = time.perf_counter() - start
        said.seek(0)
        words = said.read().decode(errors="replace").strip()
    if process.returncode:
        raise HeadcastError(f"headcast {' '.join(arguments)}: exit {process.returncode}: {words[-300:]}")
    if not peak:
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Cost(seconds, peak)


def tree(pid: int) -> list[int]:
    """A process and everything it started, as far as the system tells."""
    found = [pid]
    for p in found:
        with contextlib.suppress(OSError):
            found += [int(c) for c in Path(f"/proc/{p}/task/{p}/children").read_text().split()]
    return found


def megabytes(pid: int) -> float:
    """A process's share of the memory in use; 0 when it is gone or the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def create_cost(photo: Path, representation: str, runs: int = 3) -> tuple[Cost, Cost]:
    """Photo to ``.avatar``: with compiled kernels at hand (the median run), and the very first time."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "me.avatar")
        arguments = ["create", str(photo), "-o", out, "--representation", representation]
        process_cost(arguments)
        warm = sorted((process_cost(arguments) for _ in range(runs)), key=lambda c: c.seconds)[runs // 2]
        first = process_cost(arguments, {"NUMBA_CACHE_DIR": str(Path(folder) / "kernels")})
    return warm, first


def tracking_milliseconds(video: Path) -> float:
    """Decoding, landmarks and solving per frame of a clip, everything loaded."""
    from headcast.head.model import HeadModel
    from headcast.observe.track import track_clip
    from headcast.video import read_video

    head, clip = HeadModel.load(), read_video(video)
    track_clip(read_video(video, 8), head)
    start = time.perf_counter()
    track_clip(clip, head)
    return (time.perf_counter() - start) / len(clip.frames) * 1000
