"""The camera's conventions: OpenCV axes, pixel centres, the meaning of yaw and pitch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headcast.camera import Camera, project_points
from headcast.rotation import axis_angle_to_matrix

angles = st.floats(-80, 80)
coordinates = st.floats(-0.2, 0.2)


def test_default_camera_looks_along_minus_z() -> None:
    camera = Camera.make(500, 640, 480)
    center = camera.project(torch.tensor([0.0, 0.0, -1.0]))
    assert center.tolist() == [320, 240]
    right, up = camera.project(torch.tensor([[0.1, 0, -1], [0, 0.1, -1]]))
    assert right[0] > 320 and up[1] < 240, "+X is to the right, +Y up in the picture"
    assert camera.center.tolist() == [0, 0, 0]


@given(angles, angles)
def test_orbit_keeps_target_in_the_middle(yaw: float, pitch: float) -> None:
    target = torch.tensor([0.02, -0.01, 0.03])
    camera = Camera.orbit(target, 0.9, yaw, pitch, width=300, height=200)
    assert torch.allclose(camera.project(target), torch.tensor([150.0, 100.0]), atol=1e-2)
    assert abs(float((camera.center - target).norm()) - 0.9) < 1e-5


def test_yaw_shows_the_left_side_and_pitch_looks_from_above() -> None:
    assert Camera.orbit(torch.zeros(3), 1.0, yaw=30).center[0] > 0.4, "+X is the subject's left"
    assert Camera.orbit(torch.zeros(3), 1.0, pitch=30).center[1] > 0.4
    front = Camera.orbit(torch.zeros(3), 1.0)
    assert front.orbited(torch.zeros(3), 30, 0).center[0] > 0.4
    assert front.orbited(torch.zeros(3), 0, 30).center[1] > 0.4


@given(angles, st.floats(-60, 60))
def test_orbited_keeps_target_and_distance(yaw: float, pitch: float) -> None:
    target = torch.tensor([0.05, 0.02, -1.2])
    camera = Camera.make(900, 640, 480)
    turned = camera.orbited(target, yaw, pitch)
    assert torch.allclose(turned.project(target), camera.project(target), atol=0.05)
    assert abs(float((turned.center - target).norm() - (camera.center - target).norm())) < 1e-4
    R = turned.cam_from_world[:3, :3]
    assert torch.allclose(R @ R.T, torch.eye(3), atol=1e-5)


@pytest.mark.parametrize("yaw,pitch", [(25, 10), (-40, -20), (0, 35)])
def test_orbit_equals_orbited_from_the_front(yaw: float, pitch: float) -> None:
    a = Camera.orbit(torch.zeros(3), 1.0, yaw, pitch)
    b = Camera.orbit(torch.zeros(3), 1.0).orbited(torch.zeros(3), yaw, pitch)
    assert torch.allclose(a.cam_from_world, b.cam_from_world, atol=1e-5)


@given(coordinates, coordinates, st.integers(50, 900), st.integers(50, 900))
def test_resized_scales_pixels(x: float, y: float, width: int, height: int) -> None:
    camera = Camera.make(700, 400, 300)
    point = torch.tensor([x, y, -1.0])
    scale = torch.tensor([width / 400, height / 300])
    assert torch.allclose(
        camera.resized(width, height).project(point), camera.project(point) * scale, rtol=1e-4
    )


@given(coordinates, coordinates, st.integers(-100, 300), st.integers(-100, 300))
def test_cropped_shifts_pixels(x: float, y: float, x0: int, y0: int) -> None:
    camera = Camera.make(700, 400, 300)
    point = torch.tensor([x, y, -1.0])
    moved = camera.cropped(x0, y0, 200, 100)
    assert torch.allclose(moved.project(point) + torch.tensor([x0, y0]), camera.project(point), atol=1e-2)
    assert (moved.width, moved.height) == (200, 100)


def test_projection_is_differentiable() -> None:
    camera = Camera.make(500, 640, 480)
    points = (torch.randn(4, 3, dtype=torch.float64) * 0.1 - torch.tensor([0, 0, 1.0])).requires_grad_()
    assert torch.autograd.gradcheck(camera.project, (points,))


def test_about_a_heads_axes_the_camera_sees_the_head_as_if_it_were_upright() -> None:
    target = torch.tensor([0.02, -0.01, -1.0])
    camera = Camera.make(500, 640, 480)
    axes = axis_angle_to_matrix(torch.tensor([0.2, -0.5, 0.3]))
    for yaw, pitch in ((30, 0), (0, 20), (-40, 10)):
        tilted = camera.orbited(target, yaw, pitch, axes=axes)
        seen = axes.T @ (tilted.center - target)
        upright = axis_angle_to_matrix(torch.tensor([0.0, math.radians(yaw), 0.0])) @ (
            axis_angle_to_matrix(torch.tensor([-math.radians(pitch), 0.0, 0.0])) @ (axes.T @ -target)
        )
        assert torch.allclose(seen, upright, atol=1e-5)
    plain = (camera.orbited(target, 25, 0, axes=a) for a in (None, torch.eye(3)))
    assert torch.allclose(*(c.cam_from_world for c in plain), atol=1e-6)


def test_arrays_are_projected_like_tensors() -> None:
    camera = Camera.orbit(torch.tensor([0.02, -0.01, 0.03]), 0.9, 35, 10, width=300, height=200)
    points = torch.rand(5, 7, 3) * 0.3
    pixels, depth = project_points(points.numpy(), camera)
    assert pixels.shape == (5, 7, 2) and pixels.dtype == np.float32
    assert np.allclose(pixels, camera.project(points).numpy(), atol=1e-2)
    assert np.allclose(depth, camera.to_camera(points)[..., 2].numpy(), atol=1e-5)
    behind, _ = project_points(np.array([[0.0, 0.0, 5.0]]), Camera.make(500, 640, 480))
    assert np.isfinite(behind).all()
