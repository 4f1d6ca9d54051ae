"""Where a true camera stands in the world of an avatar, whose scale and pose are its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from headcast.camera import Camera

__all__ = ["camera_for", "fit_similarity_3d", "triangulate"]

Similarity = tuple[float, Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]
"""Scale s, rotation R, shift t of y = s R x + t."""


def fit_similarity_3d(x: Float[np.ndarray, "n 3"], y: Float[np.ndarray, "n 3"]) -> Similarity:
    """Fit the similarity that brings points x nearest to y (least squares; Umeyama, 1991, Eq. 40-42)."""
    p, q = x - x.mean(0), y - y.mean(0)
    U, d, Vt = np.linalg.svd(q.T @ p)
    flip = np.array([1, 1, np.sign(np.linalg.det(U @ Vt))])
    R = (U * flip) @ Vt
    s = float((d * flip).sum() / (p**2).sum())
    return s, R, y.mean(0) - s * R @ x.mean(0)


def camera_for(camera: Camera, moved: Similarity) -> Camera:
    """Move a camera of the true world to a world x, where ``moved`` takes x to the true world.

    Pixels stay: the camera's coordinates are divided by the scale, which projection ignores.
    """
    s, R, t = moved
    T = camera.cam_from_world.double().numpy()
    pose = np.eye(4)
    pose[:3, :3] = T[:3, :3] @ R
    pose[:3, 3] = (T[:3, :3] @ t + T[:3, 3]) / s
    return Camera(camera.K, torch.from_numpy(pose).float(), camera.width, camera.height)


def triangulate(
    cameras: Sequence[Camera], points: Sequence[Float[np.ndarray, "n 2"]]
) -> Float[np.ndarray, "n 3"]:
    """Triangulate points visible in two views or more (linear; Hartley and Zisserman, 2004, section 12.2)."""
    rows = []
    for camera, at in zip(cameras, points, strict=True):
        P = camera.K.double().numpy() @ camera.cam_from_world.double().numpy()[:3]
        P = P / np.linalg.norm(P[2])
        k = 1 / float(camera.K[0, 0])
        rows += [k * (at[:, :1] * P[2] - P[0]), k * (at[:, 1:] * P[2] - P[1])]
    A = np.stack(rows, 1)  # (n, 2 views, 4)
    X = np.linalg.svd(A)[2][:, -1]
    return X[:, :3] / X[:, 3:]
