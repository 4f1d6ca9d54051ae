"""Unproject a photo to the head's texture: the colour at every texel and how well it is visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from headcast.camera import Camera, project_points
from headcast.head.model import HeadModel
from headcast.image import sample_bilinear, sample_lanczos, srgb_table
from headcast.observe.types import Observation
from headcast.texture.texels import Texels, interpolate_attributes

__all__ = ["TexelSamples", "unproject"]

DEPTH_SIDE = 1024  # pixels of the longer side of the depth image
TOLERANCE = 0.0015  # metres behind the nearest surface that still count as visible


@dataclass(frozen=True)
class TexelSamples:
    """One photo sampled at n texels.

    Attributes:
        colour: (n, 3) linear light.
        visible: 0..1, nothing occludes it.
        facing: cosine between the surface's normal and the direction to the camera.
        pixel: (n, 2) where it lies in the photo, pixel centres at +0.5.
        person, skin, hair, clothes, glasses: the photo's masks there, 0..1.
    """

    colour: Float[np.ndarray, "n 3"]
    visible: Float[np.ndarray, "n"]
    facing: Float[np.ndarray, "n"]
    pixel: Float[np.ndarray, "n 2"]
    person: Float[np.ndarray, "n"]
    skin: Float[np.ndarray, "n"]
    hair: Float[np.ndarray, "n"]
    clothes: Float[np.ndarray, "n"]
    glasses: Float[np.ndarray, "n"]


def unproject(observation: Observation, head: HeadModel, texels: Texels) -> TexelSamples:
    """Sample the photo at every texel, at the photo's own detail (Lanczos), with a depth test."""
    with torch.no_grad():
        vertices = head(observation.params)
        normals = head.vertex_normals(vertices).numpy()
    faces = head.faces.numpy()
    points = interpolate_attributes(vertices.numpy(), faces, texels)
    camera = observation.camera
    to_camera = camera.center.numpy() - points
    to_camera /= np.linalg.norm(to_camera, axis=1, keepdims=True)
    normal = interpolate_attributes(normals, faces, texels)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    facing = (normal * to_camera).sum(1)
    pixel, depth = project_points(points, camera)
    visible = _visibility(vertices, head, texels, camera, pixel, depth, facing)
    h, w = observation.image.shape[:2]
    inside = ((pixel > 0.5) & (pixel < [w - 0.5, h - 0.5])).all(1)
    colour = srgb_table()[sample_lanczos(observation.image, pixel)]
    m = observation.masks
    if m is None:
        one, zero = np.ones(len(pixel), np.float32), np.zeros(len(pixel), np.float32)
        person, skin, hair, clothes, glasses = one, one, zero, zero, zero
    else:
        layers = _sample_mask(np.stack([m.person, m.skin, m.hair, m.clothes], -1), pixel)
        person, skin, hair, clothes = layers.T
        glasses = _sample_mask(m.glasses, pixel)
    return TexelSamples(
        colour=colour,
        visible=(visible * inside).astype(np.float32),
        facing=facing.astype(np.float32),
        pixel=pixel,
        person=person,
        skin=skin,
        hair=hair,
        clothes=clothes,
        glasses=glasses,
    )


def _sample_mask(
    mask: Float[np.ndarray, "h w *c"], pixel: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "n *c"]:
    """Interpolate values in 0..1, at 8 bits, which is faster."""
    packed = (mask.clip(0, 1) * 255).astype(np.uint8)
    return sample_bilinear(packed, pixel).astype(np.float32) / 255


class _CloseCamera(NamedTuple):
    """A camera of what the head covers of the image: corner, size in pixels of the image, and camera."""

    corner: torch.Tensor
    width: int
    height: int
    camera: Camera


def _visibility(
    vertices: torch.Tensor,
    head: HeadModel,
    texels: Texels,
    camera: Camera,
    pixel: Float[np.ndarray, "n 2"],
    depth: Float[np.ndarray, "n"],
    facing: Float[np.ndarray, "n"],
) -> Float[np.ndarray, "n"]:
    """Return 1 where nothing occludes a texel, else 0; eyeballs keep off the eyelids before them."""
    import cv2

    from headcast.render.mesh import rasterize_mesh

    low, w, h, close = _close_camera(vertices, camera)
    raster = rasterize_mesh(vertices, head.faces, close)
    near = raster.depth.numpy().astype(np.float32)
    near[near <= 0] = 1e3
    part = head.part.numpy()
    triangle = raster.triangle.numpy()
    where = np.where(triangle >= 0, part[triangle], -1)
    at = (pixel - [int(low[0]), int(low[1])]) * [close.width / w, close.height / h]
    column, row = np.clip(at.astype(np.int64), 0, [close.width - 1, close.height - 1]).T
    ahead = cv2.erode(near, np.ones((3, 3), np.uint8))[row, column]
    tilt = np.sqrt(np.maximum(1 - facing**2, 0)) / np.maximum(facing, 0.05)
    step = depth / float(close.K[0, 0]) * 1.5
    visible = (facing > 0) & (depth < ahead + TOLERANCE + step * tilt)
    _keep_off_lids(head, texels, part, where, row, column, visible)
    return visible.astype(np.float32)


def _keep_off_lids(
    head: HeadModel,
    texels: Texels,
    part: np.ndarray,
    where: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    visible: np.ndarray,
) -> None:
    """Hide, in place, texels of eyeballs next to what covers them."""
    import cv2

    own = part[texels.triangle]
    for p, name in enumerate(head.part_names):
        if name.startswith("eye"):
            inner = cv2.erode((where == p).astype(np.uint8), np.ones((3, 3), np.uint8))
            mine = own == p
            visible[mine] &= inner[row[mine], column[mine]] > 0


def _close_camera(vertices: torch.Tensor, camera: Camera) -> _CloseCamera:
    """Crop the camera to the head."""
    vertex_pixel = camera.project(vertices)
    low = torch.maximum(vertex_pixel.amin(0), torch.zeros(2)).floor().long()
    high = torch.minimum(vertex_pixel.amax(0), torch.tensor([camera.width, camera.height])).ceil().long()
    w, h = (max(1, int(n)) for n in high - low)
    scale = DEPTH_SIDE / max(w, h)
    close = camera.cropped(int(low[0]), int(low[1]), w, h).scaled(scale)
    return _CloseCamera(low, w, h, close)
