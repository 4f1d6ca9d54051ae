"""Every vector function of the kernels against its numpy definition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from headcast.render.gaussians_numba_lanes import (
    LANES,
    absolute,
    any_ge,
    ceil,
    exp,
    exp2,
    exp2_inside,
    floor,
    fma,
    gather,
    load,
    load_block,
    log2,
    maximum,
    minimum,
    prefetch,
    read,
    scatter,
    splat,
    sqrt,
    store,
    store_block,
    store_totals,
    total,
    where_ge,
)
from headcast.render.gaussians_numba_lower import lower


def _simple(a, b, out):  # type: ignore[no-untyped-def]
    prefetch(a, 3)
    x, y = load(a, 0), load(b, 0)
    store(out, 0, fma(x, y, 1.5))
    store(out, LANES, where_ge(x, y, x, 0.0) * 2.0 - x / y)
    store(out, 2 * LANES, -floor(x) + ceil(y) + absolute(x) + sqrt(y))
    store(out, 3 * LANES, minimum(x, 2) + maximum(y, splat(0.5)))
    store(out, 4 * LANES, gather(a, 1, 2))
    scatter(out, 5 * LANES, 2, y)
    store_block(out, 8 * LANES, 9, load_block(a, 3, 5))
    out[12 * LANES] = total(x)
    out[12 * LANES + 1] = 1.0 if any_ge(x, 10.0) else 0.0
    out[12 * LANES + 2] = read(a, 7)


def _curves(a, b, out):  # type: ignore[no-untyped-def]
    store(out, 0, exp2(load(a, 0)))
    store(out, LANES, exp(load(a, 0)))
    store(out, 2 * LANES, log2(load(b, 0)))
    store(out, 3 * LANES, exp2_inside(minimum(maximum(load(a, 0), -126.0), 126.0)))


def _sums(a, b, out):  # type: ignore[no-untyped-def]
    x, y = load(a, 0), load(b, 0)
    store_totals(out, 0, x, y, x + y, x - y, x * y, x * 2, y * 3, x * x, y * y, x + 1)


def both(fn: Callable[..., None], a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What numba's compilation and Python write."""
    numba = pytest.importorskip("numba")
    lower()
    out = np.zeros((2, 16 * LANES), np.float32)
    numba.njit(error_model="numpy")(fn)(a, b, out[0])
    fn(a, b, out[1])
    return out[0], out[1]


@pytest.mark.parametrize("size", [0.1, 3.0, 40.0])
def test_functions_mean_what_numpy_says(size: float) -> None:
    g = np.random.default_rng(0)
    a = (g.normal(size=4 * LANES) * size).astype(np.float32)
    b = (np.abs(g.normal(size=4 * LANES)) * size + 1e-3).astype(np.float32)
    fast, plain = both(_simple, a, b)
    np.testing.assert_allclose(fast, plain, rtol=1e-6, atol=1e-6 * size)
    fast, plain = both(_curves, a, b)
    np.testing.assert_allclose(fast, plain, rtol=4e-7, atol=2e-7)
    fast, plain = both(_sums, a, b)
    np.testing.assert_array_equal(fast[:10], plain[:10])


def test_extremes_stay_finite() -> None:
    a = np.resize(np.array([-1e30, -200.0, 0.0, 87.0, np.nan, -np.inf], np.float32), LANES)
    fast, _ = both(_curves, a, np.ones(LANES, np.float32))
    assert np.isfinite(fast[: 2 * LANES]).all()
