"""Squares of images by sampling grids: where pixels come from, gradients, agreement of both kinds."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headcast.crops.grid import (
    MOST_FINER,
    fit_similarity_2d,
    sample_similarity,
    sample_square,
    sample_squares,
    square_grid,
    supersampling,
)

H, W = 60, 80


def places() -> torch.Tensor:
    """An image (1, 2, H, W) in float64 whose values are x and y of its pixels."""
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    return torch.stack([x, y])[None].double()


def test_one_sample_a_pixel_unless_the_square_is_larger() -> None:
    assert [supersampling(s, 100) for s in (10, 149, 151, 420, 5000)] == [1, 1, 2, 4, MOST_FINER]
    assert supersampling(5000, 100, 16) == 16


@given(st.floats(-0.6, 0.6), st.floats(-0.2, 0.2), st.booleans())
def test_grids_turn_shift_and_mirror(turn: float, shift: float, mirrored: bool) -> None:
    box = torch.tensor([[30.0, 20, 50, 36]])
    sign = torch.tensor([-1.0 if mirrored else 1.0])
    moved = torch.tensor([[shift, 0.0]])
    grid = square_grid(box, H, W, 10, 1.2, moved, torch.tensor([turn]), sign)[0]
    pixels = (grid + 1) / 2 * torch.tensor([W, H])
    middle = torch.tensor([40 + shift * 24, 28.0])
    torch.testing.assert_close(pixels.mean((0, 1)), middle, atol=1e-3, rtol=0)
    right = (pixels[:, -1] - pixels[:, 0]).mean(0) / 9
    wanted = float(sign) * 2.4 * torch.tensor([math.cos(turn), math.sin(turn)])
    torch.testing.assert_close(right, wanted, atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [7, 24])
def test_squares_show_their_places(size: int) -> None:
    box = torch.tensor([[30.0, 20, 50, 36]], dtype=torch.float64)
    found = sample_squares(places(), box, size, 1.2)[0]
    at = (torch.arange(size, dtype=torch.float64) + 0.5) / size * 24
    torch.testing.assert_close(found[0], (28 + at).expand(size, -1), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], (16 + at)[:, None].expand(-1, size), atol=1e-5, rtol=0)


@given(st.floats(-30, 60), st.floats(-30, 60), st.floats(4, 100), st.integers(4, 20))
def test_a_corner_and_a_side_are_the_same_square_as_a_box(
    left: float, top: float, side: float, size: int
) -> None:
    box = torch.tensor([[left, top, left + side, top + side]], dtype=torch.float64)
    one, other = sample_squares(places(), box, size, 1.0), sample_square(places(), left, top, side, size)
    if abs(side / size % 1 - 0.5) > 1e-3:  # where neither rounds to another number of samples
        torch.testing.assert_close(one, other, atol=1e-3, rtol=0)


def test_edges_are_repeated_and_large_squares_averaged() -> None:
    found = sample_square(places(), -40.0, -30.0, 160.0, 8)[0]
    assert float(found[0, 4, 0]) == 0.5 and float(found[1, -1, 4]) == H - 0.5
    noise = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    assert sample_square(noise, 0, 0, 200, 25).std() < 0.2 * noise.std()


@given(st.floats(-3, 3), st.floats(0.2, 4), st.floats(-50, 50), st.floats(-50, 50), st.integers(0, 2**31))
def test_similarities_are_found_again(turn: float, scale: float, x: float, y: float, seed: int) -> None:
    points = torch.randn(5, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 30
    c, s = scale * math.cos(turn), scale * math.sin(turn)
    matrix = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    shift = torch.tensor([x, y], dtype=torch.float64)
    found, moved = fit_similarity_2d(points, points @ matrix.T + shift)
    torch.testing.assert_close(found, torch.tensor([c, s], dtype=torch.float64))
    torch.testing.assert_close(moved, shift)


def test_similarities_are_least_squares() -> None:
    g = torch.Generator().manual_seed(3)
    points, to = (torch.randn(6, 2, generator=g, dtype=torch.float64) for _ in range(2))
    turn, shift = fit_similarity_2d(points, to)
    turn, shift = turn.requires_grad_(), shift.requires_grad_()
    c, s = turn
    moved = torch.stack([c * points[:, 0] - s * points[:, 1], s * points[:, 0] + c * points[:, 1]], 1) + shift
    (moved - to).square().sum().backward()
    assert turn.grad is not None and shift.grad is not None
    assert float(turn.grad.abs().max()) < 1e-12 and float(shift.grad.abs().max()) < 1e-12


def test_a_similarity_cuts_what_it_says() -> None:
    points = torch.tensor([[20.0, 15.0], [50.0, 18.0], [34.0, 40.0]], dtype=torch.float64)
    to = torch.tensor([[8.0, 8.0], [24.0, 9.6], [15.466667, 21.333333]], dtype=torch.float64)
    turn, shift = fit_similarity_2d(points, to)
    face = sample_similarity(places()[0], turn, shift, 48)
    for p, q in zip(points, to, strict=True):
        there = torch.linalg.solve(torch.tensor([[turn[0], -turn[1]], [turn[1], turn[0]]]), q.round() - shift)
        u, v = q.round().long().tolist()
        torch.testing.assert_close(face[:, v, u], there + 0.5, atol=1e-3, rtol=0)
        assert float((there - p).norm()) < 2
    assert not face[:, -1, -1].any()  # beyond the image


def test_gradients_reach_the_image() -> None:
    image = torch.randn(1, 1, 6, 7, dtype=torch.float64, requires_grad=True)
    box = torch.tensor([[1.0, 1, 5, 4]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: sample_squares(x, box, 3, 1.3), (image,))
    turn, shift = torch.tensor([0.8, 0.1]).double(), torch.tensor([-1.0, 0.5]).double()
    assert torch.autograd.gradcheck(lambda x: sample_similarity(x[0], turn, shift, 4), (image,))
