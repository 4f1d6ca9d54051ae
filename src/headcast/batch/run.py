"""Run a batch: find what is missing, have it made, keep the manifest."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from headcast.batch.cluster import run_cluster
from headcast.batch.items import BatchSettings, Item, find_items
from headcast.batch.manifest import Manifest
from headcast.batch.pool import Result, Task, pool_size, run_pool
from headcast.batch.work import Outcome, make_avatar
from headcast.errors import HeadcastError
from headcast.files import check_writable, remove_leftovers

__all__ = ["Plan", "Summary", "run_batch"]

Report = Callable[[float, str], None]


@dataclass(frozen=True)
class Plan:
    """How a batch runs.

    Attributes:
        workers: number of processes; None: as processors and memory allow.
        ray: address of a Ray cluster, or ``auto``; None: processes of this machine.
        timeout: seconds that one item may take on this machine; None: any.
        retry: try those again that were refused in an earlier run.
    """

    workers: int | None = None
    ray: str | None = None
    timeout: float | None = None
    retry: bool = False


@dataclass(frozen=True)
class Summary:
    """Numbers of items: made now, made in an earlier run, refused, failed; and of workers."""

    done: int
    kept: int
    refused: int
    failed: int
    workers: int


def run_batch(
    folder: str | Path,
    out: str | Path,
    settings: BatchSettings,
    plan: Plan,
    progress: Report | None = None,
    ended: Callable[[Item, Outcome], None] | None = None,
    task: Task = make_avatar,
) -> Summary:
    """Make the avatars of a folder that do not exist yet.

    Args:
        progress: called with the fraction done and the time left in words.
        ended: called with every item that was worked on and what became of it.
        task: what this machine's processes do with an item.

    Raises:
        HeadcastError: no such folder, nothing in it, the output cannot be written, no cluster.
    """
    folder, out = Path(folder), Path(out)
    items = find_items(folder, settings)
    if out.exists() and not out.is_dir():
        raise HeadcastError(f"{out}: is a file; name a folder for the avatars")
    check_writable(out / "manifest.jsonl")
    out.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out.absolute())
    manifest = Manifest(out)
    todo, twins = split_items(items, manifest, out, plan.retry)
    workers = pool_size(plan.workers, len(todo)) if plan.ray is None else 0
    counts: dict[str, int] = {"done": 0, "refused": 0, "failed": 0}
    start = time.monotonic()
    try:
        with closing(_results(todo, settings, out, workers, plan, task)) as results:
            for number, (item, outcome) in enumerate(results, 1):
                counts[outcome.status] += 1
                for each in (item, *twins.get(item.key, ())):
                    manifest.add(manifest_entry(each, outcome, item.output))
                if ended is not None:
                    ended(item, outcome)
                if progress is not None:
                    left = (time.monotonic() - start) / number * (len(todo) - number)
                    progress(number / len(todo), f"{number} of {len(todo)}, {format_seconds(left)} left")
    finally:
        manifest.close()
    kept = len({i.key for i in items}) - len(todo)
    return Summary(kept=kept, workers=workers, **counts)


def _results(
    todo: Sequence[Item], settings: BatchSettings, out: Path, workers: int, plan: Plan, task: Task
) -> Generator[Result, None, None]:
    if not todo:
        return
    if plan.ray is not None:
        yield from run_cluster(todo, settings, out, plan.ray)
    else:
        yield from run_pool(todo, settings, out, workers, plan.timeout, task)


def split_items(
    items: Sequence[Item], manifest: Manifest, out: Path, retry: bool
) -> tuple[list[Item], dict[str, list[Item]]]:
    """Return the items to be made, one a key, and the others of the same content by key.

    What an earlier run made or refused is entered into the manifest for the names that it has now.
    """
    todo: dict[str, Item] = {}
    twins: dict[str, list[Item]] = {}
    for item in items:
        if item.key in todo:
            twins.setdefault(item.key, []).append(item)
            continue
        known = manifest.by_key(item.key)
        finished = known is not None and known["status"] == "done" and (out / known["output"]).is_file()
        refused = known is not None and known["status"] == "refused" and not retry
        if known is not None and (finished or refused):
            if manifest.entries.get(item.name) != {**known, "source": item.name}:
                manifest.add({**known, "source": item.name})
        else:
            todo[item.key] = item
    return list(todo.values()), twins


def manifest_entry(item: Item, outcome: Outcome, output: str) -> dict[str, object]:
    """Return an item's line of the manifest."""
    return {
        "source": item.name,
        "status": outcome.status,
        "output": output if outcome.status == "done" else "",
        "seconds": round(outcome.seconds, 2),
        "warnings": list(outcome.warnings),
        "error": outcome.error,
        "key": item.key,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def format_seconds(seconds: float) -> str:
    """Return a duration in words: ``40 s``, ``7 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
