"""Training that stopped and went on must end where training at one go ends."""

from __future__ import annotations

from pathlib import Path

import torch

from headcast.training import Recipe, TrainConfig, train
from headcast.weights import load_tensors


def ends_where_it_would(recipe: Recipe, config: TrainConfig, folder: Path, stop: int) -> None:
    """``config.steps`` steps at one go, and stopped after ``stop`` of them: the same weights to the bit."""
    from dataclasses import replace

    done = {}
    for name, runs in {"whole": (config.steps,), "parts": (stop, config.steps)}.items():
        for n in runs:
            made = train(recipe, replace(config, steps=n), folder / name)
        done[name] = load_tensors(made.weights)[0]
    assert done["whole"] and all(torch.equal(v, done["parts"][k]) for k, v in done["whole"].items())
