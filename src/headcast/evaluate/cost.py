"""What a command costs: wall time and peak memory of whole processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from headcast.errors import HeadcastError

__all__ = ["Cost", "create_cost", "process_cost", "tracking_milliseconds"]


@dataclass(frozen=True)
class Cost:
    """Wall seconds and peak resident megabytes of one process."""

    seconds: float
    megabytes: float


def process_cost(arguments: list[str], environment: dict[str, str] | None = None) -> Cost:
    """Runs ``headcast ARGUMENTS`` in a process of its own.

    The peak is that of this process's largest child so far, so measure the small before the large.
    """
    program = "import sys; from headcast.cli.main import main; sys.exit(main(sys.argv[1:]))"
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env={**os.environ, **(environment or {})},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    if done.returncode:
        raise HeadcastError(
            f"headcast {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()[-300:]}"
        )
    return Cost(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)


def create_cost(photo: Path, runs: int = 3) -> tuple[Cost, Cost]:
    """Photo to ``.avatar``: with compiled kernels at hand (the median run), and the very first time."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["create", str(photo), "-o", str(Path(folder) / "me.avatar")]
        process_cost(arguments)
        warm = sorted((process_cost(arguments) for _ in range(runs)), key=lambda c: c.seconds)[runs // 2]
        first = process_cost(arguments, {"NUMBA_CACHE_DIR": str(Path(folder) / "kernels")})
    return warm, first


def tracking_milliseconds(video: Path) -> float:
    """Landmarks and solving per frame of a clip, everything loaded."""
    from headcast.head.model import HeadModel
    from headcast.observe.track import track_clip
    from headcast.video import read_video

    head, clip = HeadModel.load(), read_video(video)
    track_clip(read_video(video, 8), head)
    start = time.perf_counter()
    track_clip(clip, head)
    return (time.perf_counter() - start) / len(clip.frames) * 1000
