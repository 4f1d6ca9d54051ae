"""``headcast evaluate``: turn options into a setting, run the protocol, report what was skipped."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headcast.cli.commands import Evaluate
from headcast.cli.forms import Form, find_flag, make_form
from headcast.cli.output import report
from headcast.cli.progress import Bar
from headcast.device import pick_device
from headcast.errors import HeadcastError

__all__ = ["evaluate_form", "run_evaluate", "run_protocol"]

REAL_PEOPLE = ("multiview", "smile")
"""Protocols whose metric networks are searched next to the data when no option names them."""


def evaluate_form(arguments: list[str]) -> Form:
    """Return the form of ``headcast evaluate``: common flags, and those of ``--protocol``."""
    from headcast.evaluate.protocols import options_of, protocols

    name = find_flag(arguments, "--protocol")
    own = None if name is None else options_of(name)
    text = f"{Evaluate.__doc__}\n\nProtocols: {', '.join(protocols())}."
    form = make_form(Evaluate, own or NoOptions, "protocol_options", text)

    def build(given: Any) -> Evaluate:
        return replace(given.command, options=given.protocol_options if own else None)

    return Form(form, "headcast evaluate", arguments, build)


@dataclass(frozen=True)
class NoOptions:
    """Options of a protocol that has none of its own."""


def run_evaluate(command: Evaluate) -> None:
    """Run ``headcast evaluate``: write the results of a protocol."""
    start = time.perf_counter()
    folder, notes = run_protocol(command)
    report(folder, command.seed, start, command.json, notes)


def run_protocol(command: Evaluate) -> tuple[Path, tuple[str, ...]]:
    """Run the protocol; return the folder of results and notes for the user.

    Raises:
        HeadcastError: what the user can mend.
    """
    from headcast.evaluate.metric_files import METRIC_FILES, find_metric_files
    from headcast.evaluate.networks import load_evaluation_networks
    from headcast.evaluate.protocols import check_places, evaluate, needs_data
    from headcast.evaluate.setting import Setting

    for name in ("frames", "measured", "sources"):
        if getattr(command, name) < 1:
            raise HeadcastError(f"--{name} {getattr(command, name)}: give at least 1")
    pairs = parse_pairs(command.pairs)
    out = command.out or Path("evaluation")
    if command.data is None and needs_data(command.protocol):
        raise HeadcastError(f"--protocol {command.protocol}: give --data, see docs/evaluate.md")
    data = command.data or Path()
    check_places(data, out)
    device = pick_device(command.device)
    with Bar() as bar:
        given = {name: getattr(command, name) for name in METRIC_FILES}
        metric_files = find_metric_files(data, given) if command.protocol in REAL_PEOPLE else given
        networks = load_evaluation_networks(
            device,
            lpips_heads=command.lpips_heads,
            arcface=command.arcface,
            inception=command.inception,
            i3d=command.i3d,
            **metric_files,
        )
        setting = Setting(
            subjects=split_names(command.subjects),
            data=data,
            out=out,
            networks=networks,
            device=device,
            seed=command.seed,
            frames=command.frames,
            measured=command.measured,
            sources=command.sources,
            limit=command.limit,
            only=split_names(command.only),
            pairs=pairs,
            say=bar,
            options=command.options,
        )
        report, _ = evaluate(command.protocol, setting)
    skipped = tuple(f"skipped {item}: {why}" for item, why in report.skipped.items())
    return setting.out, (*report.notes, *skipped)


def split_names(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of names; drop duplicates."""
    return tuple(dict.fromkeys(t.strip() for t in text.split(",") if t.strip()))


def parse_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Parse comma-separated ``source:driver`` pairs.

    Raises:
        HeadcastError: an item is not of that form.
    """
    pairs = []
    for item in split_names(text):
        source, colon, driver = item.partition(":")
        if not (source and colon and driver):
            raise HeadcastError(f"--pairs {item}: give source:driver, for example d18:d3")
        pairs.append((source, driver))
    return tuple(pairs)
