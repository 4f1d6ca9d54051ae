"""The same work on a Ray cluster: photos travel to it and avatars back as objects."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from headcast.batch.items import BatchSettings, Item
from headcast.batch.pool import WORKER_BYTES, Result
from headcast.batch.work import Outcome, make_avatar_from_bytes
from headcast.errors import HeadcastError
from headcast.files import atomic_path
from headcast.parsing import short_reason

__all__ = ["run_cluster"]

BytesTask = Callable[[tuple[tuple[str, bytes], ...], BatchSettings], tuple[Outcome, bytes | None]]
AHEAD = 4
"""Tasks in flight for each processor of the cluster: their photos occupy its memory."""
MAX_RETRIES = 5
"""How often Ray tries a task again whose node or process dies."""
POLL_S = 1.0


def import_ray() -> Any:
    """Import Ray.

    Raises:
        HeadcastError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise HeadcastError("--ray: install the extra 'cluster': pip install 'headcast[cluster]'") from None
    return ray


def run_cluster(
    items: Sequence[Item],
    settings: BatchSettings,
    out: Path,
    address: str,
    task: BytesTask = make_avatar_from_bytes,
) -> Generator[Result, None, None]:
    """Yield every item with its outcome as it ends, in any order; avatars are written here.

    Args:
        out: the output folder, on this machine. address: of the cluster, or ``auto``.
        task: what a worker does with the photos of an item, as bytes.

    Raises:
        HeadcastError: Ray is not installed, or no cluster answers.
    """
    ray = import_ray()
    started_here = not ray.is_initialized()
    if started_here:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError) as e:
            raise HeadcastError(
                f"--ray {address}: no cluster answers ({short_reason(e)}); start one: ray start --head"
            ) from e
    try:
        yield from _run(ray, items, settings, out, task)
    finally:
        if started_here:
            ray.shutdown()


def _run(
    ray: Any, items: Sequence[Item], settings: BatchSettings, out: Path, task: BytesTask
) -> Generator[Result, None, None]:
    remote = ray.remote(num_cpus=1, memory=WORKER_BYTES, max_retries=MAX_RETRIES, retry_exceptions=False)(
        task
    )
    stated = ray.put(settings)
    waiting, running = list(reversed(items)), {}
    while waiting or running:
        limit = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        while waiting and len(running) < limit:
            item = waiting.pop()
            try:
                files = tuple((p.suffix.lower(), p.read_bytes()) for p in item.files)
            except OSError as e:
                yield item, Outcome("refused", error=f"{item.name}: cannot be read ({e.strerror})")
                continue
            running[remote.remote(ray.put(files), stated)] = item
        ready, _ = ray.wait(list(running), num_returns=1, timeout=POLL_S)
        for reference in ready:
            item = running.pop(reference)
            yield item, _take(ray, reference, out / item.output)


def _take(ray: Any, reference: Any, path: Path) -> Outcome:
    try:
        outcome, data = ray.get(reference)
    except ray.exceptions.RayError as e:
        return Outcome("failed", error=f"the cluster lost it {MAX_RETRIES + 1} times ({short_reason(e)})")
    if data is not None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    return outcome
