"""``headcast batch``: the avatars of a folder, with a line for every one that ends."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, fields

from headcast.batch.items import BatchSettings, Item
from headcast.batch.run import Plan, run_batch
from headcast.batch.work import Outcome
from headcast.cli.commands import Batch
from headcast.cli.output import print_note, print_result
from headcast.cli.progress import Bar
from headcast.cli.record import write_record
from headcast.errors import HeadcastError
from headcast.methods.base import get_method, make_options
from headcast.parsing import check_text
from headcast.registry import DEFAULT_METHOD

__all__ = ["run_batch_command"]


def run_batch_command(command: Batch) -> None:
    """Run ``headcast batch``: write a folder of avatars and a manifest.

    Raises:
        HeadcastError: no usable input, an unknown option; at the end, where items failed (not refused ones).
    """
    start = time.perf_counter()
    check_text(command.consent, "consent")
    if command.ray is not None and command.workers is not None:
        raise HeadcastError("batch: give --workers for this machine or --ray for a cluster, not both")
    if command.enhance and command.method != DEFAULT_METHOD:
        raise HeadcastError(f"batch --method {command.method}: takes no --enhance")
    method = get_method(command.method)
    method.check(make_options(method, command.options))
    options = {f.name: getattr(command.options, f.name) for f in fields(command.options)}
    settings = BatchSettings(
        method=command.method,
        options=options,
        seed=command.seed,
        consent=command.consent,
        enhance=command.enhance,
    )
    plan = Plan(workers=command.workers, ray=command.ray, timeout=command.timeout, retry=command.retry)
    with Bar() as bar:
        say = None if command.json else note_of
        summary = run_batch(command.folder, command.out, settings, plan, bar, say)
    counts = asdict(summary)
    record = write_record(command.out, command.seed, time.perf_counter() - start, (), **counts)
    print_result(json.dumps(record, indent=1) if command.json else str(command.out / "manifest.csv"))
    words = ", ".join(f"{counts[k]} {k}" for k in ("done", "kept", "refused", "failed"))
    if not command.json:
        print_note(words)
    if summary.failed:
        raise HeadcastError(
            f"{command.out / 'manifest.csv'}: {summary.failed} items failed; run it again to retry them"
        )


def note_of(item: Item, outcome: Outcome) -> None:
    """Print one line on an item that ended."""
    end = f"in {outcome.seconds:.1f} s" if outcome.status == "done" else f"({outcome.error})"
    print_note(f"{item.name}: {outcome.status} {end}")
