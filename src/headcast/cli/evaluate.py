"""``headcast evaluate``: options to a setting, and words about what was skipped."""

from __future__ import annotations

from pathlib import Path

from headcast.cli.commands import Evaluate
from headcast.cli.progress import Bar
from headcast.device import pick_device
from headcast.errors import HeadcastError

__all__ = ["run_evaluate"]

REAL_PEOPLE = ("multiview", "smile")
"""Protocols whose networks are looked for beside the data, when no option names them."""


def run_evaluate(command: Evaluate) -> tuple[Path, tuple[str, ...]]:
    """Runs the protocol; gives the folder of results and notes for the user.

    Raises:
        HeadcastError: what the user can mend.
    """
    from headcast.evaluate.judge_files import JUDGE_FILES, find_judge_files
    from headcast.evaluate.networks import load_networks
    from headcast.evaluate.protocols import check_places, evaluate
    from headcast.evaluate.setting import Setting

    for name in ("frames", "measured", "sources"):
        if getattr(command, name) < 1:
            raise HeadcastError(f"--{name} {getattr(command, name)}: give at least 1")
    pairs = pairs_of(command.pairs)
    out = command.out or Path("evaluation")
    check_places(command.data, out)
    device = pick_device(command.device)
    with Bar() as bar:
        given = {name: getattr(command, name) for name in JUDGE_FILES}
        judges = find_judge_files(command.data, given) if command.protocol in REAL_PEOPLE else given
        networks = load_networks(
            device, lpips_heads=command.lpips_heads, arcface=command.arcface, inception=command.inception,
            i3d=command.i3d, **judges,
        )  # fmt: skip
        setting = Setting(
            subjects=listed(command.subjects), data=command.data, out=out,
            networks=networks, device=device, seed=command.seed, frames=command.frames,
            measured=command.measured, sources=command.sources, limit=command.limit,
            only=listed(command.only), pairs=pairs, say=bar,
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
