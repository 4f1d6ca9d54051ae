"""Least-squares solution of the UV restorer's linear filters, before its U-Net is trained."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import pad, unfold

from headcast.methods.superhead.uv_network import DARKEST, GATES, TAPS, UVRestorer, gates, level_of

__all__ = ["solve_filters"]

SAMPLES = 1500
"""Texels of a crop that enter the equations."""
RIDGE = 3e-4  # of the mean square of inputs, added to the equations' diagonal
MAX_LOG = 1.0  # of a target: larger ratios are misalignment


@torch.no_grad()
def solve_filters(network: UVRestorer, batches: Iterable[dict[str, Tensor]], seed: int = 0) -> None:
    """Set the filters to those that predict the log ratio of sharp and low albedo best, texels weighted.

    Args:
        batches: ``maps`` (b, c, s, s), ``sharp`` (b, 3, s, s) and ``weight`` (b, 1, s, s) of crops.
    """
    rng = torch.Generator().manual_seed(seed)
    size = GATES * 2 * TAPS * TAPS
    square, right = torch.zeros(size, size), torch.zeros(size)
    for batch in batches:
        level = level_of(batch["maps"])
        gate = gates(batch["maps"], level)
        target = (batch["sharp"].clamp(min=DARKEST).log() - level).clamp(-MAX_LOG, MAX_LOG)
        reach = TAPS // 2
        both = torch.cat([level, level.mean(1, keepdim=True)], 1)
        padded = pad(both, (reach, reach, reach, reach), mode="replicate")
        for k in range(len(level)):
            patches = unfold(padded[k][:, None], TAPS)  # 4, taps, texels
            at = torch.randint(patches.shape[-1], (SAMPLES,), generator=rng)
            weight = batch["weight"][k].flatten()[at]
            g = gate[k].flatten(1)[:, at].T
            mean = patches[3][:, at].T
            for c in range(3):
                values = torch.cat([patches[c][:, at].T, mean], 1)
                rows = (g[:, :, None] * values[:, None]).flatten(1)
                weighted = rows * weight[:, None]
                square += weighted.T @ rows
                right += weighted.T @ target[k, c].flatten()[at]
    square += RIDGE * square.diagonal().mean() * torch.eye(size)
    found = torch.linalg.solve(square.double(), right.double()).float()
    network.filters.copy_(found.reshape(GATES, 2, TAPS, TAPS))
