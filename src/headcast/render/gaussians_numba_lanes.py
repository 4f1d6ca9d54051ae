"""Short vectors of floats for numba kernels.

numba has no vector type, and LLVM rarely vectorizes such code by itself. The functions below operate on
``LANES`` float32 at once. Their bodies in numpy define (and test) what they compute; after
``gaussians_numba_lower.lower`` was called, numba emits one vector instruction for each. LLVM splits the
vectors where the machine's registers are shorter.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch

__all__ = [
    "LANES",
    "Lanes",
    "absolute",
    "any_ge",
    "ceil",
    "exp",
    "exp2",
    "exp2_inside",
    "floor",
    "fma",
    "gather",
    "load",
    "load_block",
    "log2",
    "maximum",
    "minimum",
    "prefetch",
    "read",
    "scatter",
    "splat",
    "sqrt",
    "store",
    "store_block",
    "store_totals",
    "total",
    "where_ge",
]

Lanes: TypeAlias = np.ndarray
Array: TypeAlias = np.ndarray
Operand: TypeAlias = np.ndarray | float

LANES = 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8

LOG2E_HIGH, LOG2E_LOW = 1.4426950216293335, 1.9259629911266174e-8
# (2^f - 1) / f on [-1/2, 1/2], lowest order first: least maximum on 4000 points, 2^f's relative error 1e-7
EXP2 = (
    0.6931469775988462,
    0.24022242075353747,
    0.055507337452981836,
    0.009671513099650964,
    0.0013264726407015183,
)
ATANH = tuple(2.0 * 1.4426950408889634 / k for k in (1, 3, 5, 7, 9))


def splat(x: float) -> Lanes:
    """Broadcast x to every lane."""
    return np.full(LANES, x, np.float32)


def load(a: Array, i: int) -> Lanes:
    """Load a[i], a[i + 1], ... into the lanes."""
    return a[i : i + LANES].copy()


def read(a: Array, i: int) -> float:
    """Read a[i] for an i that is known not to be negative: numba's own access asks every time."""
    return float(a[i])


def store(a: Array, i: int, v: Lanes) -> None:
    """Store the lanes of v to a[i], a[i + 1], ..."""
    a[i : i + LANES] = v


def prefetch(a: Array, i: int) -> None:
    """Prefetch the cache line of a[i]."""


def gather(a: Array, i: int, stride: int) -> Lanes:
    """Load a[i], a[i + stride], ... into the lanes."""
    return a[i : i + LANES * stride : stride][:LANES].copy()


def scatter(a: Array, i: int, stride: int, v: Lanes) -> None:
    """Store the lanes of v to a[i], a[i + stride], ..."""
    a[i : i + (LANES - 1) * stride + 1 : stride] = v


def load_block(a: Array, i: int, pitch: int) -> Lanes:
    """Load rows of four: a[i] to a[i + 3], then the same from i + pitch on, ..."""
    return np.concatenate([a[i + k * pitch : i + k * pitch + 4] for k in range(LANES // 4)])


def store_block(a: Array, i: int, pitch: int, v: Lanes) -> None:
    """Store v as rows of four, like :func:`load_block`."""
    for k in range(LANES // 4):
        a[i + k * pitch : i + k * pitch + 4] = v[4 * k : 4 * k + 4]


def fma(a: Operand, b: Operand, c: Operand) -> Lanes:
    """Compute a * b + c, rounded once."""
    return np.asarray(np.float64(1.0) * a * b + c, np.float32)


def minimum(a: Operand, b: Operand) -> Lanes:
    """Return the smaller per lane; the other one where one is NaN."""
    return np.fmin(a, b)


def maximum(a: Operand, b: Operand) -> Lanes:
    """Return the larger per lane; the other one where one is NaN."""
    return np.fmax(a, b)


def sqrt(a: Lanes) -> Lanes:
    """Compute the square root per lane."""
    return np.sqrt(a)


def floor(a: Lanes) -> Lanes:
    """Round down to an integer per lane."""
    return np.floor(a)


def ceil(a: Lanes) -> Lanes:
    """Round up to an integer per lane."""
    return np.ceil(a)


def absolute(a: Lanes) -> Lanes:
    """Compute the absolute value per lane."""
    return np.abs(a)


def where_ge(a: Operand, b: Operand, yes: Operand, no: Operand) -> Lanes:
    """Select ``yes`` where a >= b, else ``no`` (also for NaN)."""
    return np.where(a >= b, yes, no)


def any_ge(a: Operand, b: Operand) -> bool:
    """Whether a >= b in any lane."""
    return bool(np.any(a >= b))


def total(v: Lanes) -> np.float32:
    """Sum over the lanes, pairwise (fixed order)."""
    while len(v) > 1:
        v = v[: len(v) // 2] + v[len(v) // 2 :]
    return v[0]


def store_totals(a: Array, i: int, *vectors: Lanes) -> None:
    """Store the sums over the lanes of ten vectors to a[i] to a[i + 9]; a[i + 15] is the last it may
    overwrite."""
    a[i : i + len(vectors)] = [total(v) for v in vectors]


def exp2(v: Lanes) -> Lanes:
    """Compute 2 to the v, relative error below 2e-7; v is raised to -126 at least and must stay below 128."""
    return np.exp2(np.fmax(v, np.float32(-126)))


def exp2_inside(v: Lanes) -> Lanes:
    """Compute :func:`exp2` for v in -126..127; undefined for other v, which must be masked afterwards."""
    return exp2(v)


def exp(v: Lanes) -> Lanes:
    """Compute e to the v, relative error below 3e-7, for v in -87..88; beyond, the value at that border."""
    return np.exp(np.fmin(np.fmax(v, np.float32(-87)), np.float32(88)))


def log2(v: Lanes) -> Lanes:
    """Compute the base-2 logarithm of positive normal numbers, absolute error below 2e-7 near 1."""
    return np.log2(v)
