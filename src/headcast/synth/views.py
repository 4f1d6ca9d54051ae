"""Where cameras stand: the distributions of the papers, and one of plain portraits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from headcast.camera import Camera
from headcast.synth.config import Framing
from headcast.synth.dice import Dice

__all__ = ["Views", "draw_views"]

MIDDLE = (0.0, 0.022, 0.03)
"""What cameras look at (head frame, metres): behind the nose's root, between crown and chin."""

FLAME_SCALE = 3.0
"""Portrait4D's units a metre."""

EG3D_SCALE = 3.1
"""Units a metre when EG3D's field of view at its radius is to show as much as an FFHQ crop."""


@dataclass(frozen=True)
class Views:
    """N pinhole cameras of one picture size: K (N, 3, 3) pixels, cam_from_world (N, 4, 4), OpenCV."""

    K: Float[Tensor, "n 3 3"]
    cam_from_world: Float[Tensor, "n 4 4"]
    size: int

    def __getitem__(self, index: slice) -> Views:
        """Some of the cameras."""
        return Views(self.K[index], self.cam_from_world[index], self.size)

    def scaled(self, factor: int) -> Views:
        """The same views with ``factor`` times as many pixels a side."""
        return Views(
            self.K * torch.tensor([[factor], [factor], [1.0]], device=self.K.device),
            self.cam_from_world,
            self.size * factor,
        )

    def camera(self, i: int) -> Camera:
        """One of them."""
        return Camera(self.K[i].cpu(), self.cam_from_world[i].cpu(), self.size, self.size)

    @property
    def centers(self) -> Float[Tensor, "n 3"]:
        """Positions in the world, metres."""
        R, t = self.cam_from_world[:, :3, :3], self.cam_from_world[:, :3, 3]
        return -(R.transpose(1, 2) @ t[..., None])[..., 0]


def draw_views(framing: Framing, dice: Dice, size: int) -> Views:
    """Cameras of a framing.

    - ``portrait4d``: Portrait4D-v2, supplement A: pitch -0.25..0.65, yaw ±0.78, roll ±0.25 rad, radius
      3.65..4.45 and look-at ±0.01 x ±0.01 x 0.02..0.04 in its units (3 a metre), field of view 12°.
    - ``eg3d``: field of view 18.837°, radius 2.7 units, yaw N(0, 0.3), pitch N(0, 0.155) rad, as InvertAvatar
      and other EG3D descendants see FFHQ.
    - ``portrait``: photographs: fields of view 12°..45°, the head filling 45..85 % of the height, yaw
      N(0, 24°), pitch N(0, 9°), roll N(0, 5°), off centre.
    - ``front``: 20°, straight ahead.

    Positive yaw shows more of the subject's left, positive pitch looks from above.
    """
    middle = torch.tensor(MIDDLE, device=dice.device)
    n = len(dice.rows)
    if framing == "portrait4d":
        yaw, roll = dice.uniform("yaw", low=-0.78, high=0.78), dice.uniform("roll", low=-0.25, high=0.25)
        pitch = dice.uniform("pitch", low=-0.25, high=0.65)
        radius = dice.uniform("radius", low=3.65, high=4.45) / FLAME_SCALE
        at = dice.uniform("at", 3, low=-0.01, high=0.01) / FLAME_SCALE
        fov = torch.full((n,), math.radians(12), device=dice.device)
    elif framing == "eg3d":
        yaw, pitch = 0.3 * dice.normal("yaw", clip=2.6), 0.155 * dice.normal("pitch", clip=2.6)
        roll, at = 0.02 * dice.normal("roll"), 0.004 * dice.normal("at", 3)
        radius = torch.full((n,), 2.7 / EG3D_SCALE, device=dice.device)
        fov = torch.full((n,), math.radians(18.837), device=dice.device)
    elif framing == "portrait":
        yaw, pitch = 0.42 * dice.normal("yaw", clip=3.0), 0.16 * dice.normal("pitch", clip=2.5)
        roll = 0.087 * dice.normal("roll", clip=2.5)
        fov = torch.deg2rad(12 + 33 * dice.uniform("fov") ** 2)
        share = dice.uniform("share", low=0.45, high=0.85)
        radius = 0.25 / (share * 2 * torch.tan(fov / 2)) + 0.05
        at = dice.normal("at", 3, clip=2.0) * torch.tensor([0.014, 0.014, 0.0], device=dice.device)
    else:
        yaw = pitch = roll = torch.zeros(n, device=dice.device)
        at = torch.zeros(n, 3, device=dice.device)
        fov = torch.full((n,), math.radians(20), device=dice.device)
        radius = torch.full((n,), 0.92, device=dice.device)
    return looking(middle + at, yaw, pitch, roll, radius, fov, size)


def looking(
    target: Tensor, yaw: Tensor, pitch: Tensor, roll: Tensor, radius: Tensor, fov: Tensor, size: int
) -> Views:
    """Cameras on a sphere about targets; angles in radians."""
    back = torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()], -1)
    right = torch.stack([yaw.cos(), torch.zeros_like(yaw), -yaw.sin()], -1)
    down = torch.linalg.cross(-back, right)
    c, s = roll.cos()[:, None], roll.sin()[:, None]
    right, down = c * right + s * down, c * down - s * right
    R = torch.stack([right, down, normalize(-back, dim=-1)], 1)
    pose = torch.eye(4, device=yaw.device).repeat(len(yaw), 1, 1)
    pose[:, :3, :3] = R
    pose[:, :3, 3] = -(R @ (target + back * radius[:, None])[..., None])[..., 0]
    focal = size / 2 / torch.tan(fov / 2)
    K = torch.eye(3, device=yaw.device).repeat(len(yaw), 1, 1)
    K[:, 0, 0], K[:, 1, 1], K[:, :2, 2] = focal, focal, size / 2
    return Views(K, pose, size)
