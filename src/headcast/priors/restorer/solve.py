"""Initialization of training: the last layer by least squares on the untrained network's features."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad, unfold

from headcast.priors.restorer.network import Restorer

__all__ = ["solve_last_layer"]

RIDGE = 1e-3
SMALLEST = 0.01  # root mean square of a pair's difference below which pairs weigh no more


class _Rows(NamedTuple):
    """Places of crops: inputs of the last layer with a 1, wanted residuals, roots of weights."""

    inputs: Tensor
    residuals: Tensor
    root_weight: Tensor


@torch.no_grad()
def solve_last_layer(network: Restorer, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Set the last layer to the ridge regression of residuals on its inputs (3x3 places of all channels).

    Each crop weighs as the inverse of the root of its mean squared difference, so that strongly
    degraded ones don't drown the others. Sums are kept in the given order: a function of the pairs.

    Args:
        pairs: degraded and clear crops, (b, 3, h, w) in [-1, 1].
    """
    weight = network.leave.weight
    inputs, outputs = weight[0].numel() + 1, weight.shape[0]
    gram = torch.zeros(inputs, inputs, device=weight.device)
    cross = torch.zeros(inputs, outputs, device=weight.device)
    count = 0
    for degraded, clear in pairs:
        x, y, w = _weighted_rows(network, clear, degraded)
        gram += (x * w).T @ (x * w)
        cross += (x * w).T @ (y * w)
        count += len(x)
    level = RIDGE * gram.diagonal().mean()
    solved = torch.linalg.solve(gram.double() + level * torch.eye(inputs, device=gram.device), cross.double())
    weight.copy_(solved[:-1].T.reshape(weight.shape))
    assert network.leave.bias is not None
    network.leave.bias.copy_(solved[-1])


def _weighted_rows(network: Restorer, clear: Tensor, degraded: Tensor) -> _Rows:
    """Return inputs and residuals of a batch's places as rows, and the roots of their weights."""
    weight_of_crop = 1 / (clear - degraded).square().mean((1, 2, 3)).sqrt().clamp_min(SMALLEST)
    x = unfold(pad(network.features(degraded), (1, 1, 1, 1)), 3)  # b, channels x 9, places
    x = places_as_rows(torch.cat([x, torch.ones_like(x[:, :1])], 1))
    y = places_as_rows(network.coefficients(clear - degraded).flatten(2))
    w = weight_of_crop.sqrt().repeat_interleave(len(x) // len(degraded))[:, None]
    return _Rows(x, y, w)


def places_as_rows(x: Float[Tensor, "b c n"]) -> Float[Tensor, "m c"]:
    """Reshape so that every place of every crop is a row."""
    return x.transpose(1, 2).reshape(-1, x.shape[1])
