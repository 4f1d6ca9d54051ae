"""The hash encoding in one to three dimensions: exact at nodes, continuous, differentiable."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headcast.nets.hashgrid import PRIMES, HashGrid

DENSE = 20
"""Logarithm of a table that holds every corner of these tests."""


def grid_of(dimensions: int, log2_size: int = DENSE, finest: int = 9) -> HashGrid:
    """Three levels from 3 cells on, in float64."""
    torch.manual_seed(dimensions)
    return HashGrid(3, 2, 3, finest, log2_size, dimensions).double()


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_table_lengths_and_channels(dimensions: int) -> None:
    grid = HashGrid(3, 2, 3, 12, 8, dimensions)
    assert grid.cells == [3, 6, 12] and grid.channels == 6
    assert [len(t) for t in grid.tables] == [min((n + 1) ** dimensions, 256) for n in grid.cells]
    assert grid(torch.rand(2, dimensions, 5)).shape == (2, 6, 5)
    assert grid(torch.rand(2, dimensions, 3, 4)).shape == (2, 6, 3, 4)


def test_other_dimensions_are_refused() -> None:
    for dimensions in (0, 4):
        with pytest.raises(ValueError, match=f"not {dimensions}"):
            HashGrid(dimensions=dimensions)


@pytest.mark.parametrize("log2_size", [DENSE, 5])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_node_of_the_first_level_reads_its_own_entry(dimensions: int, log2_size: int) -> None:
    grid = grid_of(dimensions, log2_size)
    nodes = torch.tensor(list(product(range(4), repeat=dimensions)))
    found = grid(nodes.T[None].double() / 3)[0, :2].T
    rows = (nodes * torch.tensor([4**k for k in range(dimensions)])).sum(1)
    if (4**dimensions) > 2**log2_size:
        rows = torch.zeros(len(nodes), dtype=torch.long)
        for k in range(dimensions):
            rows ^= nodes[:, k] * PRIMES[k]
        rows %= 2**log2_size
    torch.testing.assert_close(found, grid.tables[0][rows])


@given(st.integers(2, 3), st.integers(0, 2**31), st.booleans())
def test_is_continuous_across_cells(dimensions: int, seed: int, dense: bool) -> None:
    grid = grid_of(dimensions, DENSE if dense else 5)
    g = torch.Generator().manual_seed(seed)
    at = torch.rand(1, dimensions, 20, generator=g, dtype=torch.float64)
    axis = int(torch.randint(dimensions, (), generator=g))
    at[0, axis] = torch.randint(1, 9, (20,), generator=g) / 9  # on walls between cells of the finest level
    step = torch.zeros_like(at)
    step[0, axis] = 1e-9
    assert (grid(at + step) - grid(at - step)).abs().max() < 1e-8


@given(st.integers(2, 3), st.integers(0, 2**31))
def test_is_linear_along_each_axis_within_a_cell(dimensions: int, seed: int) -> None:
    grid = grid_of(dimensions, finest=3)  # all levels have the same cells
    g = torch.Generator().manual_seed(seed)
    cell = torch.randint(3, (dimensions, 1), generator=g)
    a = (cell + torch.rand(dimensions, 1, generator=g, dtype=torch.float64)) / 3
    b = a.clone()
    axis = int(torch.randint(dimensions, (), generator=g))
    b[axis] = (cell[axis] + torch.rand(1, generator=g, dtype=torch.float64)) / 3
    ends, middle = grid(torch.stack([a, b])), grid(((a + b) / 2)[None])
    torch.testing.assert_close(ends.mean(0, keepdim=True), middle)


def test_a_plane_of_the_volume_is_a_two_dimensional_grid() -> None:
    flat, volume = grid_of(2), grid_of(3)
    for table, other, n in zip(flat.tables, volume.tables, volume.cells, strict=True):
        table.data = other.data[: (n + 1) ** 2]  # z runs slowest: the first layer is z = 0
    points = torch.rand(2, 3, 40, dtype=torch.float64)
    points[:, 2] = 0
    torch.testing.assert_close(volume(points), flat(points[:, :2]))


@pytest.mark.parametrize("log2_size", [DENSE, 5])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_gradients(dimensions: int, log2_size: int) -> None:
    grid = HashGrid(2, 2, 3, 5, log2_size, dimensions).double()
    points = (torch.rand(1, dimensions, 4, dtype=torch.float64) * 0.9 + 0.03).requires_grad_()
    assert torch.autograd.gradcheck(grid, (points,))

    def of_tables(*t: torch.Tensor) -> torch.Tensor:
        state = {f"tables.{i}": x for i, x in enumerate(t)}
        return torch.func.functional_call(grid, state, (points.detach(),))

    assert torch.autograd.gradcheck(of_tables, tuple(grid.tables))
