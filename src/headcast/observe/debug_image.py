"""Debug image of an observation: landmarks, mesh and masks over the photo."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.observe.types import Masks, Observation

__all__ = ["debug_image", "draw_points", "shaded_overlay"]

PANEL = 640
MASK_COLOURS = {
    "skin": (255, 160, 120),
    "hair": (90, 60, 255),
    "clothes": (60, 200, 90),
    "glasses": (255, 255, 0),
}


def debug_image(o: Observation, head: HeadModel) -> UInt8[np.ndarray, "h w 3"]:
    """Render side by side detected (yellow) and fitted (red) landmarks, the mesh, and the masks."""
    import cv2

    x0, y0, x1, y1 = _crop(o)
    scale = PANEL / (x1 - x0)
    camera = o.camera.cropped(x0, y0, x1 - x0, y1 - y0).resized(PANEL, round((y1 - y0) * scale))
    image = cv2.resize(o.image[y0:y1, x0:x1], (camera.width, camera.height), interpolation=cv2.INTER_CUBIC)
    with torch.no_grad():
        vertices = head(o.params)
        fitted = camera.project(head.landmarks(vertices)).numpy()
    detected = (o.detection.points - [x0, y0]) * scale
    panels = [draw_points(image, detected, fitted), shaded_overlay(image, head, vertices, camera)]
    if o.masks is not None:
        panels.append(_tint_by_masks(image, o.masks, (x0, y0, x1, y1)))
    return np.ascontiguousarray(np.concatenate(panels, 1))


def _tint_by_masks(
    image: UInt8[np.ndarray, "h w 3"], masks: Masks, box: tuple[int, int, int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """Tint the image, resized from a box of the photo, by the photo's masks there."""
    import cv2

    x0, y0, x1, y1 = box
    height, width = image.shape[:2]
    blended = image.astype(np.float32)
    for name, colour in MASK_COLOURS.items():
        m = cv2.resize(getattr(masks, name)[y0:y1, x0:x1].astype(np.float32), (width, height))
        blended = blended + 0.5 * m[..., None] * (np.array(colour, np.float32) - blended)
    return blended.clip(0, 255).astype(np.uint8)


class _PixelBox(NamedTuple):
    """A rectangle of whole pixels."""

    x0: int
    y0: int
    x1: int
    y1: int


def _crop(o: Observation) -> _PixelBox:
    h, w = o.image.shape[:2]
    x0, y0, x1, y1 = o.detection.box
    dx, dy = 0.35 * (x1 - x0), 0.35 * (y1 - y0)
    return _PixelBox(
        max(0, int(x0 - dx)), max(0, int(y0 - 1.3 * dy)), min(w, int(x1 + dx)), min(h, int(y1 + 0.7 * dy))
    )


def draw_points(
    image: UInt8[np.ndarray, "h w 3"], detected: Float[np.ndarray, "n 2"], fitted: Float[np.ndarray, "n 2"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw each detected point in yellow with a red line to its fitted place, on a copy of the image."""
    import cv2

    out = image.copy()
    for a, b in zip((detected * 16).astype(int), (fitted * 16).astype(int), strict=True):
        cv2.line(out, tuple(map(int, a)), tuple(map(int, b)), (255, 0, 0), 1, cv2.LINE_AA, 4)
        cv2.circle(out, tuple(map(int, a)), 16, (255, 255, 0), -1, cv2.LINE_AA, 4)
    return out


def shaded_overlay(
    image: UInt8[np.ndarray, "h w 3"], head: HeadModel, vertices: Float[torch.Tensor, "v 3"], camera: Camera
) -> UInt8[np.ndarray, "h w 3"]:
    """Render the fitted head in grey clay over the image."""
    from headcast.render.mesh import interpolate, rasterize_mesh

    with torch.no_grad():
        fragments = rasterize_mesh(vertices, head.faces, camera)
        normals = interpolate(fragments, head.faces, head.vertex_normals(vertices))
    light = torch.nn.functional.normalize(torch.tensor([0.3, 0.4, 1.0]), dim=0)
    shade = (0.25 + 0.75 * (normals @ light).clamp(min=0)).numpy()[..., None] * np.array(
        [225.0, 215.0, 205.0]
    )
    covered = (fragments.triangle >= 0).numpy()[..., None]
    return np.where(covered, 0.35 * image + 0.65 * shade, image).clip(0, 255).astype(np.uint8)
