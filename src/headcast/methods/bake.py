"""Bake an avatar that has no mesh: the default method looks at its renderings as if they were photos."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from headcast.errors import HeadcastError
from headcast.methods.base import get_method
from headcast.progress import Progress, ignore_progress, subrange
from headcast.view import front_view, head_center, to_rgba

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.observe.types import Observation

__all__ = ["BAKE_YAWS", "bake_avatar", "observe_rendering"]

BAKE_YAWS = (0.0, 30.0, -30.0)  # degrees; the first gives expression, light and the source view
SIDE = 512  # pixels
GREY = 128  # background of the renderings
MIN_COVERAGE = 0.02  # of the image, below which a rendering shows no head


def bake_avatar(avatar: Avatar, *, seed: int = 0, progress: Progress | None = None) -> Avatar:
    """Return our head with this person's shape and colours, hair and clothes as the default method sees them.

    Raises:
        HeadcastError: the avatar's renderings show no head.
    """
    report = progress or ignore_progress
    with torch.no_grad():
        observations = []
        for n, yaw in enumerate(BAKE_YAWS):
            report(0.3 * n / len(BAKE_YAWS), "rendering the head from several sides")
            observations.append(observe_rendering(avatar, yaw))
    made = avatar.provenance
    method = get_method()
    baked = method.reconstruct(
        observations, avatar.head, method.Options(), seed=seed, consent=made.consent,
        progress=subrange(progress, 0.3, 1.0),
    )  # fmt: skip
    return _with_origin(baked, avatar)


def _with_origin(baked: Avatar, avatar: Avatar) -> Avatar:
    """The baked avatar with the provenance of what it was baked from."""
    mesh, made = baked.mesh, avatar.provenance
    assert mesh is not None
    provenance = replace(
        mesh.provenance, method=f"{made.method}, baked", warnings=made.warnings, photos=made.photos,
        weights=(*made.weights, *mesh.provenance.weights),
    )  # fmt: skip
    mesh = replace(mesh, bound=replace(mesh.bound, provenance=provenance))
    return mesh if baked.splats is None else replace(baked.splats, mesh=mesh)


def observe_rendering(avatar: Avatar, yaw: float) -> Observation:
    """Observe the avatar's rendering from one side (yaw in degrees); its landmarks are known exactly.

    Raises:
        HeadcastError: nothing of a head is in it.
    """
    from headcast.observe.light import estimate_light
    from headcast.observe.masks import segment
    from headcast.observe.types import Detection, Observation

    view = front_view(avatar, (SIDE, SIDE))
    view = view.orbited(head_center(avatar, view.params), yaw, 0.0)
    rgba = to_rgba(avatar.render(view.params, view.camera))
    alpha = rgba[..., 3].astype(np.float32) / 255
    if float(alpha.mean()) < MIN_COVERAGE:
        raise HeadcastError(
            "bake: renderings of this avatar show no head; its networks were trained too little"
        )
    rgb = np.round(rgba[..., :3] * alpha[..., None] + GREY * (1 - alpha[..., None])).astype(np.uint8)
    points = view.camera.project(avatar.head.landmarks(avatar.head(view.params), 478)).double().numpy()
    box = (*points.min(0).tolist(), *points.max(0).tolist())
    detection = Detection(points, box, 1.0, yaw)
    masks = segment(rgb, detection, alpha)
    light = estimate_light(rgb, masks, avatar.head, view.params, view.camera, points)
    return Observation(rgb, detection, masks, view.camera, view.params, light, 0.0, f"view {yaw:+.0f}")
