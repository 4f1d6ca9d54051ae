"""Gaussians carried by triangles: the published rule, its inverse, and what it is extended by."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headcast.avatar.rig import Frames, Gaussians, frames_of, to_local, to_world
from headcast.rotation import axis_angle_to_matrix, quaternion_to_matrix


def some(seed: int, n: int = 40, f: int = 12) -> tuple[torch.Tensor, torch.Tensor, Gaussians]:
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    vertices, faces = normal(3 * f, 3), torch.arange(3 * f).view(f, 3)
    triangle = torch.randint(0, f, (n,), generator=g)
    return (
        vertices,
        faces,
        Gaussians(
            triangle=triangle,
            position=normal(n, 3),
            quaternion=normal(n, 4),
            log_scale=normal(n, 3) * 0.3 - 2,
            opacity=normal(n),
            albedo=normal(n, 3),
        ),
    )


def covariance(x: Gaussians) -> torch.Tensor:
    M = quaternion_to_matrix(x.quaternion) * x.log_scale.exp()[:, None]
    return M @ M.transpose(-1, -2)


def test_frame_of_a_known_triangle() -> None:
    v = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0.5, 1, 0]])
    frames = frames_of(v, torch.tensor([[0, 1, 2]]))
    normal = torch.tensor([0.0, 0, 1])
    assert torch.allclose(frames.origin[0], v.mean(0))
    assert torch.allclose(
        frames.rotation[0], torch.stack([torch.tensor([1.0, 0, 0]), normal, torch.tensor([0.0, -1, 0])], 1)
    )
    assert float(frames.size) == 1.5 and torch.allclose(torch.linalg.det(frames.rotation), torch.ones(1))


def test_equation_3_is_undone_by_equation_8() -> None:
    vertices, faces, local = some(0)
    frames = frames_of(vertices, faces)
    world = to_world(local, frames)
    back = to_local(world, frames)
    assert torch.allclose(back.position, local.position) and torch.allclose(back.log_scale, local.log_scale)
    assert torch.allclose(covariance(back), covariance(local))
    t, R = local.triangle, frames.rotation[local.triangle]
    by_hand = frames.origin[t] + frames.size[t, None] * (R @ local.position[..., None])[..., 0]
    assert torch.allclose(world.position, by_hand)
    turned = frames.size[t, None, None] ** 2 * R @ covariance(local) @ R.transpose(-1, -2)
    assert torch.allclose(covariance(world), turned)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 5), st.floats(-3, 3))
def test_a_similarity_moves_gaussians_with_the_mesh_and_stretch_changes_nothing(
    seed: int, size: float, angle: float
) -> None:
    vertices, faces, local = some(seed)
    R = axis_angle_to_matrix(torch.tensor([0.3, angle, -0.2], dtype=torch.float64))
    t = torch.tensor([1.0, -2, 0.5], dtype=torch.float64)
    rest, moved = frames_of(vertices, faces), frames_of(size * vertices @ R.T + t, faces)
    a, b = to_world(local, rest), to_world(local, moved, rest)
    assert torch.allclose(b.position, size * a.position @ R.T + t, atol=1e-6)
    assert torch.allclose(covariance(b), size**2 * R @ covariance(a) @ R.T, atol=1e-6)


def test_stretch_keeps_gaussians_at_their_place_in_the_triangle() -> None:
    g = torch.Generator().manual_seed(5)
    vertices, faces, local = some(1)
    bary = torch.rand(len(local), 3, generator=g, dtype=torch.float64)
    bary = bary / bary.sum(1, keepdim=True)

    def on(v: torch.Tensor) -> torch.Tensor:
        return (v[faces[local.triangle]] * bary[..., None]).sum(1)

    rest = frames_of(vertices, faces)
    placed = to_local(
        Gaussians(
            triangle=local.triangle,
            position=on(vertices),
            quaternion=local.quaternion,
            log_scale=local.log_scale,
            opacity=local.opacity,
            albedo=local.albedo,
        ),
        rest,
    )
    other = vertices + 0.3 * torch.randn(vertices.shape, generator=g, dtype=torch.float64)
    assert torch.allclose(to_world(placed, frames_of(other, faces), rest).position, on(other))
    assert not torch.allclose(to_world(placed, frames_of(other, faces)).position, on(other), atol=1e-2)


def test_a_gaussian_along_a_stretched_edge_reaches_further() -> None:
    v = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    faces = torch.tensor([[0, 1, 2]])
    one = torch.ones(1)
    local = Gaussians(
        triangle=torch.tensor([0]),
        position=torch.zeros(1, 3),
        quaternion=torch.tensor([[1.0, 0, 0, 0]]),
        log_scale=torch.log(torch.full((1, 3), 0.1)),
        opacity=one,
        albedo=torch.zeros(1, 3),
    )
    rest = frames_of(v, faces)
    wide = to_world(local, frames_of(v * torch.tensor([3.0, 1, 1]), faces), rest)
    assert math.isclose(float(wide.log_scale[0, 0].exp()), 0.3, rel_tol=1e-5)  # along the edge
    assert math.isclose(float(wide.log_scale[0, 2].exp()), 0.1, rel_tol=1e-5)  # across it


def test_degenerate_triangles_give_numbers() -> None:
    v = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    frames = frames_of(v, torch.tensor([[0, 1, 2], [3, 4, 5]]))
    assert isinstance(frames, Frames) and all(bool(torch.isfinite(x).all()) for x in vars(frames).values())
