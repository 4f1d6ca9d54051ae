"""Short vectors of floats for numba kernels.

numba has no vector type and LLVM rarely finds the vectors by itself in code like ours. Here a kernel says what it
wants: the functions below work on ``LANES`` float32 at once. Written out they are numpy one-liners, so a kernel also
runs (slowly) as plain Python; when numba compiles one, :func:`install` has taught it to emit one vector instruction
for each. LLVM splits the vectors where the machine's registers are shorter.

numba is imported by the first call of a kernel, not by importing this module.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch

__all__ = [
    "LANES", "Lanes", "absolute", "any_ge", "ceil", "exp", "exp2", "floor", "fma", "gather", "inline", "install",
    "kernel", "load", "log2", "maximum", "minimum", "scatter", "splat", "sqrt", "store", "total", "where_ge",
]  # fmt: skip

Lanes: TypeAlias = np.ndarray
Array: TypeAlias = np.ndarray

LANES = 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8

LOG2E_HIGH, LOG2E_LOW = 1.4426950216293335, 1.9259629911266174e-8
# (2^f - 1) / f on [-1/2, 1/2], lowest order first: interpolated at 4000 Chebyshev points, relative error of 2^f 5e-9
EXP2 = (
    0.6931471880293426, 0.24022650922342728, 0.05550357104253107, 0.009618056669891186, 0.0013390867351339444,
    0.0001546144746153399,
)  # fmt: skip
ATANH = tuple(2.0 * 1.4426950408889634 / k for k in (1, 3, 5, 7, 9))


def splat(x: float) -> Lanes:
    """x in every lane."""
    return np.full(LANES, x, np.float32)


def load(a: Array, i: int) -> Lanes:
    """a[i], a[i + 1], ..."""
    return a[i : i + LANES].copy()


def store(a: Array, i: int, v: Lanes) -> None:
    """Writes v to a[i], a[i + 1], ..."""
    a[i : i + LANES] = v


def gather(a: Array, i: int, stride: int) -> Lanes:
    """a[i], a[i + stride], ..."""
    return a[i : i + LANES * stride : stride][:LANES].copy()


def scatter(a: Array, i: int, stride: int, v: Lanes) -> None:
    """Writes v to a[i], a[i + stride], ..."""
    a[i : i + (LANES - 1) * stride + 1 : stride] = v


def fma(a: Lanes, b: Lanes, c: Lanes) -> Lanes:
    """a * b + c, rounded once."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


def minimum(a: Lanes, b: Lanes) -> Lanes:
    """The smaller; the other one where one is NaN."""
    return np.fmin(a, b)


def maximum(a: Lanes, b: Lanes) -> Lanes:
    """The larger; the other one where one is NaN."""
    return np.fmax(a, b)


def sqrt(a: Lanes) -> Lanes:
    """Square root."""
    return np.sqrt(a)


def floor(a: Lanes) -> Lanes:
    """Next integer below."""
    return np.floor(a)


def ceil(a: Lanes) -> Lanes:
    """Next integer above."""
    return np.ceil(a)


def absolute(a: Lanes) -> Lanes:
    """Magnitude."""
    return np.abs(a)


def where_ge(a: Lanes, b: Lanes, yes: Lanes, no: Lanes) -> Lanes:
    """``yes`` where a >= b, else ``no`` (also for NaN)."""
    return np.where(a >= b, yes, no)


def any_ge(a: Lanes, b: Lanes) -> bool:
    """Whether a >= b in any lane."""
    return bool((a >= b).any())


def total(v: Lanes) -> np.float32:
    """Sum over the lanes, pairwise."""
    while len(v) > 1:
        v = v[: len(v) // 2] + v[len(v) // 2 :]
    return v[0]


def exp2(v: Lanes) -> Lanes:
    """2 to the v, relative error below 2e-7; v is raised to -126 at least and must stay below 128."""
    return np.exp2(np.fmax(v, np.float32(-126)))


def exp(v: Lanes) -> Lanes:
    """e to the v, relative error below 3e-7, for v in -87..88; beyond, the value at that border."""
    return np.exp(np.fmin(np.fmax(v, np.float32(-87)), np.float32(88)))


def log2(v: Lanes) -> Lanes:
    """Logarithm of positive normal numbers, absolute error below 2e-7 near 1."""
    return np.log2(v)


_KERNEL_OPTIONS = {"error_model": "numpy", "nogil": True, "cache": True}
_INLINED: list[Callable[..., Any]] = []


def inline(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a function that kernels call; it is compiled into them."""
    _INLINED.append(fn)
    return fn


def kernel(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function that numba compiles on its first call (cached on disk) and that runs without the GIL.

    ``.python`` is the function itself, for running it without numba.
    """
    compiled: list[Callable[..., Any]] = []
    plain = inspect.unwrap(fn)

    @functools.wraps(plain)
    def call(*args: Any) -> Any:
        if not compiled:
            import numba

            install()
            compiled.append(numba.njit(**_KERNEL_OPTIONS)(plain))
        return compiled[0](*args)

    call.python = plain  # pyright: ignore[reportFunctionMemberAccess]
    return call


_installed: list[int] = []


def install() -> None:
    """Teaches numba the functions above and those marked :func:`inline`; a repeated call adds what is new."""
    from numba.extending import overload

    if not _installed:
        from headcast.render.gaussians_numba_lower import lower

        lower()
        _installed.append(0)
    for fn in _INLINED[_installed[0] :]:
        plain = inspect.unwrap(fn)
        options = {"error_model": "numpy", "forceinline": True}
        overload(fn, strict=False, jit_options=options)(lambda *_, plain=plain, **__: plain)
    _installed[0] = len(_INLINED)
