"""The coarse video's script: cameras around the head and expressions that cover views and mouth shapes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from headcast.camera import Camera
from headcast.head.params import HeadParams
from headcast.view import View, head_center

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar

__all__ = ["EXPRESSIONS", "SIDE", "ScriptShot", "face_camera", "frames_for", "make_script", "shot_view"]

SIDE = 512  # pixels of the coarse video's square frames
FACE_FRACTION = 0.53  # of the square, which the face's landmarks take in the source view
FACE_HEIGHT = 0.55  # of the square, at which the middle of the landmarks lies
MAX_YAW, MAX_PITCH = 45.0, 14.0  # degrees; further aside restoration invents more than it restores
STEPS = (0.7548776662466927, 0.5698402909980532)
"""Of the R2 sequence (Roberts 2018): views spread evenly, however many are taken."""
FRAMES_PER_THREAD, MIN_FRAMES, MAX_FRAMES = 30, 24, 120

EXPRESSIONS: tuple[dict[str, float], ...] = (
    {},
    {"jawOpen": 0.5},
    {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.4, "cheekSquintRight": 0.4},
    {"jawOpen": 0.25, "mouthFunnel": 0.7},
    {"mouthPucker": 0.8},
    {"jawOpen": 0.2, "mouthStretchLeft": 0.6, "mouthStretchRight": 0.6},
    {"mouthPressLeft": 0.7, "mouthPressRight": 0.7, "browDownLeft": 0.6, "browDownRight": 0.6},
    {"jawOpen": 0.35, "mouthUpperUpLeft": 0.6, "mouthUpperUpRight": 0.6, "browInnerUp": 0.6},
    {"mouthLowerDownLeft": 0.7, "mouthLowerDownRight": 0.7, "jawOpen": 0.15},
    {"eyeLookDownLeft": 0.6, "eyeLookDownRight": 0.6, "mouthRollLower": 0.5},
    {"jawOpen": 0.75, "browOuterUpLeft": 0.5, "browOuterUpRight": 0.5},
    {"eyeLookOutLeft": 0.6, "eyeLookInRight": 0.6, "mouthShrugLower": 0.5},
)
"""Weights by ARKit name, on top of the photo's own expression."""


@dataclass(frozen=True)
class ScriptShot:
    """One frame of the script: degrees off the source camera, and an expression on the photo's own."""

    yaw: float
    pitch: float
    expression: dict[str, float] = field(default_factory=dict)


def frames_for(threads: int) -> int:
    """Return how many frames the coarse video has on a machine with so many threads."""
    return max(MIN_FRAMES, min(MAX_FRAMES, FRAMES_PER_THREAD * threads))


def make_script(count: int) -> list[ScriptShot]:
    """Return the first ``count`` frames: the source view, then views spread evenly, expressions in turn."""
    shots = [ScriptShot(0.0, 0.0)]
    for k in range(1, count):
        across, up = ((0.5 + step * k) % 1 for step in STEPS)
        yaw, pitch = MAX_YAW * (2 * across - 1), MAX_PITCH * (2 * up - 1)
        shots.append(ScriptShot(round(yaw, 2), round(pitch, 2), EXPRESSIONS[k % len(EXPRESSIONS)]))
    return shots


def face_camera(avatar: Avatar, side: int = SIDE) -> Camera:
    """Return the source camera, cut and scaled to a square in which the face has its fixed size."""
    source = avatar.source
    with torch.no_grad():
        points = source.camera.project(avatar.head.landmarks(avatar.head(source.params), 478))
    middle = points.mean(0)
    extent = float((points.amax(0) - points.amin(0)).max())
    scale = FACE_FRACTION * side / extent
    K = source.camera.K.clone()
    K[:2] *= scale
    K[0, 2] += side / 2 - float(middle[0]) * scale
    K[1, 2] += FACE_HEIGHT * side - float(middle[1]) * scale
    return Camera(K, source.camera.cam_from_world, side, side)


def shot_view(avatar: Avatar, camera: Camera, shot: ScriptShot) -> View:
    """Place a shot of the script around the head as the source photo holds it."""
    params: HeadParams = avatar.source.params
    posed = params.with_expression(shot.expression) if shot.expression else params
    return View(camera, posed).orbited(head_center(avatar, params), shot.yaw, shot.pitch)
