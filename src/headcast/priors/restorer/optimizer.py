"""Orthogonalized momentum ("Muon", Jordan et al. 2024) for convolutions: much done in few steps.

Adam's step in a layer whose inputs move together (as pixels do) goes mostly in one direction. Here all
singular directions of a layer's step have about the same length.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

__all__ = ["Muon", "orthogonalize"]

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz iteration: singular values end between .7 and 1.2."""
ROUNDS = 5
BETAS = (0.9, 0.99)


class Muon(Optimizer):
    """Momentum, orthogonalized, for weights of two or more dimensions (rows: outputs); Adam for the rest.

    Args:
        rate: of weights: the spectral norm of a step (times the root of rows over columns, where that is
            more than 1). vectors: Adam's rate for biases, as a fraction of it.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], rate: float, momentum: float = 0.9, vectors: float = 0.05
    ) -> None:
        super().__init__(parameters, {"lr": rate, "momentum": momentum, "vectors": vectors})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step along the gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.dim() < 2:
                    self.adam(p, group["lr"] * group["vectors"])
                    continue
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.mul_(group["momentum"]).add_(p.grad)
                along = torch.add(p.grad, mean, alpha=group["momentum"]).flatten(1)  # Nesterov's
                longer = max(1.0, along.shape[0] / along.shape[1]) ** 0.5
                p.sub_(orthogonalize(along).view_as(p), alpha=group["lr"] * longer)

    def adam(self, p: Tensor, rate: float) -> None:
        """Take Adam's step of one parameter."""
        state = self.state[p]
        if not state:
            state.update(mean=torch.zeros_like(p), square=torch.zeros_like(p), step=torch.zeros(()))
        state["step"] += 1
        n = float(state["step"])
        assert p.grad is not None
        state["mean"].lerp_(p.grad, 1 - BETAS[0])
        state["square"].lerp_(p.grad.square(), 1 - BETAS[1])
        spread = (state["square"] / (1 - BETAS[1] ** n)).sqrt() + 1e-8
        p.sub_(state["mean"] / spread, alpha=rate / (1 - BETAS[0] ** n))


def orthogonalize(x: Float[Tensor, "r c"]) -> Float[Tensor, "r c"]:
    """Return nearly the nearest matrix with orthonormal rows or columns, by a Newton-Schulz iteration."""
    wide = x if x.shape[0] <= x.shape[1] else x.T
    y = wide / (wide.norm() + 1e-12)
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        square = y @ y.T
        y = a * y + (b * square + c * square @ square) @ y
    return y if wide is x else y.T
