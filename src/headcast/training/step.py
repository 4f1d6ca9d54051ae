"""One training step: every optimizer in turn, over accumulated batches and over all processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from headcast.errors import HeadcastError
from headcast.training.checkpoint import write_tensors
from headcast.training.config import TrainConfig
from headcast.training.engine import Engine, average_gradients
from headcast.training.recipe import Recipe
from headcast.training.tree import tensors_of

__all__ = ["Stepper", "indices"]

PRIME = 0x9E3779B97F4A7C15
"""Multiplier that decorrelates seeds (2^64 over the golden ratio)."""


def indices(step: int, config: TrainConfig, rank: int, world: int) -> list[int]:
    """Return the batches that a process uses at a step: process r of w takes r, r + w, … ."""
    return [(step * config.accumulate + k) * world + rank for k in range(config.accumulate)]


class Stepper:
    """Takes the steps of a recipe with its networks and optimizers."""

    def __init__(
        self,
        recipe: Recipe,
        config: TrainConfig,
        engine: Engine,
        networks: dict[str, nn.Module],
        optimizers: dict[str, Optimizer],
        folder: Path,
    ) -> None:
        self.recipe, self.config, self.engine, self.folder = recipe, config, engine, folder
        self.networks, self.optimizers = networks, optimizers
        self.rates = {name: [g["lr"] for g in o.param_groups] for name, o in optimizers.items()}
        self.trained = {n: [p for p in net.parameters() if p.requires_grad] for n, net in networks.items()}

    def step(self, step: int, batches: list[Any], rate: float) -> dict[str, float]:
        """Take a step; return the mean of every term, their sum and the gradient's norm, by optimizer.

        Args:
            batches: those of ``indices``, in order.
            rate: factor of the learning rates.

        Raises:
            HeadcastError: a loss or gradient is not finite; the weights are those before, the batch is saved.
        """
        values: dict[str, float] = {}
        for name, optimizer in self.optimizers.items():
            for group, full in zip(optimizer.param_groups, self.rates[name], strict=True):
                group["lr"] = full * rate
            own = {id(p) for g in optimizer.param_groups for p in g["params"]}
            self._freeze_others(own)
            optimizer.zero_grad(set_to_none=True)
            terms = self._gradients(name, step, batches)
            if terms:
                values |= self._update(name, optimizer, step, batches, terms)
        self._freeze_others(None)
        return values

    def _freeze_others(self, own: set[int] | None) -> None:
        for weights in self.trained.values():
            for p in weights:
                p.requires_grad_(own is None or id(p) in own)

    def _gradients(self, name: str, step: int, batches: list[Any]) -> dict[str, Tensor]:
        """Compute gradients of all batches; return the mean of each term over this process's batches."""
        total: dict[str, Tensor] = {}
        numbers = indices(step, self.config, self.engine.rank, self.engine.world)
        for number, batch in zip(numbers, batches, strict=True):
            # noise and dropout are functions of seed, step and index: nothing of them needs to be stored
            torch.manual_seed((self.config.seed * PRIME + (step << 24) + number * 1_000_003) % 2**63)
            with self.engine.autocast():
                terms = self.recipe.losses(name, self.networks, batch, step)
            if not terms:
                return {}
            loss = torch.stack([t.float() for t in terms.values()]).sum() / len(batches)
            self.engine.backward(loss)
            for term, value in terms.items():
                total[term] = total.get(term, 0.0) + value.detach().float() / len(batches)
        return total

    def _update(
        self, name: str, optimizer: Optimizer, step: int, batches: list[Any], terms: dict[str, Tensor]
    ) -> dict[str, float]:
        average_gradients(self.engine, self.networks)
        weights = [p for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
        local = torch.stack(list(terms.values()))
        mean = self.engine.mean(torch.cat([local, local.sum()[None]]))
        *means, total, gradient = torch.cat([mean, norm.float()[None]]).tolist()  # the step's only wait
        if not all(map(_finite, (*means, total, gradient))):
            self._raise_not_finite(
                name, step, batches, dict(zip(terms, local.tolist(), strict=True)), gradient
            )
        if self.config.clip:
            torch.nn.utils.clip_grads_with_norm_(weights, self.config.clip, norm)
        optimizer.step()
        named = {f"{name}/{term}": value for term, value in zip(terms, means, strict=True)}
        return {**named, f"{name}/sum": total, f"{name}/gradient": gradient}

    def _raise_not_finite(
        self, name: str, step: int, batches: list[Any], terms: dict[str, float], gradient: float
    ) -> None:
        kept = self.folder / f"notfinite_{step:08d}_{self.engine.rank}.safetensors"
        numbers = indices(step, self.config, self.engine.rank, self.engine.world)
        about = {"optimizer": name, "step": step, "indices": numbers, "terms": terms, "gradient": gradient}
        tensors = tensors_of(dict(zip(numbers, batches, strict=True)))
        write_tensors(kept, tensors, {k: json.dumps(v) for k, v in about.items()})
        words = ", ".join(f"{k} {v:.4g}" for k, v in terms.items())
        raise HeadcastError(
            f"{kept}: the loss of '{name}' is not finite at step {step} ({words}; gradient {gradient:.4g}); "
            "the batch is in this file, the weights before it are kept; lower the learning rate or use --clip"
        )


def _finite(x: float) -> bool:
    return x - x == 0
