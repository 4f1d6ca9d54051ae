"""The pinhole camera. OpenCV frame: +X right, +Y down, +Z forward; pixel centres at +0.5."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Camera", "project_points"]

MIN_DEPTH = 1e-6  # metres: nearer points, and those behind the camera, are projected as if they lay there


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion.

    Attributes:
        K: (3, 3) intrinsics in pixels.
        cam_from_world: (4, 4) rigid transform from the world (+Y up) to the OpenCV camera frame.
        width, height: image size in pixels.
    """

    K: Float[Tensor, "3 3"]
    cam_from_world: Float[Tensor, "4 4"]
    width: int
    height: int

    @staticmethod
    def make(
        focal: float,
        width: int,
        height: int,
        cam_from_world: Tensor | None = None,
        center: tuple[float, float] | None = None,
    ) -> Camera:
        """Make a camera with square pixels; without a pose it sits at the origin and looks along world -Z."""
        cx, cy = center if center is not None else (width / 2, height / 2)
        K = torch.tensor([[focal, 0.0, cx], [0.0, focal, cy], [0.0, 0.0, 1.0]])
        if cam_from_world is None:
            cam_from_world = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
        return Camera(K, cam_from_world.float(), width, height)

    @staticmethod
    def orbit(
        target: Tensor,
        distance: float,
        yaw: float = 0.0,
        pitch: float = 0.0,
        focal: float = 2000.0,
        width: int = 512,
        height: int = 512,
    ) -> Camera:
        """Make a camera that looks at ``target`` (world, metres) from ``distance``; angles in degrees.

        Positive yaw shows more of the subject's left side, positive pitch looks from above.
        """
        y, p = math.radians(yaw), math.radians(pitch)
        backward = torch.tensor([math.sin(y) * math.cos(p), math.sin(p), math.cos(y) * math.cos(p)])
        right = torch.tensor([math.cos(y), 0.0, -math.sin(y)])
        down = torch.linalg.cross(-backward, right)
        R = torch.stack([right, down, -backward])
        pose = torch.eye(4)
        pose[:3, :3] = R
        pose[:3, 3] = -R @ (target.float().cpu() + backward * distance)
        return Camera.make(focal, width, height, pose)

    def orbited(
        self, target: Tensor, yaw: float, pitch: float, axes: Float[Tensor, "3 3"] | None = None
    ) -> Camera:
        """Orbit this camera around ``target`` (world): yaw about an up axis, then pitch about a right one.

        Intrinsics, distance and framing stay. Angles in degrees, signs as in :meth:`orbit`.

        Args:
            axes: a head's rotation (world), to yaw about its +Y and pitch about its +X; None: yaw about the
                world's +Y, pitch about the camera's own right axis.
        """
        from headcast.rotation import axis_angle_to_matrix

        pose = self.cam_from_world
        R, t = pose[:3, :3], pose[:3, 3]
        target = target.to(pose)
        if axes is None:
            rotation = axis_angle_to_matrix(torch.tensor([0.0, math.radians(yaw), 0.0]).to(pose))
            right = rotation @ R[0]
            rotation = axis_angle_to_matrix(-right * math.radians(pitch)) @ rotation
        else:
            angles = torch.deg2rad(torch.tensor([[0.0, yaw, 0.0], [-pitch, 0.0, 0.0]]).to(pose))
            axes = axes.to(pose)
            rotation = axes @ axis_angle_to_matrix(angles[0]) @ axis_angle_to_matrix(angles[1]) @ axes.T
        # the camera turns by `turn` about the target: x_cam = R turnᵀ (x - target) + R target + t
        new = torch.eye(4).to(pose)
        new[:3, :3] = R @ rotation.T
        new[:3, 3] = R @ target + t - new[:3, :3] @ target
        return Camera(self.K, new, self.width, self.height)

    @property
    def center(self) -> Float[Tensor, "3"]:
        """Position of the camera in the world, metres."""
        return -self.cam_from_world[:3, :3].T @ self.cam_from_world[:3, 3]

    def to_camera(self, points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
        """Transform world points (metres) to camera coordinates (metres)."""
        T = self.cam_from_world.to(points)
        return points @ T[:3, :3].T + T[:3, 3]

    def project(self, points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 2"]:
        """Project world points (metres) to pixels."""
        p = self.to_camera(points) @ self.K.to(points).T
        return p[..., :2] / p[..., 2:]

    def scaled(self, factor: float) -> Camera:
        """Return the same view at another resolution; the size is rounded and K follows the rounded size."""
        return self.resized(max(1, round(self.width * factor)), max(1, round(self.height * factor)))

    def resized(self, width: int, height: int) -> Camera:
        """Return the same view in ``width`` x ``height`` pixels."""
        s = torch.tensor([[width / self.width], [height / self.height], [1.0]]).to(self.K)
        return Camera(self.K * s, self.cam_from_world, width, height)

    def cropped(self, x0: int, y0: int, width: int, height: int) -> Camera:
        """Crop to ``width`` x ``height`` pixels from the corner (x0, y0); may reach outside."""
        K = self.K.clone()
        K[0, 2] -= x0
        K[1, 2] -= y0
        return Camera(K, self.cam_from_world, width, height)


def project_points(
    points: Float[np.ndarray, "*b 3"], camera: Camera
) -> tuple[Float[np.ndarray, "*b 2"], Float[np.ndarray, "*b"]]:
    """Project world points (metres) to pixels and camera z (metres); :meth:`Camera.project` for arrays."""
    T, K = camera.cam_from_world.numpy(), camera.K.numpy()
    p = points.astype(np.float32) @ (K @ T[:3, :3]).T + K @ T[:3, 3]
    return p[..., :2] / np.maximum(p[..., 2:], MIN_DEPTH), p[..., 2]
