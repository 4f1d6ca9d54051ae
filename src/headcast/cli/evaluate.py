"""``headcast evaluate``: options to a setting, and words about what was skipped."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from headcast.cli.commands import Evaluate
from headcast.cli.progress import Bar
from headcast.device import pick_device
from headcast.errors import HeadcastError

__all__ = ["form_of", "run_evaluate"]

FLAG = "--protocol"


def form_of(arguments: Sequence[str]) -> type[Evaluate] | None:
    """The command with the options of the protocol that ``arguments`` name; None where it has none."""
    from headcast.evaluate.protocols import options_of

    words = [w for a in arguments for w in (a.split("=", 1) if a.startswith(FLAG + "=") else (a,))]
    name = words[words.index(FLAG) + 1 : words.index(FLAG) + 2] if FLAG in words else []
    own = options_of(name[0]) if name else None
    if own is None:
        return None
    shown = dataclasses.make_dataclass(
        "Evaluate",
        [("options", own, dataclasses.field(default_factory=own))],
        bases=(Evaluate,),
        frozen=True,
    )
    shown.__doc__ = Evaluate.__doc__
    return shown


def run_evaluate(command: Evaluate) -> tuple[Path, tuple[str, ...]]:
    """Runs the protocol; gives the folder of results and notes for the user.

    Raises:
        HeadcastError: what the user can mend.
    """
    from headcast.evaluate.networks import load_networks
    from headcast.evaluate.protocols import check_places, evaluate, needs_data
    from headcast.evaluate.setting import Setting

    for name in ("frames", "measured", "sources"):
        if getattr(command, name) < 1:
            raise HeadcastError(f"--{name} {getattr(command, name)}: give at least 1")
    pairs = pairs_of(command.pairs)
    out = command.out or Path("evaluation")
    if command.data is None and needs_data(command.protocol):
        raise HeadcastError(f"--protocol {command.protocol}: give --data, see docs/evaluate.md")
    data = command.data or Path()
    check_places(data, out)
    device = pick_device(command.device)
    with Bar() as bar:
        networks = load_networks(
            device, command.lpips, command.lpips_heads, command.arcface, command.inception, command.i3d
        )
        setting = Setting(
            subjects=listed(command.subjects), data=data, out=out,
            networks=networks, device=device, seed=command.seed, frames=command.frames,
            measured=command.measured, sources=command.sources, limit=command.limit,
            only=listed(command.only), pairs=pairs, say=bar,
            options=getattr(command, "options", None),
        )  # fmt: skip
        report, _ = evaluate(command.protocol, setting)
    skipped = tuple(f"skipped {item}: {why}" for item, why in report.skipped.items())
    return setting.out, (*report.notes, *skipped)


def listed(text: str) -> tuple[str, ...]:
    """Names with commas between."""
    return tuple(dict.fromkeys(t.strip() for t in text.split(",") if t.strip()))


def pairs_of(text: str) -> tuple[tuple[str, str], ...]:
    """``source:driver`` pairs with commas between."""
    found = []
    for item in listed(text):
        source, colon, driver = item.partition(":")
        if not (source and colon and driver):
            raise HeadcastError(f"--pairs {item}: give source:driver, for example d18:d3")
        found.append((source, driver))
    return tuple(found)
