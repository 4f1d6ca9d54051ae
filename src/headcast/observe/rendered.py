"""Renderings of an avatar observed like photos, with known camera, pose and landmarks."""

from __future__ import annotations

import numpy as np

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.observe.light import estimate_light
from headcast.observe.masks import segment
from headcast.observe.types import Detection, Observation
from headcast.render.types import Rendering
from headcast.view import to_rgba

__all__ = ["observe_rendering"]

BACKGROUND = 128  # grey, sRGB


def observe_rendering(
    rendering: Rendering, head: HeadModel, params: HeadParams, camera: Camera, *, yaw: float = 0.0, name: str
) -> Observation:
    """Segment a rendering and estimate its light, over a grey background.

    Args:
        head: bound to the person shown, for the landmarks.
        params: unbatched.
        yaw: degrees by which the camera sees the head from its left side.
        name: for messages.
    """
    rgba = to_rgba(rendering)
    alpha = rgba[..., 3].astype(np.float32) / 255
    over = rgba[..., :3] * alpha[..., None] + BACKGROUND * (1 - alpha[..., None])
    rgb = np.round(over).astype(np.uint8)
    points = camera.project(head.landmarks(head(params), 478)).double().numpy()
    box = (*points.min(0).tolist(), *points.max(0).tolist())
    detection = Detection(points=points, box=box, score=1.0, yaw=yaw)
    masks = segment(rgb, detection, alpha)
    light = estimate_light(rgb, masks, head, params, camera, points)
    return Observation(
        image=rgb,
        detection=detection,
        masks=masks,
        camera=camera,
        params=params,
        light=light,
        landmark_error=0.0,
        name=name,
    )
