"""Cameras sampled from a framing, and projection of points into them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from headcast.camera import Camera
from headcast.synth.framing import CameraFraming, find_framing
from headcast.synth.rng import CounterRng

__all__ = ["Views", "draw_views", "project_to_views"]

MIDDLE = (0.0, 0.022, 0.03)
"""What cameras look at (head frame, metres): behind the nose's root, between crown and chin."""

NEAREST = 1e-6
"""Metres: points behind a camera are projected as if this far before it."""


@dataclass(frozen=True)
class Views:
    """N pinhole cameras of one image size: K (N, 3, 3) pixels, cam_from_world (N, 4, 4), OpenCV."""

    K: Float[Tensor, "n 3 3"]
    cam_from_world: Float[Tensor, "n 4 4"]
    size: int

    def __getitem__(self, index: slice) -> Views:
        """Return some of the cameras."""
        return Views(self.K[index], self.cam_from_world[index], self.size)

    def scaled(self, factor: int) -> Views:
        """Return the same views with ``factor`` times as many pixels a side."""
        return Views(
            self.K * torch.tensor([[factor], [factor], [1.0]], device=self.K.device),
            self.cam_from_world,
            self.size * factor,
        )

    def camera(self, i: int) -> Camera:
        """Return one camera by its index."""
        return Camera(self.K[i].cpu(), self.cam_from_world[i].cpu(), self.size, self.size)

    @property
    def centers(self) -> Float[Tensor, "n 3"]:
        """Return camera positions in the world, metres."""
        R, t = self.cam_from_world[:, :3, :3], self.cam_from_world[:, :3, 3]
        return -(R.transpose(1, 2) @ t[..., None])[..., 0]


def draw_views(framing: str | CameraFraming, rng: CounterRng, size: int) -> Views:
    """Sample cameras of a framing (see ``synth.framing``), one a row of the RNG, for images of ``size``².

    Positive yaw shows more of the subject's left, positive pitch looks from above.

    Raises:
        HeadcastError: an unknown framing.
    """
    f = find_framing(framing)
    middle = torch.tensor(MIDDLE, device=rng.device)
    fov = f.draw_fov(rng)
    at = f.at.draw(rng, "at", 3) / f.units_per_metre
    yaw, pitch, roll = (getattr(f, k).draw(rng, k) for k in ("yaw", "pitch", "roll"))
    return looking(middle + at, yaw, pitch, roll, f.draw_radius(rng, fov), fov, size)


def project_to_views(
    points: Float[Tensor, "b n 3"], K: Float[Tensor, "b 3 3"], cam_from_world: Float[Tensor, "b 4 4"]
) -> Float[Tensor, "b n 2"]:
    """Project world points into images, pixels; what lies behind a camera comes out far away."""
    at = points @ cam_from_world[:, :3, :3].transpose(1, 2) + cam_from_world[:, None, :3, 3]
    at = at @ K.transpose(1, 2)
    return at[..., :2] / at[..., 2:].clamp(min=NEAREST)


def looking(
    target: Tensor, yaw: Tensor, pitch: Tensor, roll: Tensor, radius: Tensor, fov: Tensor, size: int
) -> Views:
    """Place cameras on a sphere about targets; angles in radians."""
    back = torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()], -1)
    right = torch.stack([yaw.cos(), torch.zeros_like(yaw), -yaw.sin()], -1)
    down = torch.linalg.cross(-back, right)
    c, s = roll.cos()[:, None], roll.sin()[:, None]
    right, down = c * right + s * down, c * down - s * right
    R = torch.stack([right, down, normalize(-back, dim=-1)], 1)
    pose = torch.eye(4, device=yaw.device).repeat(len(yaw), 1, 1)
    pose[:, :3, :3] = R
    pose[:, :3, 3] = -(R @ (target + back * radius[:, None])[..., None])[..., 0]
    return Views(intrinsics(fov, size), pose, size)


def intrinsics(fov: Float[Tensor, " n"], size: int) -> Float[Tensor, "n 3 3"]:
    """Return K of square images with fields of view in radians, principal points in the middle."""
    focal = size / 2 / torch.tan(fov / 2)
    K = torch.eye(3, device=fov.device).repeat(len(fov), 1, 1)
    K[:, 0, 0], K[:, 1, 1], K[:, :2, 2] = focal, focal, size / 2
    return K
