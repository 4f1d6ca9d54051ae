"""Random numbers by name: the same for a given seed, person and name, whatever else is sampled or batched.

A number is a hash (the finalizer of splitmix64, Steele et al. 2014) of seed, name, row and column. Nothing
depends on the order of calls, on the size of the batch or on the device.
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
    """Counter-based RNG of a batch; row i is keyed by ``rows[i]``, for example person, frame and view.

    Attributes:
        rows: (B, K) integers that name each row.
        seed: of everything.
        device: where results go.
    """

    rows: Int[np.ndarray, "b k"]
    seed: int
    device: torch.device

    def uniform(self, name: str, *size: int, low: float = 0.0, high: float = 1.0) -> Float[Tensor, "b *size"]:
        """Sample uniformly in low..high, one row per row of the RNG."""
        u = self._unit(name, size)
        return torch.from_numpy((low + (high - low) * u).astype(np.float32)).to(self.device)

    def normal(self, name: str, *size: int, clip: float = 4.0) -> Float[Tensor, "b *size"]:
        """Sample a standard normal (Box-Muller), cut at ``clip``."""
        a, b = self._unit(name + "|a", size), self._unit(name + "|b", size)
        n = np.sqrt(-2 * np.log1p(-a)) * np.cos(2 * np.pi * b)
        return torch.from_numpy(n.clip(-clip, clip).astype(np.float32)).to(self.device)

    def spread_normal(self, name: str, low: float, high: float) -> Float[Tensor, " b"]:
        """Sample a standard normal between two of its quantiles."""
        u = low + (high - low) * self._unit(name, ())
        return torch.tensor([NormalDist().inv_cdf(float(x)) for x in u.clip(1e-5, 1 - 1e-5)]).to(self.device)

    def chance(self, name: str, probability: float | Tensor) -> Tensor:
        """Sample (B,) booleans that are true with a probability."""
        return self.uniform(name) < probability

    def choice(self, name: str, weights: tuple[float, ...]) -> Int[Tensor, " b"]:
        """Sample an index with the given weights."""
        edges = np.cumsum(weights) / sum(weights)
        index = np.searchsorted(edges, self._unit(name, ()), side="right").clip(max=len(weights) - 1)
        return torch.from_numpy(index.astype(np.int64)).to(self.device)

    def _unit(self, name: str, size: tuple[int, ...]) -> Float[np.ndarray, "..."]:
        """Hash to doubles in 0..1 (one excluded)."""
        count = int(np.prod(size, dtype=np.int64))
        with np.errstate(over="ignore"):
            word = np.array([zlib.crc32(name.encode())], np.uint64)
            h = _mix(word + np.uint64(self.seed % 2**64) * GOLDEN)
            h = np.broadcast_to(h, (len(self.rows),))
            for k in range(self.rows.shape[1]):
                h = _mix(h ^ (self.rows[:, k].astype(np.uint64) + np.uint64(k + 1)) * GOLDEN)
            cells = _mix(h[:, None] + np.arange(1, count + 1, dtype=np.uint64) * GOLDEN)
        return ((cells >> np.uint64(11)) * 2.0**-53).reshape(len(self.rows), *size)


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
