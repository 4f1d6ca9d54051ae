"""Numbers recorded of published networks: weights filled by rule, seeded inputs, comparison.

Folders ``*_parity`` hold names and shapes of the published state dicts, the rule that filled each tensor, and
a thin sample of what the published code computed with them. No published weights are among them.
"""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

TOLERANCE = 1e-3


def seeded(name: str, shape: tuple[int, ...] | list[int]) -> Tensor:
    """Normal values from a generator seeded by the name."""
    return torch.randn(list(shape), generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def read_facts(file: Path) -> dict[str, Any]:
    """A JSON file, compressed or not."""
    data = file.read_bytes()
    return json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)


def shapes(file: Path) -> dict[str, list[int]]:
    """Name and shape of every tensor of a published state dict."""
    return {k: shape for k, (shape, _) in read_facts(file).items()}


def filled(network: nn.Module, rules: Path, prefix: str = "") -> nn.Module:
    """The network with the recorded weights, in evaluation mode; what the rules keep stays as it is.

    Args:
        prefix: of the names in the rules, where the network is a part of the recorded one.
    """
    state = network.state_dict()
    for full, rule in read_facts(rules).items():
        if not full.startswith(prefix):
            continue
        name = full.removeprefix(prefix)
        if rule["mode"] == "randn":
            state[name].copy_(rule["mean"] + rule["std"] * seeded(full, state[name].shape))
        elif rule["mode"] == "const":
            state[name].fill_(rule["value"])
        elif rule["mode"] == "unit_randn":
            state[name].copy_(normalize(seeded(name, state[name].shape), dim=0))
        elif rule["mode"] == "normalize(W^T u)":
            stem = name.removesuffix("weight_v")
            w, u = state[f"{stem}weight_orig"], state[f"{stem}weight_u"]
            state[name].copy_(normalize(w.flatten(1).T @ u, dim=0))
        else:
            assert rule["mode"] == "keep", rule
    return network.eval()


def worst(name: str, mine: Tensor, saved: dict[str, np.ndarray]) -> float:
    """Largest difference relative to the largest value, of what was recorded of a tensor."""
    x = mine.detach().numpy().reshape(-1)
    assert x.size == np.prod(saved[f"{name}__shape"]), (name, mine.shape, saved[f"{name}__shape"])
    if name in saved:
        kept, truth = x, saved[name].reshape(-1)
    else:
        truth = saved[f"{name}__sub"]
        n = len(truth)
        kept = x[np.floor(np.arange(n) * float(x.size) / n).astype(np.int64)]
        mean, std, low, high, _ = saved[f"{name}__stats"]
        assert abs(x.mean(dtype=np.float64) - mean) <= TOLERANCE * std, name
        assert max(abs(x.min() - low), abs(x.max() - high)) <= TOLERANCE * max(abs(low), abs(high)), name
    return float(np.abs(kept - truth).max() / np.abs(truth).max())
