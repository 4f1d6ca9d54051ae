"""The surface warp: exact on the surface, identity and rigid motion kept, agreement with a plain search."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headcast.head.warp import (
    cell_centres,
    closest_bary,
    sample_grid,
    triangle_frames,
    warp_grid,
    warp_to_canonical,
)
from headcast.rotation import axis_angle_to_matrix

SEED = st.integers(0, 2**31)
SIDE = 2.0


def generator(seed: int) -> torch.Generator:
    """A generator of the CPU."""
    return torch.Generator().manual_seed(seed)


def sphere(seed: int = 0, rough: float = 0.05) -> tuple[Tensor, Tensor]:
    """Vertices (float64) and triangles of a rough ball of radius about .6."""
    rows, columns = 7, 10
    tilt = torch.linspace(0.25, math.pi - 0.25, rows, dtype=torch.float64)[:, None].expand(-1, columns)
    turn = torch.arange(columns, dtype=torch.float64).expand(rows, -1) * (2 * math.pi / columns)
    xyz = torch.stack([tilt.sin() * turn.cos(), tilt.cos(), tilt.sin() * turn.sin()], -1).reshape(-1, 3)
    g = generator(seed)
    xyz = 0.6 * xyz * (1 + rough * torch.randn(len(xyz), 1, generator=g, dtype=torch.float64))
    faces = []
    for i in range(rows - 1):
        for j in range(columns):
            a, b = i * columns + j, i * columns + (j + 1) % columns
            faces += [(a, b, b + columns), (a, b + columns, a + columns)]
    return xyz, torch.tensor(faces)


def deformed(vertices: Tensor, seed: int) -> Tensor:
    """A smooth deformation."""
    g = generator(seed)
    w = torch.randn(3, 3, generator=g, dtype=torch.float64)
    return vertices + 0.1 * torch.sin(3 * vertices @ w)


def points_near(count: int, seed: int) -> Tensor:
    """Points in a cube around the ball."""
    return (torch.rand(count, 3, generator=generator(seed), dtype=torch.float64) - 0.5) * SIDE


@given(SEED)
def test_points_on_the_surface_map_exactly(seed: int) -> None:
    posed, faces = sphere()
    canonical, g = deformed(posed, seed), generator(seed)
    triangle = torch.randint(len(faces), (30,), generator=g)
    bary = torch.rand(30, 3, generator=g, dtype=torch.float64)
    bary = bary / bary.sum(1, keepdim=True)
    here, there = ((bary[..., None] * v[faces[triangle]]).sum(1) for v in (posed, canonical))
    found = warp_to_canonical(here, posed, canonical, faces)
    torch.testing.assert_close(found.points, there, atol=1e-9, rtol=0)
    assert found.squared_distance.max() < 1e-20
    assert torch.equal(found.triangle, triangle)
    torch.testing.assert_close(found.bary, bary, atol=1e-8, rtol=0)


def test_vertices_map_onto_vertices() -> None:
    posed, faces = sphere()
    canonical = deformed(posed, 5)
    torch.testing.assert_close(warp_to_canonical(posed, posed, canonical, faces).points, canonical)


@given(SEED)
def test_identity_is_identity(seed: int) -> None:
    posed, faces = sphere()
    points = points_near(40, seed)
    torch.testing.assert_close(warp_to_canonical(points, posed, posed, faces).points, points)


@given(SEED)
def test_rigid_motion_maps_rigidly(seed: int) -> None:
    posed, faces = sphere()
    g, points = generator(seed), points_near(40, seed)
    turn = axis_angle_to_matrix(torch.randn(3, generator=g, dtype=torch.float64))
    shift = torch.randn(3, generator=g, dtype=torch.float64)
    found = warp_to_canonical(points, posed, posed @ turn.T + shift, faces)
    torch.testing.assert_close(found.points, points @ turn.T + shift)


@given(SEED)
def test_distance_to_the_triangles_plane_is_kept(seed: int) -> None:
    posed, faces = sphere()
    canonical, points = deformed(posed, seed), points_near(40, seed)
    found = warp_to_canonical(points, posed, canonical, faces)
    corner = canonical[faces][found.triangle]
    foot = (found.bary[..., None] * corner).sum(1)
    torch.testing.assert_close((found.points - foot).square().sum(1), found.squared_distance)


@given(SEED)
def test_nearest_points_are_nearer_than_any_sample_of_the_triangles(seed: int) -> None:
    g = generator(seed)
    p = torch.randn(20, 1, 3, generator=g, dtype=torch.float64)
    corner = torch.randn(20, 4, 3, 3, generator=g, dtype=torch.float64)
    bary = closest_bary(p, corner)
    assert torch.allclose(bary.sum(-1), torch.ones(20, 4, dtype=torch.float64)) and bool((bary >= 0).all())
    best = ((bary[..., None] * corner).sum(-2) - p).norm(dim=-1)
    weights = torch.from_numpy(np.random.default_rng(seed).dirichlet((0.5, 0.5, 0.5), 200))
    samples = torch.einsum("sc,mkcd->mksd", weights, corner)
    assert bool(((samples - p[:, :, None]).norm(dim=-1).amin(-1) >= best - 1e-12).all())


def test_a_degenerate_triangle_gives_one_of_its_points() -> None:
    flat = torch.zeros(1, 1, 3, 3)
    flat[..., 1, 0] = 1.0  # corners (0, 0, 0), (1, 0, 0), (0, 0, 0)
    bary = closest_bary(torch.tensor([[[0.25, 1.0, 0.0]]]), flat)[0, 0]
    assert float(bary.sum()) == 1 and bool((bary >= 0).all())


def test_frames_are_rotations_that_turn_with_the_triangle() -> None:
    corner = torch.randn(10, 3, 3, generator=generator(0), dtype=torch.float64)
    frame = triangle_frames(corner)
    torch.testing.assert_close(frame.mT @ frame, torch.eye(3, dtype=torch.float64).expand(10, 3, 3))
    turn = axis_angle_to_matrix(torch.tensor([0.3, -1.0, 0.4], dtype=torch.float64))
    torch.testing.assert_close(triangle_frames(corner @ turn.T), turn @ frame)


@pytest.mark.parametrize("n", [6, 8])
def test_a_baked_warp_is_the_warp_at_its_cells(n: int) -> None:
    posed, faces = sphere()
    canonical = deformed(posed, 3)
    grid = warp_grid(posed, canonical, faces, n, SIDE)
    centres = cell_centres(n, SIDE, posed)
    step = torch.tensor([SIDE / n, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(centres[1] - centres[0], step, atol=1e-6, rtol=0)
    found = sample_grid(grid[None], centres[None], SIDE)[0]
    torch.testing.assert_close(found, grid.reshape(4, -1).T, atol=1e-6, rtol=0)
    exact = warp_to_canonical(centres, posed, canonical, faces)
    near = exact.squared_distance < 0.04
    assert int(near.sum()) > 20
    torch.testing.assert_close(grid[3].reshape(-1)[near], exact.squared_distance[near], atol=2e-3, rtol=0)
    off = (centres + grid[:3].reshape(3, -1).T - exact.points)[near].norm(dim=1)
    assert off.median() < 1e-12  # candidates by centres: where another triangle wins, it is a neighbour


def test_grids_reach_on_beyond_the_cube() -> None:
    grid = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    far = torch.tensor([[[9.0, -9.0, 9.0], [9.0, 9.0, 9.0]]])
    assert sample_grid(grid, far, 1.0)[0, :, 0].tolist() == [5.0, 7.0]
