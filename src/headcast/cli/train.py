"""``headcast train NAME``: the settings of the recipe and of the trainer become flags."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import Any

from headcast.cli.commands import Out, Train
from headcast.cli.forms import Form
from headcast.cli.output import print_note, report
from headcast.cli.progress import Bar
from headcast.cli.signals import Interrupted

__all__ = ["options", "run_train", "train_form", "train_recipe"]


def options(name: str) -> type:
    """Return a dataclass of all flags of a recipe: ``recipe``, ``config``, ``out``, ``json``.

    Raises:
        HeadcastError: no such recipe.
    """
    from headcast.training import TrainConfig
    from headcast.training.recipes import recipe_class

    recipe = recipe_class(name)
    config = getattr(recipe, "defaults", TrainConfig())
    flags = dataclasses.make_dataclass(
        name,
        [
            ("recipe", recipe, dataclasses.field(default_factory=recipe)),
            ("config", TrainConfig, dataclasses.field(default=config)),
            ("out", Out, dataclasses.field(default=None)),
            ("json", bool, dataclasses.field(default=False)),
        ],
        frozen=True,
    )
    summary = (recipe.__doc__ or name).strip().splitlines()[0]
    flags.__doc__ = f"{summary} The folder (-o) is runs/{name} by default."
    return flags


def train_form(arguments: list[str]) -> Form | None:
    """Return the form of ``headcast train NAME``; None: no name was given.

    Raises:
        HeadcastError: no such recipe.
    """
    if not arguments or arguments[0].startswith("-"):
        return None
    name = arguments[0]

    def build(given: Any) -> Train:
        return Train(
            name=name,
            recipe=given.recipe,
            config=given.config,
            out=given.out or Path("runs") / name,
            json=given.json,
        )

    return Form(options(name), f"headcast train {name}", arguments[1:], build)


def run_train(command: Train) -> None:
    """Run ``headcast train``: write weights and log."""
    start = time.perf_counter()
    notes = train_recipe(command)
    report(command.out, command.config.seed, start, command.json, notes)


def train_recipe(command: Train) -> tuple[str, ...]:
    """Train; return notes on how it ended. After Ctrl-C the weights are written, too.

    Raises:
        HeadcastError: what the user can mend.
        Interrupted: it was stopped by Ctrl-C or SIGTERM, after everything was written.
    """
    from headcast.training import train
    from headcast.training.lines import Lines

    start = time.perf_counter()
    first = int(os.environ.get("RANK", "0")) == 0
    with Bar() as bar:
        progress = bar if sys.stderr.isatty() else Lines(30)
        result = train(command.recipe, command.config, command.out, progress if first else None)
    log_text = ", ".join(f"{k} {v:.4g}" for k, v in result.log.items())
    note = f"{result.step} steps, this run {(time.perf_counter() - start) / 60:.1f} minutes; {log_text}"
    if result.signal:
        if first:
            print_note(f"stopped after {note}; {result.weights} is usable; rerun to resume")
        raise Interrupted(result.signal)
    if result.stopped == "minutes":
        note += "; the same command resumes"
    return (note, *result.notes)
