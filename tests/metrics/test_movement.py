"""Temporal and motion measures, sharpness, skin maps: closed forms."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from headcast.head.model import HeadModel
from headcast.metrics.motion import average_expression_distance, pose_distance
from headcast.metrics.sharpness import detail, relative_sharpness
from headcast.metrics.temporal import optical_flow, warping_error
from headcast.metrics.texture import face_texels, match_gain, normal_angles
from headcast.rotation import axis_angle_to_matrix

ALL = np.ones((96, 128), bool)


def scenery(seed: int = 0) -> np.ndarray:
    """A smooth random picture, larger than ``ALL``."""
    x = np.random.default_rng(seed).random((120, 160, 3)).astype(np.float32)
    x = cv2.GaussianBlur(x, None, 3)
    x = (x - x.min()) / (x.max() - x.min())
    return (x * 255).astype(np.uint8)


def window(x: np.ndarray, dx: int, dy: int = 0) -> np.ndarray:
    return np.ascontiguousarray(x[dy : dy + 96, dx : dx + 128])


def test_what_moves_as_a_whole_does_not_flicker() -> None:
    big = scenery()
    now, then = window(big, 10, 5), window(big, 7, 6)  # moves by (3, -1)
    flow = optical_flow(now, then)
    assert np.median(flow.reshape(-1, 2), 0) == pytest.approx([3, -1], abs=0.1)
    moved = np.sqrt(((now.astype(float) - then) ** 2).mean())
    assert warping_error(now, now, ALL) == 0
    assert warping_error(now, then, ALL) < 0.15 * moved
    noisy = np.clip(then.astype(int) + np.random.default_rng(1).integers(-20, 21, then.shape), 0, 255)
    assert warping_error(now, noisy.astype(np.uint8), ALL) > 8
    assert np.isnan(warping_error(now, then, ~ALL))


def test_expression_and_pose_distance() -> None:
    a = np.zeros((2, 52), np.float32)
    b = a.copy()
    b[1, 3] = 0.52
    assert average_expression_distance(a, b) == pytest.approx([0, 0.01])
    axis = torch.tensor([[0.0, 1, 0], [0.6, 0, 0.8]])
    base = axis_angle_to_matrix(torch.tensor([[0.3, -0.2, 0.1]])).double().numpy().repeat(2, 0)
    turn = axis_angle_to_matrix(axis.double() * torch.tensor([[np.radians(10)], [np.radians(175)]])).numpy()
    assert pose_distance(base, base @ turn) == pytest.approx([10, 175], abs=1e-4)
    tiny = axis_angle_to_matrix(torch.tensor([[1e-6, 0, 0]], dtype=torch.float64)).numpy()
    assert pose_distance(np.eye(3)[None], tiny) == pytest.approx(np.degrees(1e-6), rel=1e-3)


def test_sharpness_is_relative_to_the_real_picture() -> None:
    real = window(scenery(2), 0)
    blurred = cv2.GaussianBlur(real, None, 2)
    assert relative_sharpness(real, real, ALL) == 1
    assert relative_sharpness(real, blurred, ALL) < 0.7 and relative_sharpness(blurred, real, ALL) > 1.4
    assert np.isnan(detail(real, ~ALL))
    x = np.arange(128, dtype=np.uint8)[None, :, None].repeat(96, 0).repeat(3, 2)
    inner = ALL.copy()
    inner[:, [0, -1]] = False
    assert detail(x, inner) == pytest.approx(0, abs=1e-6)  # a ramp has no edges


def test_gains_are_taken_out() -> None:
    rng = np.random.default_rng(0)
    real = rng.random((20, 20, 3)).astype(np.float32)
    region = rng.random((20, 20)) > 0.4
    fake = (real * [0.5, 2.0, 1.3]).astype(np.float32)
    fake[~region] = 9
    assert np.abs(match_gain(fake, real, region) - real)[region].max() < 1e-5


def test_angles_between_normals() -> None:
    up = np.zeros((2, 2, 3), np.float32)
    up[..., 2] = 2
    tilted = up.copy()
    tilted[0, 0] = [1, 0, 1]
    assert normal_angles(up, tilted)[0, 0] == pytest.approx(45, abs=1e-3)
    assert normal_angles(up, tilted)[1, 1] == pytest.approx(0, abs=0.1)


def test_the_face_in_uv() -> None:
    head = HeadModel.load()
    face = face_texels(head, 128, ("face", "lips", "nose", "brows"))
    nose = face_texels(head, 128, ("nose",))
    assert 0.05 < face.mean() < 0.6 and 0 < nose.sum() < face.sum() and not (nose & ~face).any()
