"""The square crop of an image in which Ψ sees and renders heads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.camera import Camera
from headcast.crops.grid import sample_square
from headcast.head.params import HeadParams
from headcast.image import to_network_input
from headcast.rotation import axis_angle_to_matrix

__all__ = ["FRAME", "crop_box", "crop_camera", "crop_image"]

Point = tuple[float, float, float]
FRAME = 0.284
"""Side of the crop at that point, metres: 12° from 1.35 m, the middle of the paper's distances."""


class CropBox(NamedTuple):
    """A square of an image, pixels."""

    left: float
    top: float
    side: float


def crop_box(camera: Camera, params: HeadParams, centre: Point) -> CropBox:
    """Compute left, top and side (pixels) of the square in which Ψ sees or renders the head.

    Args:
        centre: of the square, head frame, metres (``Config.centre``).
    """
    world = axis_angle_to_matrix(params.rotation) @ torch.tensor(centre) + params.translation
    u, v = camera.project(world[None])[0].tolist()
    side = FRAME * float(camera.K[0, 0] / camera.to_camera(world[None])[0, 2])
    return CropBox(u - side / 2, v - side / 2, side)


def crop_camera(camera: Camera, params: HeadParams, box: CropBox, n: int, origin: Point) -> Camera:
    """Create the camera of the square ``box`` alone, ``n`` pixels wide, in Ψ's world.

    Args:
        origin: of Ψ's world, head frame, metres (``Config.origin``).
    """
    left, top, side = box
    scale = n / side
    K = camera.K.clone()
    K[0, 2], K[1, 2] = K[0, 2] - left, K[1, 2] - top
    K[:2] *= scale
    world_from_psi = torch.eye(4)
    world_from_psi[:3, :3] = axis_angle_to_matrix(params.rotation)
    world_from_psi[:3, 3] = world_from_psi[:3, :3] @ torch.tensor(origin) + params.translation
    return Camera(K, camera.cam_from_world @ world_from_psi, n, n)


def crop_image(
    image: UInt8[np.ndarray, "h w 3"], camera: Camera, params: HeadParams, side: int, centre: Point
) -> Float[Tensor, "1 3 s s"]:
    """Crop the square that Ψ encodes, -1..1; beyond the photo its edge is repeated."""
    left, top, size = crop_box(camera, params, centre)
    return sample_square(to_network_input(image), left, top, size, side)
