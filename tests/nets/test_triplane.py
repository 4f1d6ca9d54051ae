"""Tri-planes: features by place, both published orders of planes, gradients."""

from __future__ import annotations

import pytest
import torch

from headcast.nets.triplane import XY_XZ_ZX, XY_YZ_ZX, PlaneAxes, sample_planes

SIDE = 2.0
N = 9


def coordinate_planes(axes: PlaneAxes) -> torch.Tensor:
    """Planes whose two features are the two coordinates that span them: (1, 3, 2, N, N) in float64."""
    at = ((torch.arange(N, dtype=torch.float64) + 0.5) / N - 0.5) * SIDE
    columns, rows = torch.meshgrid(at, at, indexing="xy")
    return torch.stack([torch.stack([columns, rows]) for _ in axes])[None]


def inner_points(count: int) -> torch.Tensor:
    """Points between the middles of the outermost texels."""
    g = torch.Generator().manual_seed(0)
    return (torch.rand(1, count, 3, generator=g, dtype=torch.float64) - 0.5) * SIDE * (1 - 1 / N)


@pytest.mark.parametrize("axes", [XY_YZ_ZX, XY_XZ_ZX])
def test_planes_are_read_where_their_coordinates_say(axes: PlaneAxes) -> None:
    points = inner_points(50)
    for k, (u, v) in enumerate(axes):
        alone = torch.zeros(1, 3, 2, N, N, dtype=torch.float64)
        alone[:, k] = coordinate_planes(axes)[:, k]
        found = 3 * sample_planes(alone, points, SIDE, axes)  # a mean over three planes
        torch.testing.assert_close(found, points[..., [u, v]])


def test_permuted_planes_with_the_other_order_give_the_same_features() -> None:
    g = torch.Generator().manual_seed(1)
    planes, points = torch.randn(2, 3, 4, N, N, generator=g), torch.rand(2, 60, 3, generator=g) * 2.4 - 1.2
    ours = sample_planes(planes, points, SIDE)
    order = (2, 0, 1)
    permuted: PlaneAxes = tuple(XY_YZ_ZX[k] for k in order)  # type: ignore[assignment]
    torch.testing.assert_close(sample_planes(planes[:, list(order)], points, SIDE, permuted), ours)
    assert not torch.allclose(sample_planes(planes[:, list(order)], points, SIDE), ours)


def test_a_transposed_plane_is_the_plane_of_swapped_axes() -> None:
    # EG3D's second plane is (x, z) and its third (z, x): one is read as the other after a transposition
    g = torch.Generator().manual_seed(2)
    planes, points = torch.randn(1, 3, 4, N, N, generator=g), torch.rand(1, 60, 3, generator=g) * 2 - 1
    swapped = torch.stack([planes[:, 0], planes[:, 2].mT, planes[:, 1].mT], 1)
    torch.testing.assert_close(
        sample_planes(swapped, points, SIDE, XY_XZ_ZX), sample_planes(planes, points, SIDE, XY_XZ_ZX)
    )


def test_eg3d_order_ignores_nothing_but_the_plane_that_it_lacks() -> None:
    # no plane of EG3D's spans (y, z): the second plane of ours is the one that differs
    g = torch.Generator().manual_seed(3)
    planes, points = torch.randn(1, 3, 4, N, N, generator=g), torch.rand(1, 60, 3, generator=g) * 2 - 1
    without = planes.clone()
    without[:, 1] = 0
    torch.testing.assert_close(
        sample_planes(without, points, SIDE, XY_XZ_ZX), sample_planes(without, points, SIDE)
    )
    assert not torch.allclose(
        sample_planes(planes, points, SIDE, XY_XZ_ZX), sample_planes(planes, points, SIDE)
    )


def test_nothing_lies_outside_the_cube() -> None:
    planes = torch.ones(1, 3, 2, N, N)
    assert not sample_planes(planes, torch.tensor([[[1.5, 1.5, -1.5]]]) * SIDE, SIDE).any()


@pytest.mark.parametrize("axes", [XY_YZ_ZX, XY_XZ_ZX])
def test_gradients(axes: PlaneAxes) -> None:
    g = torch.Generator().manual_seed(4)
    planes = torch.randn(1, 3, 2, 5, 5, generator=g, dtype=torch.float64, requires_grad=True)
    points = (inner_points(6) * 0.9).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: sample_planes(a, b, SIDE, axes), (planes, points))
