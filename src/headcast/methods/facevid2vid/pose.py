"""The pose and expression estimators H and Δ in one network, and how they move canonical keypoints.

Wang et al. 2021: x_k = R x_c,k + t + δ_k. Angles follow the published implementation.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from headcast.methods.facevid2vid.blocks import named, single_precision
from headcast.methods.facevid2vid.config import NetworkSizes

__all__ = ["FaceMotion", "PoseLogits", "PoseNetwork", "bins_to_degrees", "place_keypoints", "rotation_matrix"]

BIN_DEGREES, FIRST_BIN = 3.0, -99.0
"""Width of an angle's bins, and the angle of the first, degrees."""
RADIANS = 3.14 / 180
"""Radians per degree as the published implementation has them, with which its weights were trained."""


class PoseLogits(NamedTuple):
    """What the network computes: logits of the angles' bins, translation, expression deformation."""

    yaw: Float[Tensor, "b n"]
    pitch: Float[Tensor, "b n"]
    roll: Float[Tensor, "b n"]
    translation: Float[Tensor, "b 3"]
    expression: Float[Tensor, "b k 3"]


class FaceMotion(NamedTuple):
    """Pose and expression of heads: angles (b,) in degrees, the rest in the volume's coordinates.

    The angles turn about the volume's axes x (right), y (down) and z. Weights of our own training count
    them as right-handed turns with z away from the camera: positive yaw shows more of the subject's left,
    positive pitch looks from above, positive roll turns the image clockwise.
    """

    yaw: Float[Tensor, " b"]
    pitch: Float[Tensor, " b"]
    roll: Float[Tensor, " b"]
    translation: Float[Tensor, "b 3"]
    expression: Float[Tensor, "b k 3"]


class Bottleneck(nn.Module):
    """Bottleneck residual block (He et al. 2015); with a stride the shortcut is a convolution as well."""

    def __init__(self, width: int, stride: int = 1) -> None:
        super().__init__()
        inner = width // 4
        self.conv1, self.norm1 = nn.Conv2d(width, inner, 1), nn.BatchNorm2d(inner)
        self.conv2, self.norm2 = nn.Conv2d(inner, inner, 3, stride, 1), nn.BatchNorm2d(inner)
        self.conv3, self.norm3 = nn.Conv2d(inner, width, 1), nn.BatchNorm2d(width)
        self.stride = stride
        if stride > 1:
            self.skip, self.norm4 = nn.Conv2d(width, width, 1, stride), nn.BatchNorm2d(width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Compute features at the size divided by the stride."""
        y = relu(self.norm1(self.conv1(x)))
        y = relu(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        return relu(y + (self.norm4(self.skip(x)) if self.stride > 1 else x))


class PoseNetwork(nn.Module):
    """Residual network from an image, 0..1, to head pose and expression deformation."""

    def __init__(self, config: NetworkSizes) -> None:
        super().__init__()
        stem, *widths = config.pose_widths
        self.conv1, self.norm1 = nn.Conv2d(3, stem, 7, 2, 3), nn.BatchNorm2d(stem)
        before = stem
        for stage, (width, count) in enumerate(zip(widths, config.pose_blocks, strict=True)):
            # the published names: convolutions 2 to 5, blocks 1 to 7, the even ones with a stride
            self.add_module(f"conv{stage + 2}", nn.Conv2d(before, width, 1))
            self.add_module(f"norm{stage + 2}", nn.BatchNorm2d(width))
            if stage:
                self.add_module(f"block{2 * stage}", Bottleneck(width, 2))
            number = 2 * stage + 1
            self.add_module(
                f"block{number}", named((Bottleneck(width) for _ in range(count)), f"b{number}_{{}}")
            )
            before = width
        self.fc_roll, self.fc_pitch, self.fc_yaw = (nn.Linear(before, config.bins) for _ in range(3))
        self.fc_t, self.fc_exp = nn.Linear(before, 3), nn.Linear(before, 3 * config.keypoints)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> PoseLogits:
        """Estimate pose and expression."""
        x = max_pool2d(relu(self.norm1(self.conv1(image))), 3, 2, 1)
        for stage in range(4):
            x = self.get_submodule(f"norm{stage + 2}")(self.get_submodule(f"conv{stage + 2}")(x))
            x = relu(x)
            if stage:
                x = self.get_submodule(f"block{2 * stage}")(x)
            x = self.get_submodule(f"block{2 * stage + 1}")(x)
        x = x.mean((2, 3))
        # the published network's layers of yaw and roll have each other's names
        return PoseLogits(
            self.fc_roll(x),
            self.fc_pitch(x),
            self.fc_yaw(x),
            self.fc_t(x),
            self.fc_exp(x).unflatten(1, (-1, 3)),
        )

    def motion(self, image: Float[Tensor, "b 3 h w"]) -> FaceMotion:
        """Estimate pose and expression, angles in degrees."""
        found = PoseLogits(*(x.float() for x in self(image)))
        yaw, pitch, roll = (bins_to_degrees(x) for x in (found.yaw, found.pitch, found.roll))
        return FaceMotion(yaw, pitch, roll, found.translation, found.expression)


def bins_to_degrees(logits: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Compute the expected angle of a distribution over bins, degrees."""
    index = torch.arange(logits.shape[1], device=logits.device, dtype=logits.dtype)
    return (logits.softmax(1) * index).sum(1) * BIN_DEGREES + FIRST_BIN


def rotation_matrix(
    yaw: Float[Tensor, " b"], pitch: Float[Tensor, " b"], roll: Float[Tensor, " b"], legacy: bool = False
) -> Float[Tensor, "b 3 3"]:
    """Multiply elementary rotations: Rx(pitch) Ry(yaw) Rz(roll), of degrees.

    Args:
        legacy: Rx(roll) Ry(pitch) Rz(yaw), with which the beta weights were trained.
    """
    about_x, about_y, about_z = (roll, pitch, yaw) if legacy else (pitch, yaw, roll)
    x, y, z = (axis_rotation(axis, angle) for axis, angle in enumerate((about_x, about_y, about_z)))
    with single_precision(x):
        return x @ y @ z


def axis_rotation(axis: int, degrees: Float[Tensor, " b"]) -> Float[Tensor, "b 3 3"]:
    """Make right-handed rotations about one coordinate axis."""
    c, s = (degrees * RADIANS).cos(), (degrees * RADIANS).sin()
    out = torch.eye(3, device=degrees.device, dtype=degrees.dtype).repeat(len(degrees), 1, 1)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[:, i, i], out[:, j, j], out[:, i, j], out[:, j, i] = c, c, -s, s
    return out


def place_keypoints(
    canonical: Float[Tensor, "b k 3"], motion: FaceMotion, legacy: bool = False
) -> Float[Tensor, "b k 3"]:
    """Rotate, translate and deform canonical keypoints: R x + t + δ."""
    R = rotation_matrix(motion.yaw, motion.pitch, motion.roll, legacy)
    with single_precision(R):
        return canonical @ R.transpose(1, 2) + motion.translation[:, None] + motion.expression
