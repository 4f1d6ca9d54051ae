"""Interpolating functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headcast.interpolation import smoothstep

EDGE = st.floats(-10, 10, allow_nan=False, width=32)


def test_ends_and_middle_are_exact() -> None:
    x = np.array([-3.0, 1.0, 1.5, 2.0, 7.0], np.float32)
    assert smoothstep(x, 1.0, 2.0).tolist() == [0, 0, 0.5, 1, 1]
    assert smoothstep(x, 2.0, 1.0).tolist() == [1, 1, 0.5, 0, 0]
    assert float(smoothstep(1.25, 1.0, 2.0)) == 0.15625


def test_types_are_kept() -> None:
    for kind in (np.float32, np.float64):
        assert smoothstep(np.zeros((2, 3), kind), -1.0, 1.0).dtype == kind
    assert smoothstep(torch.zeros(2, 3, dtype=torch.float64), -1.0, 1.0).dtype == torch.float64
    assert smoothstep(torch.zeros(4), -1.0, 1.0).shape == (4,)


@given(low=EDGE, width=st.floats(0.125, 5, width=32), at=st.lists(EDGE, min_size=2, max_size=6))
def test_rises_within_0_and_1_alike_in_both_libraries(low: float, width: float, at: list[float]) -> None:
    x = np.sort(np.array(at, np.float64))
    y = smoothstep(x, low, low + width)
    assert ((y >= 0) & (y <= 1)).all() and (np.diff(y) >= -1e-12).all()
    assert np.array_equal(y, smoothstep(torch.from_numpy(x), low, low + width).numpy())


@pytest.mark.parametrize("at", [0.0, 1.0])
def test_is_flat_at_its_edges(at: float) -> None:
    x = torch.tensor([at], dtype=torch.float64, requires_grad=True)
    smoothstep(x, 0.0, 1.0).sum().backward()
    assert x.grad is not None and float(x.grad.abs()) < 1e-12
