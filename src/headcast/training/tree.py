"""Nested values as tensors with names and JSON, and back: nothing is ever pickled."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["flat", "optimizer_state", "restore_optimizer", "tensors_of"]


def tensors_of(tree: Any, prefix: str = "") -> dict[str, Tensor]:
    """Collect tensors and arrays of dicts, lists and dataclasses, by path; other leaves are left out."""
    if isinstance(tree, np.ndarray) and tree.dtype.kind in "biuf":
        tree = torch.from_numpy(np.ascontiguousarray(tree))
    if isinstance(tree, Tensor):
        return {prefix or "batch": flat(tree)}
    if isinstance(tree, dict):
        items = [(str(k), v) for k, v in tree.items()]
    elif isinstance(tree, (list, tuple)):
        items = [(str(i), v) for i, v in enumerate(tree)]
    elif is_dataclass(tree) and not isinstance(tree, type):
        items = [(f.name, getattr(tree, f.name)) for f in fields(tree)]
    else:
        return {}
    return {k: v for name, x in items for k, v in tensors_of(x, f"{prefix}.{name}".lstrip(".")).items()}


def flat(x: Tensor) -> Tensor:
    """Copy a tensor to the CPU, sharing memory with nothing, as safetensors requires."""
    return x.detach().to("cpu", copy=True).contiguous()


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split the state of an optimizer: tensors named ``<weight>.<entry>``, and the rest for JSON."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for weight, entries in state["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{weight}.{key}"] = flat(value)
            else:
                plain.setdefault(str(weight), {})[key] = value
    return tensors, {"plain": plain, "groups": [len(g["params"]) for g in state["param_groups"]]}


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], rest: dict[str, Any]
) -> None:
    """Restore what ``optimizer_state`` returned. Settings (learning rate, decay) stay those of ``optimizer``.

    Raises:
        ValueError: another optimizer or other weights.
    """
    now = optimizer.state_dict()
    if [len(g["params"]) for g in now["param_groups"]] != rest["groups"]:
        raise ValueError("the optimizer has other weights")
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        weight, _, key = name.partition(".")
        state.setdefault(int(weight), {})[key] = value
    for weight, entries in rest["plain"].items():
        state.setdefault(int(weight), {}).update(entries)
    weights = [p for g in optimizer.param_groups for p in g["params"]]
    for weight, entries in state.items():
        for key, value in entries.items():
            if isinstance(value, Tensor) and value.dim() and value.shape != weights[weight].shape:
                raise ValueError(f"{key} of weight {weight} has another shape")
    optimizer.load_state_dict({"state": state, "param_groups": now["param_groups"]})
