"""Linear layers with the initialisation and the run-time scale of StyleGAN2 (Karras et al. 2020)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["EqualizedLinear"]


class EqualizedLinear(nn.Module):
    """Linear layer whose weights start with unit variance and are scaled when used (equalized learning rate).

    Args:
        inputs, outputs: channels. bias: what every bias starts at.
        rate: factor of the learning rate: weights and biases are stored divided by it.
    """

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), float(bias) / rate))
        self.gain, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        """Apply the scaled weights to ``x`` and add the bias."""
        bias = self.bias if self.rate == 1 else self.bias * self.rate
        return torch.nn.functional.linear(x, self.weight * self.gain, bias)
