"""Kernels of the field against plain torch: values, and gradients in float64."""

from __future__ import annotations

import pytest
import torch

from headcast.methods.ohpavatars.field.encode import composite_packed, composite_reference, encode_points
from headcast.nets.hashgrid import HashGrid

COUNTS = (5, 0, 1, 9)


def small_grid(dtype: torch.dtype) -> HashGrid:
    """Three levels, the last of which is hashed."""
    torch.manual_seed(0)
    return HashGrid(3, 2, 3, 12, 8, dimensions=3).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_encoding_equals_plain_torch(dtype: torch.dtype) -> None:
    grid = small_grid(dtype)
    points = torch.rand(400, 3, dtype=dtype)
    points[0], points[1] = 0.0, 1.0
    expected = grid(points.T[None])[0].T
    torch.testing.assert_close(encode_points(grid, points), expected)
    weights = torch.randn_like(expected)
    gradients = [
        torch.autograd.grad((x * weights).sum(), list(grid.tables))
        for x in (encode_points(grid, points), grid(points.T[None])[0].T)
    ]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gradients_of_the_encoding() -> None:
    grid = small_grid(torch.float64)
    points = torch.rand(6, 3, dtype=torch.float64)
    tables = [t.detach().clone().requires_grad_() for t in grid.tables]

    def run(*values: torch.Tensor) -> torch.Tensor:
        grid.tables = torch.nn.ParameterList([torch.nn.Parameter(v) for v in values])
        for k, v in enumerate(values):
            grid.tables._parameters[str(k)] = v  # type: ignore[assignment]
        return encode_points(grid, points)

    assert torch.autograd.gradcheck(run, tables, fast_mode=True)


def packed(dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Four rays with different numbers of samples, one of which ends early."""
    g = torch.Generator().manual_seed(1)
    count = torch.tensor(COUNTS)
    n = int(count.sum())
    density = torch.rand(n, generator=g, dtype=dtype) * 40
    density[7] = 5000.0  # nothing of the last ray passes it
    colour = torch.rand(n, 3, generator=g, dtype=dtype)
    step = 0.01 + 0.01 * torch.rand(n, generator=g, dtype=dtype)
    depth = torch.cumsum(step, 0)
    return torch.cumsum(count, 0) - count, count, density, colour, step, depth


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compositing_equals_plain_torch(dtype: torch.dtype) -> None:
    given = packed(dtype)
    for ours, theirs in zip(composite_packed(*given), composite_reference(*given), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert float(composite_packed(*given).alpha[1]) == 0 and float(composite_packed(*given).alpha[3]) > 0.999


def test_gradients_of_compositing() -> None:
    start, count, density, colour, step, depth = packed(torch.float64)
    density[7] = 60.0
    inputs = density.requires_grad_(), colour.requires_grad_()
    assert torch.autograd.gradcheck(lambda d, c: composite_packed(start, count, d, c, step, depth), inputs)


def test_samples_behind_an_opaque_one_get_no_gradient() -> None:
    start, count, density, colour, step, depth = packed(torch.float64)
    density, colour = density.requires_grad_(), colour.requires_grad_()
    composite_packed(start, count, density, colour, step, depth).colour.sum().backward()
    assert density.grad is not None and colour.grad is not None
    assert float(density.grad[8:].abs().max()) == 0 and float(colour.grad[8:].abs().max()) == 0
    assert float(colour.grad[6:8].abs().min()) > 0
