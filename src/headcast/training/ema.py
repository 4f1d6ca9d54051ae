"""Exponential moving averages of weights, which are exported and render the preview images."""

from __future__ import annotations

import copy

import torch
from torch import nn

__all__ = ["copy_for_averages", "update_averages"]


def copy_for_averages(networks: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Copy networks to hold the averages: no gradients, evaluation mode."""
    copies = {name: copy.deepcopy(network) for name, network in networks.items()}
    for network in copies.values():
        network.requires_grad_(False).eval()
    return copies


@torch.no_grad()
def update_averages(
    averages: dict[str, nn.Module], networks: dict[str, nn.Module], decay: float, step: int
) -> None:
    """Update the averages; the decay is smaller in early steps, so that the initial weights are forgotten.

    The decay of step n is min(decay, (1 + n) / (10 + n)), as in TensorFlow's ExponentialMovingAverage.
    Buffers (running statistics, counters) are copied.
    """
    decay = min(decay, (1 + step) / (10 + step))
    for name, network in networks.items():
        for a, b in zip(averages[name].parameters(), network.parameters(), strict=True):
            a.lerp_(b, 1 - decay)
        for a, b in zip(averages[name].buffers(), network.buffers(), strict=True):
            a.copy_(b)
