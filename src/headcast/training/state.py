"""Conversion between networks, optimizers and checkpoints."""

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

__all__ = ["describe_changes", "load_networks", "make_checkpoint", "restore_optimizers", "settings"]

FREE = ("minutes", "steps", "device", "engine", "workers")
"""Settings whose change between runs is not reported."""


def make_checkpoint(
    step: int,
    networks: Networks,
    averages: Networks,
    optimizers: dict[str, Optimizer],
    facts: dict[str, Any],
) -> Checkpoint:
    """Make a checkpoint; names of tensors are prefixed with the network's or optimizer's name and a bar."""
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {}
    for name, optimizer in optimizers.items():
        own, rest[name] = optimizer_state(optimizer)
        tensors |= {f"{name}|{k}": v for k, v in own.items()}
    state = {**facts, "optimizers": rest}
    return Checkpoint(
        step=step, networks=state_of(networks), averages=state_of(averages), optimizers=tensors, state=state
    )


def state_of(networks: Networks) -> dict[str, Tensor]:
    """Collect weights and buffers of all networks."""
    return {f"{name}|{k}": flat(v) for name, n in networks.items() for k, v in n.state_dict().items()}


def tensors_of_part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Select the tensors of one network or optimizer, without the prefix."""
    return {k.removeprefix(name + "|"): v for k, v in tensors.items() if k.startswith(name + "|")}


def load_networks(networks: Networks, tensors: dict[str, Tensor], folder: Path) -> None:
    """Load tensors as ``state_of`` collects them.

    Raises:
        HeadcastError: the checkpoint is of other networks.
    """
    for name, network in networks.items():
        try:
            network.load_state_dict(tensors_of_part(tensors, name))
        except RuntimeError as e:
            first = " ".join(str(e).split())[:160]
            raise HeadcastError(
                f"{folder}: holds another network ({first}…); train with the same settings or in a new folder"
            ) from e


def restore_optimizers(optimizers: dict[str, Optimizer], checkpoint: Checkpoint) -> list[str]:
    """Restore the state of optimizers; return messages on those that start anew."""
    messages = []
    for name, optimizer in optimizers.items() if checkpoint.optimizers is not None else ():
        try:
            restore_optimizer(
                optimizer,
                tensors_of_part(checkpoint.optimizers or {}, name),
                checkpoint.state["optimizers"][name],
            )
        except (KeyError, ValueError) as e:
            messages.append(f"the state of optimizer '{name}' does not fit ({e}); it starts anew")
    return messages


def settings(recipe: Recipe, config: TrainConfig) -> dict[str, Any]:
    """Collect the settings of a run as JSON."""
    mine = asdict(recipe) if is_dataclass(recipe) and not isinstance(recipe, type) else {}
    both = {**mine, **{k: v for k, v in asdict(config).items() if k not in FREE}}
    return json.loads(json.dumps(both, default=str))


def describe_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Describe the settings that were changed, for a message."""
    return [f"{k} {before[k]} → {now[k]}" for k in now if k in before and before[k] != now[k]]
