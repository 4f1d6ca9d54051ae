"""What commands cost: wall time and peak memory of their processes, time of tracking a frame."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated

from headcast.errors import HeadcastError
from headcast.evaluate.data import photos_in, stamp_of
from headcast.evaluate.report import Report, Row
from headcast.evaluate.setting import Setting, option_facts
from headcast.evaluate.store import Measured, Store
from headcast.evaluate.subjects import find_subjects
from headcast.limits import POSITIVE
from headcast.methods.base import MethodOptions, get_method
from headcast.metrics.figure import Figure

__all__ = ["Cost", "Options", "measure", "megabytes", "process_cost", "tracking_milliseconds", "tree"]

EVERY = 0.1  # seconds between two looks at the memory
TRACKING = "tracking"
TIME = "wall clock of the whole process"
MEMORY = "peak of all its processes together, shared pages once (Linux)"
FIRST = "the first time on a machine: no kernel compiled yet"


def _figure(key: str, title: str, unit: str, note: str) -> Figure:
    """Describe a cost: no image is compared."""
    return Figure(
        key=key, title=title, unit=unit, better="low", crop="none", mask="none", span="none", note=note
    )


FIGURES = (
    _figure("seconds", "create, warm", "s", f"{TIME}; median of the runs"),
    _figure("megabytes", "create, memory", "MB", MEMORY),
    _figure("first_seconds", "create, first run", "s", f"{TIME}; {FIRST}"),
    _figure("first_megabytes", "create, first run, memory", "MB", MEMORY),
    _figure("tracking_ms", "tracking", "ms a frame", "decoding, landmarks, solving"),
)


@dataclass(frozen=True)
class Options:
    """Options of the protocol ``cost``."""

    runs: Annotated[int, POSITIVE] = 3
    """How often a command is timed, kernels compiled."""
    no_first: bool = False
    """Leaves out the first run on a machine, which compiles all kernels."""
    clip: str = ""
    """A clip of which tracking is timed; empty: none."""


@dataclass(frozen=True)
class Cost:
    """Wall seconds of a command, and the peak megabytes of its processes together."""

    seconds: float
    megabytes: float


def process_cost(arguments: list[str], environment: dict[str, str] | None = None) -> Cost:
    """Run ``headcast ARGUMENTS`` in a process of its own.

    Memory that several of its processes share counts once (Linux: proportional set size, sampled ten times
    a second). Elsewhere it is the largest resident set of any single child of this process so far.
    """
    program = "from headcast.cli.main import entry; entry()"
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
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
    """List a process and everything it started, as far as the system reports."""
    found = [pid]
    for p in found:
        with contextlib.suppress(OSError):
            found += [int(c) for c in Path(f"/proc/{p}/task/{p}/children").read_text().split()]
    return found


def megabytes(pid: int) -> float:
    """Return a process's part of the memory in use; 0 when it is gone or the system does not report it."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def tracking_milliseconds(video: Path) -> float:
    """Time decoding, landmarks and solving per frame of a clip, everything loaded; milliseconds."""
    from headcast.head.model import HeadModel
    from headcast.observe.track import track_clip
    from headcast.video import read_video

    head, clip = HeadModel.load(), read_video(video)
    track_clip(read_video(video, 8), head)
    start = time.perf_counter()
    track_clip(clip, head)
    return (time.perf_counter() - start) / len(clip.frames) * 1000


def measure(setting: Setting) -> Report:
    """Time ``create`` of a photo (``--only``, ``--limit``: of several) by every method; tracking of a clip.

    Raises:
        HeadcastError: no such method or photo; a command that fails on all photos.
    """
    options: Options = setting.options or Options()
    who = find_subjects(setting.subjects, setting.seed, baselines=False)
    photos = photos_in(setting.data)
    store = Store(setting.out, {"protocol": "cost", "cores": os.cpu_count(), **option_facts(options)})
    report = Report(protocol="cost", figures={f.key: f for f in FIGURES}, main=tuple(f.key for f in FIGURES))
    names = setting.chosen(list(photos)) if setting.only or setting.limit else list(photos)[:1]
    for n, name in enumerate(names):
        for k, c in enumerate(who):
            setting.say((n + k / len(who)) / len(names), f"{name}: {c.name}")
            more = [*stamp_of(photos[name]), c.facts]
            try:
                kept = store.once(c.name, name, partial(create_rows, photos[name], c.name, options), more)
                report.add(c.name, name, kept.rows)
            except HeadcastError as e:
                report.skipped[f"{name}, {c.name}"] = str(e)
    if options.clip:
        clip = Path(options.clip)
        setting.say(1.0, f"{clip.stem}: {TRACKING}")
        kept = store.once(TRACKING, clip.stem, partial(tracking_rows, clip), stamp_of(clip))
        report.add(TRACKING, clip.stem, kept.rows)
    report.notes.append("processes of their own, one after the other; other work on the machine counts")
    return report


def create_rows(photo: Path, method: str, options: Options) -> Measured:
    """Time photo to ``.avatar``: kernels compiled (after a run that doesn't count), and the first time."""
    name, _, variant = method.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["create", str(photo), "-o", str(Path(folder) / "me.avatar"), "--method", name]
        arguments += option_flags(get_method(name).variants[variant]) if variant else []
        process_cost(arguments)
        warm = [process_cost(arguments) for _ in range(options.runs)]
        rows: list[Row] = [{"seconds": c.seconds, "megabytes": c.megabytes} for c in warm]
        if not options.no_first:
            c = process_cost(arguments, {"HEADCAST_CACHE": str(Path(folder) / "cache")})
            rows.append({"first_seconds": c.seconds, "first_megabytes": c.megabytes})
    return Measured(rows)


def option_flags(options: MethodOptions) -> list[str]:
    """Return the command-line flags that stand for a method's options; defaults are left out."""
    flags = []
    for f in fields(options):
        value = getattr(options, f.name)
        if value != f.default:
            flag = f"--{f.name.replace('_', '-')}"
            flags += [flag] if value is True else [flag, str(value)]
    return flags


def tracking_rows(clip: Path) -> Measured:
    """Time the tracking of a clip."""
    return Measured([{"tracking_ms": tracking_milliseconds(clip)}])
