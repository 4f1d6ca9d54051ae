"""The training loop: steps, checkpoints, log, preview images; weights are exported however it ends."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from headcast.errors import HeadcastError
from headcast.progress import Progress
from headcast.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from headcast.training.config import TrainConfig
from headcast.training.data import step_batches
from headcast.training.ema import copy_for_averages, update_averages
from headcast.training.engine import Engine, choose_precision, make_engine
from headcast.training.log import Log
from headcast.training.recipe import Networks, Recipe
from headcast.training.ship import ship
from headcast.training.state import (
    describe_changes,
    load_networks,
    make_checkpoint,
    restore_optimizers,
    settings,
)
from headcast.training.step import Stepper
from headcast.training.stop import Stop
from headcast.training.tree import flat

__all__ = ["TrainResult", "train"]

HELD_OUT = 1_000_003
"""Added to the seed of batches for preview images, which are never trained on."""


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
        step: number of steps, those of earlier runs included.
        weights: the exported file.
        stopped: steps | minutes | signal.
        signal: which one, else 0.
        log: means of the last line of the log, or of the steps so far.
        notes: what the user should know; at the end those of the recipe's ``notes()``, if it has one.
    """

    step: int
    weights: Path
    stopped: str
    signal: int
    log: dict[str, float]
    notes: tuple[str, ...]


def train(recipe: Recipe, config: TrainConfig, folder: Path, progress: Progress | None = None) -> TrainResult:
    """Train a recipe, or resume where an earlier run with this folder stopped.

    The folder gets ``log.jsonl``, ``pictures/``, ``checkpoints/`` and, with every checkpoint and at the end,
    ``<name>.safetensors`` with its card ``<name>.json``.

    Args:
        progress: called after each step with the fraction done (0..1) and a message.

    Raises:
        HeadcastError: neither minutes nor steps; the folder can't be written; a loss that is not finite.
    """
    if config.minutes is None and config.steps is None:
        raise HeadcastError("train: say how long: --minutes M or --steps N")
    with Stop(config.minutes) as stop:
        return Run(recipe, config, Path(folder), stop, progress).run()


class Run:
    """One run of ``train``."""

    def __init__(
        self, recipe: Recipe, config: TrainConfig, folder: Path, stop: Stop, progress: Progress | None
    ) -> None:
        self.recipe, self.config, self.folder = recipe, config, folder
        self.stop, self.progress = stop, progress
        self.engine: Engine = make_engine(config)
        if self.engine.device.type != "cpu":
            torch.set_float32_matmul_precision("high")  # TF32 where the GPU has it
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise HeadcastError(f"{folder}: cannot be made ({e.strerror}); choose another place") from e
        torch.manual_seed(config.seed)
        self.networks = {k: n.to(self.engine.device).train() for k, n in recipe.networks(config.seed).items()}
        self.optimizers = recipe.optimizers(self.networks)
        self.stepper = Stepper(recipe, config, self.engine, self.networks, self.optimizers, folder)
        self.averages = copy_for_averages(self.networks) if config.ema else self.networks
        self.step = self.first = 0
        self.before = 0.0  # seconds of training in earlier runs
        self.notes: list[str] = []
        self.saved_at = -1  # step of the last checkpoint
        checkpoint, messages = load_checkpoint(folder)
        self.notes += messages
        state = self.restore(checkpoint) if checkpoint else {}
        self.log: Log | None = None
        if self.engine.rank == 0:
            partial = state.get("log", {"sums": {}, "count": 0})
            self.log = Log(folder, config.log_every, self.step, partial["sums"], partial["count"])
        self.check_same_step()
        self.precision = choose_precision(config, self.engine, state)
        self.engine.dtype = self.precision.dtype
        if config.precision == "auto" and state.get("precision") != self.precision._asdict():
            self.notes.append(self.precision.note())

    def restore(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Restore weights, averages and optimizers of a checkpoint; return the rest of its state."""
        load_networks(self.networks, checkpoint.networks, self.folder)
        if self.config.ema:
            load_networks(self.averages, checkpoint.averages or checkpoint.networks, self.folder)
        self.notes += restore_optimizers(self.optimizers, checkpoint)
        self.step = self.first = self.saved_at = checkpoint.step
        self.before = float(checkpoint.state.get("seconds", 0.0))
        changed = describe_changes(checkpoint.state.get("settings", {}), settings(self.recipe, self.config))
        if changed:
            self.notes.append(f"going on with other settings: {', '.join(changed)}")
        return checkpoint.state

    def check_same_step(self) -> None:
        """Raise an error if processes start from different checkpoints."""
        here = torch.tensor([float(self.step)], device=self.engine.device)
        if float(self.engine.mean(here)) != self.step:
            raise HeadcastError(f"{self.folder}: processes see different checkpoints; use a folder all share")

    def run(self) -> TrainResult:
        """Take steps until it is time to stop, then write everything."""
        stopped = "steps"
        self.report(self.notes)
        with contextlib.closing(step_batches(self.recipe, self.config, self.engine, self.step)) as batches:
            try:
                saved = self.stop.elapsed
                while self.config.steps is None or self.step < self.config.steps:
                    end, save = self.decide(self.stop.elapsed - saved)
                    if end:
                        stopped = "signal" if self.stop.signal else "minutes"
                        break
                    if save:
                        self.save()
                        saved = self.stop.elapsed
                    self.advance(next(batches))
            except HeadcastError:
                self.save()  # the weights before the step that failed
                raise
        self.save()
        self.save_preview()
        if self.log is not None:
            self.log.close()
        self.notes += getattr(self.recipe, "notes", list)()
        return TrainResult(
            step=self.step,
            weights=self.folder / f"{self.recipe.name}.safetensors",
            stopped=stopped,
            signal=self.stop.signal,
            log=self.log.latest() if self.log else {},
            notes=tuple(self.notes),
        )

    def decide(self, since: float) -> tuple[bool, bool]:
        """Decide whether to end, and whether to write a checkpoint; all processes decide alike."""
        requests = [float(self.stop.due()), float(since > self.config.checkpoint_seconds)]
        if self.engine.world > 1:
            requests = self.engine.mean(torch.tensor(requests, device=self.engine.device)).tolist()
        return requests[0] > 0, requests[1] > 0

    def lr_factor(self) -> float:
        """Return the learning rates' factor: it rises over ``warmup`` steps and falls in the ``cooldown``."""
        config = self.config
        rise = min(1.0, (self.step + 1) / config.warmup) if config.warmup else 1.0
        done = self.step / config.steps if config.steps else self.stop.fraction
        fall = min(1.0, (1 - done) / config.cooldown) if config.cooldown else 1.0
        return rise * fall

    def advance(self, batches: list[Any]) -> None:
        """Take one step; update averages and log, write preview images when due."""
        rate = self.lr_factor()
        values = self.stepper.step(self.step, batches, rate)
        self.step += 1
        if self.config.ema:
            update_averages(self.averages, self.networks, self.config.ema, self.step)
        self.stop.note_step()
        seconds = self.before + self.stop.elapsed
        if self.log is not None:
            self.log.add(self.step, values, {"seconds": round(seconds, 3), "rate": rate})
        if self.progress is not None:
            speed = (self.step - self.first) / max(self.stop.elapsed, 1e-9)
            sums = [f"{k.removesuffix('/sum')} {v:.4g}" for k, v in values.items() if k.endswith("/sum")]
            self.progress(self.fraction_done(), f"step {self.step} · {' · '.join(sums)} · {speed:.2g}/s")
        if self.config.picture_every and self.step % self.config.picture_every == 0:
            self.save_preview()

    def fraction_done(self) -> float:
        """Return the fraction of this run that is done."""
        steps = self.config.steps
        by_steps = (self.step - self.first) / max(steps - self.first, 1) if steps else 0.0
        return max(by_steps, self.stop.fraction)

    def save_preview(self) -> None:
        """Render and write a preview image by the averaged networks."""
        if self.log is None:
            return
        began = self.stop.elapsed
        batch = self.recipe.batch(0, self.config.seed + HELD_OUT, self.engine.device)
        with self.evaluation() as networks:
            grid = self.recipe.preview(networks, batch)
        if grid is not None:
            self.log.save_image(self.step, grid)
        self.stop.note_writing(began)

    @contextlib.contextmanager
    def evaluation(self) -> Iterator[Networks]:
        """Open a context with the averaged networks in evaluation mode."""
        for n in self.averages.values():
            n.eval()
        with torch.no_grad():
            yield self.averages
        if self.averages is self.networks:
            for n in self.networks.values():
                n.train()

    def save(self) -> None:
        """Write a checkpoint and the exported weights; by the first process only, if anything has changed."""
        if self.log is None:
            return
        began = self.stop.elapsed
        facts = {
            "recipe": self.recipe.name,
            "seconds": round(self.before + began, 3),
            "settings": settings(self.recipe, self.config),
            "log": {"sums": self.log.sums, "count": self.log.count},
            "precision": self.precision._asdict(),
        }
        if self.step != self.saved_at:
            averages = self.averages if self.config.ema else {}
            save_checkpoint(
                self.folder, make_checkpoint(self.step, self.networks, averages, self.optimizers, facts)
            )
            self.saved_at = self.step
        with self.evaluation() as networks:
            tensors = {k: flat(v) for k, v in self.recipe.shipped(networks).items()}
        training_facts = {
            "steps": self.step,
            "minutes": round((self.before + self.stop.elapsed) / 60, 2),
            "device": self.engine.device.type,
            "processes": self.engine.world,
            "log": self.log.latest(),
            "settings": facts["settings"],
            "precision": self.precision._asdict(),
        }
        ship(self.folder, self.recipe.name, tensors, self.recipe.card(), training_facts)
        self.stop.note_writing(began)

    def report(self, notes: list[str]) -> None:
        """Write notes for the user to standard error, by the first process."""
        if self.engine.rank == 0:
            for line in notes:
                sys.stderr.write(f"train: {line}\n")
