"""Moving averages of weights: what ships and what pictures are made with."""

from __future__ import annotations

import copy

import torch
from torch import nn

__all__ = ["averaged", "follow"]


def averaged(networks: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Copies that will hold the averages: no gradients, evaluation mode."""
    copies = {name: copy.deepcopy(network) for name, network in networks.items()}
    for network in copies.values():
        network.requires_grad_(False).eval()
    return copies


@torch.no_grad()
def follow(averages: dict[str, nn.Module], networks: dict[str, nn.Module], decay: float, step: int) -> None:
    """Moves the averages towards the weights; early steps forget faster, so that the start doesn't linger.

    The decay of step n is min(decay, (1 + n) / (10 + n)), as in TensorFlow's ExponentialMovingAverage.
    Buffers (running statistics, counters) are copied.
    """
    decay = min(decay, (1 + step) / (10 + step))
    for name, network in networks.items():
        for a, b in zip(averages[name].parameters(), network.parameters(), strict=True):
            a.lerp_(b, 1 - decay)
        for a, b in zip(averages[name].buffers(), network.buffers(), strict=True):
            a.copy_(b)
