"""Rotations obey the axioms of the group, agree between forms, and have gradients everywhere."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from headcast.rotation import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    quaternion_multiply,
    quaternion_to_matrix,
)

number = st.floats(-1, 1, allow_nan=False, width=32)
vectors = st.tuples(number, number, number).map(lambda v: torch.tensor(v, dtype=torch.float64) * 1.8)
EYE = torch.eye(3, dtype=torch.float64)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-9) -> bool:
    return bool((a - b).abs().max() < tolerance)


@given(vectors)
def test_matrix_is_a_rotation(v: Tensor) -> None:
    R = axis_angle_to_matrix(v)
    assert close(R @ R.T, EYE)
    assert abs(float(torch.linalg.det(R)) - 1) < 1e-9
    assert close(R @ v, v)


@given(vectors)
def test_round_trips(v: Tensor) -> None:
    R = axis_angle_to_matrix(v)
    assert close(quaternion_to_matrix(matrix_to_quaternion(R)), R)
    assert close(axis_angle_to_matrix(matrix_to_axis_angle(R)), R, 1e-7)
    if v.norm() < math.pi - 1e-3:
        assert close(matrix_to_axis_angle(R), v, 1e-6)


@given(vectors, vectors, vectors)
def test_product_is_composition_and_associative(a: Tensor, b: Tensor, c: Tensor) -> None:
    p, q, r = (matrix_to_quaternion(axis_angle_to_matrix(x)) for x in (a, b, c))
    assert close(
        quaternion_to_matrix(quaternion_multiply(p, q)), quaternion_to_matrix(p) @ quaternion_to_matrix(q)
    )
    left = quaternion_multiply(quaternion_multiply(p, q), r)
    assert close(left, quaternion_multiply(p, quaternion_multiply(q, r)))


@given(vectors)
def test_inverse(v: Tensor) -> None:
    assert close(axis_angle_to_matrix(v) @ axis_angle_to_matrix(-v), EYE)


def test_half_turns_and_zero() -> None:
    for axis in torch.eye(3, dtype=torch.float64):
        R = axis_angle_to_matrix(axis * math.pi)
        assert close(axis_angle_to_matrix(matrix_to_axis_angle(R)), R)
    assert close(axis_angle_to_matrix(torch.zeros(3, dtype=torch.float64)), EYE)
    assert close(matrix_to_axis_angle(EYE), torch.zeros(3, dtype=torch.float64))


@settings(max_examples=15, deadline=None)
@given(vectors)
def test_gradients(v: Tensor) -> None:
    x = v.clone().requires_grad_()
    assert torch.autograd.gradcheck(axis_angle_to_matrix, (x,))


def test_gradient_at_zero_is_finite() -> None:
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(axis_angle_to_matrix, (x,))
    matrix_to_axis_angle(axis_angle_to_matrix(x)).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


def test_batches() -> None:
    v = torch.randn(2, 5, 3, dtype=torch.float64)
    R = axis_angle_to_matrix(v)
    assert R.shape == (2, 5, 3, 3)
    assert close(R[1, 3], axis_angle_to_matrix(v[1, 3]))
