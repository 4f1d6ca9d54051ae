"""Adam for rows of large tensors of which every step updates some (torch's SparseAdam in one pass).

Kingma and Ba 2015, algorithm 1. Moments of rows without a gradient in a step stay as they are, and so do
these rows: nothing moves by momentum that no image shows.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.render.jit import kernel, parallel

__all__ = ["RowAdam"]

CHUNK = 8192  # rows a thread takes at a time


class RowAdam:
    """Steps of one float32 tensor on a CPU, in place.

    Args:
        values: (N, ...) what is optimized.
        betas, eps: as Adam's.
    """

    def __init__(self, values: Float[Tensor, "n *c"], betas: tuple[float, float], eps: float) -> None:
        self.values, self.betas, self.eps, self.steps = values, betas, eps, 0
        self.first, self.second = torch.zeros_like(values), torch.zeros_like(values)

    def step(
        self,
        index: Int[Tensor, "r"],
        gradient: Float[Tensor, "r *c"],
        rate: float,
        step_fraction: Float[Tensor, "r"],
    ) -> None:
        """Move the rows ``index`` (all different) by their ``step_fraction`` of a step of this ``rate``."""
        self.steps += 1
        low, high = (1 - b**self.steps for b in self.betas)
        size = rate * math.sqrt(high) / low
        flat = [x.view(len(self.values), -1).numpy() for x in (self.values, self.first, self.second)]
        rows = gradient.reshape(len(index), -1).contiguous().numpy()
        which, part = index.contiguous().numpy(), step_fraction.contiguous().numpy()
        numbers = np.array([*self.betas, self.eps, size], np.float32)

        def work(k: int) -> None:
            _step_rows(which, rows, part, numbers, *flat, k * CHUNK, min((k + 1) * CHUNK, len(which)))

        parallel(work, -(-len(which) // CHUNK))


@kernel("void(i8[::1], f4[:,::1], f4[::1], f4[::1], f4[:,::1], f4[:,::1], f4[:,::1], i8, i8)")
def _step_rows(index, gradient, fraction, numbers, values, first, second, start, stop):
    """Update the rows start..stop of ``index`` by one step."""
    beta1, beta2, eps, size = numbers[0], numbers[1], numbers[2], numbers[3]
    one = np.float32(1)
    for r in range(start, stop):
        i = index[r]
        for c in range(values.shape[1]):
            g = gradient[r, c]
            m = first[i, c] + (one - beta1) * (g - first[i, c])
            v = second[i, c] + (one - beta2) * (g * g - second[i, c])
            first[i, c], second[i, c] = m, v
            values[i, c] -= fraction[r] * size * m / (math.sqrt(v) + eps)
