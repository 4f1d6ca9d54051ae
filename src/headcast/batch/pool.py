"""A pool of processes that outlives its members: one that dies costs its item, never the batch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from headcast.batch.items import BatchSettings, Item
from headcast.batch.work import Outcome, make_avatar

__all__ = ["Result", "Task", "pool_size", "run_pool"]

WORKER_BYTES = 2 << 30
"""Memory that one worker may need: 1.4 GB were measured with photos of 512 pixels."""
TRIES = 2
"""How often an item is tried whose process dies."""
POLL_S = 0.5
THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Result = tuple[Item, Outcome]
Task = Callable[[tuple[Path, ...], BatchSettings, Path], Outcome]


@dataclass
class Member:
    """A worker process and what it is working on."""

    process: SpawnProcess
    connection: Connection
    item: Item | None = None
    started: float = 0.0


def pool_size(wanted: int | None, items: int) -> int:
    """Return the number of workers: as wanted, else as many as processors and free memory allow."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fitting = min(cores, max(1, free_memory() // WORKER_BYTES))
    return max(1, min(wanted or fitting, items))


def free_memory() -> int:
    """Return the bytes of memory that are free for new processes; where that is unknown, plenty."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(x.split()[1]) << 10 for x in lines if x.startswith("MemAvailable"))
    return 1 << 40


def run_pool(
    items: Sequence[Item],
    settings: BatchSettings,
    out: Path,
    workers: int,
    timeout: float | None = None,
    task: Task = make_avatar,
) -> Generator[Result, None, None]:
    """Yield every item with its outcome as it ends, in any order.

    Args:
        out: the output folder. workers: number of processes. timeout: seconds that one item may take.
        task: what is done with an item: its files, the settings, the path of the avatar.
    """
    queue = deque((item, 1) for item in items)
    tries = {item.name: 1 for item in items}
    members: list[Member] = []
    try:
        with thread_share(workers):
            while queue or any(m.item for m in members):
                while queue and len(members) < workers:
                    members.append(start_member(settings, out, task))
                for member in members:
                    if member.item is None and queue:
                        give(member, *queue.popleft(), tries)
                wait([x for m in members for x in (m.connection, m.process.sentinel)], POLL_S)
                for member in list(members):
                    found = look_after(member, timeout)
                    if not member.process.is_alive():
                        members.remove(member)
                    if found is None:
                        continue
                    item, outcome = found
                    if outcome.died and tries[item.name] < TRIES:
                        queue.append((item, tries[item.name] + 1))
                        continue
                    yield item, outcome
    finally:
        for member in members:
            member.process.kill()
            member.process.join()


@contextmanager
def thread_share(workers: int) -> Iterator[None]:
    """While open, processes that start use their share of the processors, where nothing else is stated."""
    share = str(max(1, (os.cpu_count() or 1) // workers))
    added = [name for name in THREAD_VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(added, share))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def start_member(settings: BatchSettings, out: Path, task: Task) -> Member:
    """Start a worker process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, settings, out, task), daemon=True)
    process.start()
    theirs.close()
    return Member(process, ours)


def give(member: Member, item: Item, attempt: int, tries: dict[str, int]) -> None:
    """Hand an item to an idle worker; a worker that is dead already is noticed by ``look_after``."""
    member.item, member.started = item, time.monotonic()
    tries[item.name] = attempt
    with suppress(OSError):
        member.connection.send(item)


def look_after(member: Member, timeout: float | None) -> Result | None:
    """Return an item that ended in this worker: its outcome, or that the process died or took too long."""
    item = member.item
    if item is None:
        return None
    with suppress(EOFError, OSError):
        if member.connection.poll():
            outcome = member.connection.recv()
            member.item = None
            return item, outcome
    seconds = time.monotonic() - member.started
    if timeout is not None and seconds > timeout:
        member.process.kill()
        member.process.join()
        member.item = None
        error = f"took more than {timeout:g} s; give a longer --timeout"
        return item, Outcome(status="failed", seconds=seconds, error=error)
    if member.process.is_alive():
        return None
    member.process.join()
    member.item = None
    code = member.process.exitcode or 0
    cause = f"signal {-code}" if code < 0 else f"exit code {code}"
    lack = "; the system may have lacked memory: give fewer --workers" if code == -signal.SIGKILL else ""
    return item, Outcome(
        status="failed", seconds=seconds, error=f"its process ended with {cause}{lack}", died=True
    )


def work(connection: Connection, settings: BatchSettings, out: Path, task: Task) -> None:
    """Run as a worker process: items in, outcomes out, until the other end closes."""
    with suppress(ValueError, OSError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its workers
    threading.Thread(target=exit_with_parent, daemon=True).start()
    while True:
        try:
            item: Item = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(task(item.files, settings, out / item.output))


def exit_with_parent() -> None:
    """Wait until the process that started this one has ended, however it did; end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
