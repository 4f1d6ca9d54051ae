"""A tri-plane head as Gaussians on a rigged mesh: ``fit`` looks at its pictures as if they were photos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from headcast.avatar.gaussian import GaussianAvatar
from headcast.errors import HeadcastError
from headcast.methods.fit.polish import with_gaussians
from headcast.methods.fit.reconstruct import reconstruct
from headcast.methods.portrait4d.avatar import TriplaneAvatar
from headcast.observe.light import estimate_light
from headcast.observe.masks import segment
from headcast.observe.types import Detection, Observation
from headcast.view import front_view, head_center, to_rgba

__all__ = ["VIEWS", "baked", "seen_from"]

VIEWS = (0.0, 30.0, -30.0)
"""Yaw of the pictures, degrees; the first gives expression, light and the source's view."""
SIDE = 512
GREY = 128
LEAST = 0.02
"""Share of the picture that a head must cover."""
Progress = Callable[[float, str], None]


def baked(avatar: TriplaneAvatar, *, seed: int = 0, progress: Progress | None = None) -> GaussianAvatar:
    """Our head with this person's shape, the tri-planes' colours, hair and clothes as ``fit`` sees them.

    Raises:
        HeadcastError: the avatar's pictures show no head.
    """
    say = progress or (lambda share, what: None)
    with torch.no_grad():
        seen = []
        for n, yaw in enumerate(VIEWS):
            say(0.3 * n / len(VIEWS), "drawing the head from several sides")
            seen.append(seen_from(avatar, yaw))
        mesh = reconstruct(
            seen, avatar.head, seed=seed, consent=avatar.info.get("consent"),
            progress=lambda share, what: say(0.3 + 0.3 * share, what),
        )  # fmt: skip
    info = {
        **mesh.info, "method": "portrait4d, baked", "warnings": avatar.info.get("warnings", []),
        "weights": [*avatar.info.get("weights", []), *mesh.info.get("weights", [])],
        "photos": avatar.info.get("photos", 1),
    }  # fmt: skip
    mesh = replace(mesh, info=info)
    return with_gaussians(mesh, seen, seed=seed, progress=lambda share, what: say(0.6 + 0.4 * share, what))


def seen_from(avatar: TriplaneAvatar, yaw: float) -> Observation:
    """The avatar's picture from one side, its masks and its light; where its landmarks lie is known.

    Raises:
        HeadcastError: nothing of a head is in it.
    """
    view = front_view(avatar, (SIDE, SIDE))
    view = view.orbited(head_center(avatar, view.params), yaw, 0.0)
    rgba = to_rgba(avatar.render(view.params, view.camera))
    alpha = rgba[..., 3].astype(np.float32) / 255
    if float(alpha.mean()) < LEAST:
        raise HeadcastError("bake: this avatar's pictures show no head; its networks were trained too little")
    rgb = np.round(rgba[..., :3] * alpha[..., None] + GREY * (1 - alpha[..., None])).astype(np.uint8)
    points = view.camera.project(avatar.head.landmarks(avatar.head(view.params), 478)).double().numpy()
    box = (*points.min(0).tolist(), *points.max(0).tolist())
    detection = Detection(points, box, 1.0, yaw)
    masks = segment(rgb, detection, alpha)
    light = estimate_light(rgb, masks, avatar.head, view.params, view.camera, points)
    return Observation(rgb, detection, masks, view.camera, view.params, light, 0.0, f"view {yaw:+.0f}")
