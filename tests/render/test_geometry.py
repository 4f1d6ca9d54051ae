"""Normals, depth maps, visibility; pictures side by side."""

from __future__ import annotations

import numpy as np
import torch
from tests.render.scenes import camera, sphere

from headcast.render.geometry import depth_at, vertex_normals, visibility
from headcast.render.mesh import rasterize_mesh
from headcast.render.sheet import contact_sheet


def test_normals_of_a_sphere_point_outwards_the_fast_and_the_differentiable_way() -> None:
    v, f, _, _ = sphere(60, 80)
    fast = vertex_normals(v, f)
    torch.testing.assert_close(fast, v / 0.1, atol=0.01, rtol=0)
    torch.testing.assert_close(
        fast, vertex_normals(v.clone().requires_grad_(), f).detach(), atol=1e-5, rtol=0
    )
    alone = torch.cat([v, torch.zeros(1, 3)])
    assert (vertex_normals(alone, f)[-1] == 0).all()


def test_gradients_of_normals() -> None:
    v, f, _, _ = sphere(4, 5)
    assert torch.autograd.gradcheck(lambda x: vertex_normals(x, f), (v.double().requires_grad_(),))


def test_half_a_sphere_is_seen() -> None:
    v, f, _, _ = sphere(40, 60)
    view = camera(200, 200, distance=0.5, focal=350)
    seen = visibility(v, view, v, f)
    towards = ((view.center - v) * v).sum(1) / 0.1 / (view.center - v).norm(dim=1)
    assert seen[towards > 0.15].all() and not seen[towards < -0.15].any()
    assert torch.equal(seen, visibility(v, view, v, f, depth=rasterize_mesh(v, f, view).depth))
    outside = torch.tensor([[5.0, 0, 0], [0, 0, 5.0]])
    assert not visibility(outside, view, v, f).any()
    nearer = v * 1.05
    assert visibility(nearer, view, v, f)[towards > 0.3].all()


def test_depth_between_pixels_is_the_farthest_of_what_is_there() -> None:
    depth = torch.tensor([[1.0, 2.0, 0.0], [1.0, 3.0, 0.0]])
    at = depth_at(depth, torch.tensor([[1.0, 1.0], [2.0, 1.0], [0.1, 1.0], [90.0, -4.0]]))
    assert at.tolist() == [3.0, 3.0, 1.0, float("inf")]


def test_a_contact_sheet_holds_every_picture() -> None:
    pictures = [np.full((10 + i, 20, 3), 10 * i, np.uint8) for i in range(5)]
    sheet = contact_sheet(pictures, 3, gap=2)
    assert sheet.shape == (2 * 16 + 2, 3 * 22 + 2, 3)
    for i in range(5):
        assert (sheet[2 + i // 3 * 16 + 5, 2 + i % 3 * 22 + 5] == 10 * i).all()
    assert contact_sheet([], 3).size
    assert contact_sheet([np.zeros((64, 64, 3), np.uint8)], 1, labels=["a"]).max() == 255
