"""Rotations: axis-angle (radians), 3x3 matrices, quaternions in wxyz order.

Everything is differentiable, takes leading batch dimensions and is safe at zero rotation.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "axis_angle_to_matrix",
    "matrix_to_axis_angle",
    "matrix_to_quaternion",
    "quaternion_multiply",
    "quaternion_to_matrix",
]


def _skew(v: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    x, y, z = v.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*v.shape[:-1], 3, 3)


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Convert axis-angle to a rotation matrix (Rodrigues).

    A Taylor series below 1e-3 radians keeps value and gradient finite at zero.
    """
    a2 = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = a2 < 1e-6
    a = torch.sqrt(torch.where(small, torch.ones_like(a2), a2))
    s = torch.where(small, 1 - a2 / 6 + a2 * a2 / 120, torch.sin(a) / a)
    c = torch.where(small, 0.5 - a2 / 24 + a2 * a2 / 720, (1 - torch.cos(a)) / (a * a))
    k = _skew(axis_angle)
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + s * k + c * (k @ k)


def matrix_to_quaternion(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 4"]:
    """Return the unit quaternion (wxyz, w >= 0) of a matrix; the largest component is computed first."""
    m = matrix
    q2, rows = _quaternion_products(m)
    best = q2.argmax(-1)[..., None, None].expand(*q2.shape[:-1], 1, 4)
    q = torch.gather(rows, -2, best)[..., 0, :]
    q = q / q.norm(dim=-1, keepdim=True)
    return torch.where(q[..., :1] < 0, -q, q)


def _quaternion_products(m: Tensor) -> tuple[Tensor, Tensor]:
    """Return the products of a quaternion's components times four: rows of multiples of it."""
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    q2 = torch.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1)
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    rows = torch.stack(
        [
            torch.stack([q2[..., 0], a, b, c], -1),
            torch.stack([a, q2[..., 1], d, e], -1),
            torch.stack([b, d, q2[..., 2], f], -1),
            torch.stack([c, e, f, q2[..., 3]], -1),
        ],
        -2,
    )
    return q2, rows


def quaternion_to_matrix(quaternion: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3 3"]:
    """Return the rotation matrix of a quaternion (wxyz), normalised first."""
    w, x, y, z = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - w * z),
            2 * (x * z + w * y),
            2 * (x * y + w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),
            2 * (x * z - w * y),
            2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ],
        -1,
    ).reshape(*quaternion.shape[:-1], 3, 3)


def quaternion_multiply(a: Float[Tensor, "*b 4"], b: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """Compute the Hamilton product a ⊗ b (wxyz): the rotation b followed by a."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def matrix_to_axis_angle(matrix: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """Return the axis-angle (radians, length in [0, pi]) of a rotation matrix."""
    q = matrix_to_quaternion(matrix)
    w, v = q[..., :1], q[..., 1:]
    n2 = (v * v).sum(-1, keepdim=True)
    small = n2 < 1e-10
    n = torch.sqrt(torch.where(small, torch.ones_like(n2), n2))
    scale = torch.where(small, 2 / w.clamp(min=0.5), 2 * torch.atan2(n, w) / n)
    return v * scale
