"""Random numbers by name: the same for a given seed, person and name, whatever else is drawn or batched.

A number is a hash (the finalizer of splitmix64, Steele et al. 2014) of seed, name, row and column. Nothing
depends on the order of draws, on the size of the batch or on the device.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["CounterRng"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class CounterRng:
    """Draws for a batch; row i belongs to the numbers ``rows[i]``, for example person, frame and view.

    Attributes:
        rows: (B, K) integers that name each row.
        seed: of everything.
        device: where results go.
    """

    rows: Int[np.ndarray, "b k"]
    seed: int
    device: torch.device

    def uniform(self, name: str, *size: int, low: float = 0.0, high: float = 1.0) -> Float[Tensor, "b *size"]:
        """Uniform in low..high, one row per row of the rng."""
        u = self._unit(name, size)
        return torch.from_numpy((low + (high - low) * u).astype(np.float32)).to(self.device)

    def normal(self, name: str, *size: int, clip: float = 4.0) -> Float[Tensor, "b *size"]:
        """Standard normal (Box-Muller), cut at ``clip``."""
        a, b = self._unit(name + "|a", size), self._unit(name + "|b", size)
        n = np.sqrt(-2 * np.log1p(-a)) * np.cos(2 * np.pi * b)
        return torch.from_numpy(n.clip(-clip, clip).astype(np.float32)).to(self.device)

    def spread_normal(self, name: str, low: float, high: float) -> Float[Tensor, " b"]:
        """Standard normal between two of its quantiles."""
        u = low + (high - low) * self._unit(name, ())
        return torch.tensor([NormalDist().inv_cdf(float(x)) for x in u.clip(1e-5, 1 - 1e-5)]).to(self.device)

    def chance(self, name: str, share: float | Tensor) -> Tensor:
        """Whether something with the given probability happens (bool, B)."""
        return self.uniform(name) < share

    def choice(self, name: str, weights: tuple[float, ...]) -> Int[Tensor, " b"]:
        """An index drawn with the given weights."""
        edges = np.cumsum(weights) / sum(weights)
        index = np.searchsorted(edges, self._unit(name, ()), side="right").clip(max=len(weights) - 1)
        return torch.from_numpy(index.astype(np.int64)).to(self.device)

    def _unit(self, name: str, size: tuple[int, ...]) -> Float[np.ndarray, "..."]:
        """Doubles in 0..1 (one excluded)."""
        count = int(np.prod(size, dtype=np.int64))
        with np.errstate(over="ignore"):
            word = np.array([zlib.crc32(name.encode())], np.uint64)
            h = _mixed(word + np.uint64(self.seed % 2**64) * GOLDEN)
            h = np.broadcast_to(h, (len(self.rows),))
            for k in range(self.rows.shape[1]):
                h = _mixed(h ^ (self.rows[:, k].astype(np.uint64) + np.uint64(k + 1)) * GOLDEN)
            cells = _mixed(h[:, None] + np.arange(1, count + 1, dtype=np.uint64) * GOLDEN)
        return ((cells >> np.uint64(11)) * 2.0**-53).reshape(len(self.rows), *size)


def _mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
