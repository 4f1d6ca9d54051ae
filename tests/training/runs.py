"""Tiny recipes, and runs in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from headcast.training import TrainConfig
from headcast.training.recipe import Networks
from headcast.training.toy import ToyRecipe

ROOT = Path(__file__).resolve().parent.parent.parent
SMALL = ToyRecipe(size=12, images=2, width=4)


@dataclass(frozen=True)
class SlowToy(ToyRecipe):
    """The toy, waiting in each step so that a signal finds it at work."""

    name: ClassVar[str] = "slow"
    wait: float = 0.05

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """The toy's."""
        time.sleep(self.wait)
        return super().losses(optimizer, networks, batch, step)


@dataclass(frozen=True)
class Duel:
    """Two networks with an optimizer each; the second plays only every other step."""

    name: ClassVar[str] = "duel"
    poison: int = -1

    def networks(self, seed: int) -> Networks:
        """A generator and a discriminator of a number."""
        torch.manual_seed(seed)
        return {"generator": torch.nn.Linear(2, 2), "discriminator": torch.nn.Linear(2, 1)}

    def optimizers(self, networks: Networks) -> dict[str, torch.optim.Optimizer]:
        """One each."""
        return {
            "discriminator": torch.optim.Adam(networks["discriminator"].parameters(), 1e-2),
            "generator": torch.optim.SGD(networks["generator"].parameters(), 1e-2, momentum=0.9),
        }

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Any]:
        """Random points."""
        x = torch.randn(4, 2, generator=torch.Generator().manual_seed(seed * 1000 + index)).to(device)
        if index == self.poison:
            x[1, 1] = torch.nan
        return {"points": x, "what": "words stay out of files"}

    def losses(self, optimizer: str, networks: Networks, batch: Any, step: int) -> dict[str, Tensor]:
        """Each pulls its way; the discriminator sees what the generator makes."""
        made = networks["generator"](batch["points"])
        if optimizer == "discriminator":
            return {} if step % 2 else {"real": networks["discriminator"](made).square().mean()}
        return {"fake": -networks["discriminator"](made).mean(), "small": made.square().mean()}

    def preview(self, networks: Networks, batch: Any) -> None:
        """Nothing to see."""

    def shipped(self, networks: Networks) -> dict[str, Tensor]:
        """The generator."""
        return dict(networks["generator"].state_dict())

    def card(self) -> dict[str, Any]:
        """Nothing to say."""
        return {"licence": "Apache-2.0"}


Done = subprocess.CompletedProcess[str]


def command(recipe: str, folder: Path, *pairs: str) -> list[str]:
    """How a run is started in a process of its own."""
    return [sys.executable, "-m", "headcast.training", recipe, str(folder), *pairs]


def environment() -> dict[str, str]:
    """One thread, as in the tests, so that sums are added in the same order; this file is found."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
    }


def interrupt(
    recipe: str, folder: Path, number: int, steps: int, *pairs: str
) -> subprocess.CompletedProcess[str]:
    """Starts a run and sends it a signal once its log has so many lines."""
    process = subprocess.Popen(
        command(recipe, folder, *pairs), cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
    )
    log, until = folder / "log.jsonl", time.monotonic() + 90
    while process.poll() is None and time.monotonic() < until:
        if log.is_file() and len(log.read_text().splitlines()) >= steps:
            os.kill(process.pid, number)
            break
        time.sleep(0.02)
    _, errors = process.communicate(timeout=60)
    return Done(process.args, process.returncode, "", errors)


def lines(folder: Path) -> list[dict[str, float]]:
    """The log, without its times."""
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in found]


def checkpoint(folder: Path, step: int, part: str) -> dict[str, Tensor]:
    """Tensors of a checkpoint."""
    return load_file(folder / "checkpoints" / f"{step:08d}" / f"{part}.safetensors")


KILL = signal.SIGKILL
QUIET = TrainConfig(steps=8, log_every=1, picture_every=0, checkpoint_seconds=0, ema=0.9, engine="plain")
