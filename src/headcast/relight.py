"""Relight an avatar with the light of a driving clip, so that it fits the scene when overlaid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.camera import Camera
from headcast.head.params import HeadParams
from headcast.view import to_rgba

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.observe.track import Track
    from headcast.video import Clip

__all__ = ["clip_light", "light_change"]

FRAME_STEP = 6  # frames between two estimates
SIZE = 256  # pixels, longer side of the images compared
RIDGE = np.array([0.02, 0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.4, 0.4])
HUBER = 1.5
ROUNDS = 6  # iterations of reweighted least squares
MIN_SHADING = 0.02  # linear; keeps the division by shading bounded


def clip_light(avatar: Avatar, clip: Clip, track: Track, params: HeadParams) -> Float[Tensor, "t 9 3"] | None:
    """Estimate irradiance for every frame of a clip that shows the avatar's own person.

    Every few frames the avatar is rendered under its own light, and the residual to the frame's skin colours
    is explained by a change of the light (second-order spherical harmonics), regularised towards zero.

    Args:
        params: (T,) the avatar's parameters in the clip's camera.

    Returns:
        None when the avatar has no light of its own.
    """
    base = avatar.source.light
    if base is None:
        return None
    scale = min(1.0, SIZE / max(track.size))
    camera = track.camera.scaled(scale)
    times = [t for t in range(0, len(track), FRAME_STEP) if track.detections[t] is not None]
    changes = [
        frame_light_change(avatar, np.asarray(clip.frames[t]), track, params[t], camera, t) for t in times
    ]
    filtered = np.stack([np.median(changes[max(0, i - 1) : i + 2], axis=0) for i in range(len(changes))])
    frames = np.arange(len(track))
    curves = np.stack([np.interp(frames, times, c) for c in filtered.reshape(len(times), -1).T], 1)
    return base[None] + torch.from_numpy(curves.reshape(-1, 9, 3)).to(base)


def frame_light_change(
    avatar: Avatar, frame: np.ndarray, track: Track, params: HeadParams, camera: Camera, t: int
) -> Float[np.ndarray, "9 3"]:
    """Estimate the change of light (SH irradiance) for one frame."""
    import cv2

    from headcast.observe.light import sample_skin
    from headcast.render.shading import sh_basis

    found, light = track.detections[t], avatar.source.light
    assert found is not None and light is not None
    small = cv2.resize(frame, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    points = found.points * np.array(
        [camera.width / track.size[0], camera.height / track.size[1]], np.float32
    )
    rendered = np.ascontiguousarray(to_rgba(avatar.render(params, camera, light))[..., :3])
    real = sample_skin(small, None, avatar.head, params, camera, points)
    ours = sample_skin(rendered, None, avatar.head, params, camera, points)
    _, a, b = np.intersect1d(real.vertex, ours.vertex, return_indices=True)
    basis = sh_basis(torch.from_numpy(real.normal[a])).double().numpy()
    shading = np.maximum(basis @ light.double().numpy(), MIN_SHADING)
    albedo = ours.colour[b] / shading
    return light_change(real.colour[a] - ours.colour[b], albedo, basis, real.weight[a])


def light_change(
    difference: Float[np.ndarray, "n 3"],
    albedo: Float[np.ndarray, "n 3"],
    basis: Float[np.ndarray, "n 9"],
    weight: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "9 3"]:
    """Solve for the light d in difference = albedo x (basis @ d): ridge regression, Huber weights."""
    if len(difference) < len(RIDGE) * 4:
        return np.zeros((9, 3))
    change, robust = np.zeros((9, 3)), np.ones(len(difference))
    for _ in range(ROUNDS):
        for c in range(3):
            A = basis * albedo[:, c : c + 1]
            w = (weight * robust)[:, None]
            unit = float((w * A[:, :1] ** 2).sum())
            left = A.T @ (w * A) + unit * np.diag(RIDGE)
            change[:, c] = np.linalg.solve(left, A.T @ (w[:, 0] * difference[:, c]))
        off = np.abs(difference - albedo * (basis @ change)).mean(1)
        robust = np.minimum(1.0, HUBER * max(float(np.median(off)), 1e-4) / np.maximum(off, 1e-9))
    return change
