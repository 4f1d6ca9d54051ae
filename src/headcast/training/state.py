"""Between what is being trained and what a checkpoint holds."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from headcast.errors import HeadcastError
from headcast.training.checkpoint import Checkpoint
from headcast.training.config import TrainConfig
from headcast.training.recipe import Networks, Recipe
from headcast.training.tree import flat, optimizer_state, restore_optimizer

__all__ = ["differences", "fill", "freeze", "settings", "thaw"]

FREE = ("minutes", "steps", "device", "engine", "workers")
"""Settings that may change between runs without a word."""


def freeze(
    step: int,
    networks: Networks,
    averages: Networks,
    optimizers: dict[str, Optimizer],
    facts: dict[str, Any],
) -> Checkpoint:
    """A checkpoint of everything; names of tensors begin with the network's or optimizer's and a bar."""
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {}
    for name, optimizer in optimizers.items():
        mine, rest[name] = optimizer_state(optimizer)
        tensors |= {f"{name}|{k}": v for k, v in mine.items()}
    state = {**facts, "optimizers": rest}
    return Checkpoint(step, state_of(networks), state_of(averages), tensors, state)


def state_of(networks: Networks) -> dict[str, Tensor]:
    """Weights and buffers of all networks."""
    return {f"{name}|{k}": flat(v) for name, n in networks.items() for k, v in n.state_dict().items()}


def part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of one network or optimizer, under their own names."""
    return {k.removeprefix(name + "|"): v for k, v in tensors.items() if k.startswith(name + "|")}


def fill(networks: Networks, tensors: dict[str, Tensor], folder: Path) -> None:
    """The inverse of ``state_of``.

    Raises:
        HeadcastError: the checkpoint is of other networks.
    """
    for name, network in networks.items():
        try:
            network.load_state_dict(part(tensors, name))
        except RuntimeError as e:
            first = " ".join(str(e).split())[:160]
            raise HeadcastError(
                f"{folder}: holds another network ({first}…); train with the same settings or in a new folder"
            ) from e


def thaw(optimizers: dict[str, Optimizer], found: Checkpoint) -> list[str]:
    """Gives optimizers their state back; words about those that start anew."""
    words = []
    for name, optimizer in optimizers.items() if found.optimizers is not None else ():
        try:
            restore_optimizer(optimizer, part(found.optimizers or {}, name), found.state["optimizers"][name])
        except (KeyError, ValueError) as e:
            words.append(f"the state of optimizer '{name}' does not fit ({e}); it starts anew")
    return words


def settings(recipe: Recipe, config: TrainConfig) -> dict[str, Any]:
    """What a run was asked for, as JSON."""
    mine = asdict(recipe) if is_dataclass(recipe) and not isinstance(recipe, type) else {}
    both = {**mine, **{k: v for k, v in asdict(config).items() if k not in FREE}}
    return json.loads(json.dumps(both, default=str))


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Settings that were changed, in words."""
    return [f"{k} {before[k]} → {now[k]}" for k in now if k in before and before[k] != now[k]]
