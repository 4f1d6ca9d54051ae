"""Bake an avatar that has no mesh: the default method takes its renderings for photos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from headcast.errors import HeadcastError
from headcast.methods.base import get_method
from headcast.progress import Progress, ignore_progress, subrange
from headcast.view import front_view, head_center

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.observe.types import Observation

__all__ = ["BAKE_YAWS", "bake_avatar", "observe_views"]

BAKE_YAWS = (0.0, 30.0, -30.0)  # degrees; the first gives expression, light and the source view
SIDE = 512  # pixels
MIN_COVERAGE = 0.02  # of the image, below which a rendering shows no head
OBSERVE_END = 0.3  # fraction of the time that rendering and observing the views take


def bake_avatar(avatar: Avatar, *, seed: int = 0, progress: Progress | None = None) -> Avatar:
    """Return our head with this person's shape, colours, hair and clothes, estimated by the default method.

    Raises:
        HeadcastError: the avatar's renderings show no head.
    """
    report, step = progress or ignore_progress, "rendering the head from several sides"
    observations = []
    report(0.0, step)
    with torch.no_grad():
        for observation in observe_views(avatar):
            observations.append(observation)
            report(OBSERVE_END * len(observations) / len(BAKE_YAWS), step)
    method = get_method()
    baked = method.reconstruct(
        observations,
        avatar.head,
        method.Options(),
        seed=seed,
        consent=avatar.provenance.consent,
        progress=subrange(progress, OBSERVE_END, 1.0),
    )
    return _with_origin(baked, avatar)


def _with_origin(baked: Avatar, avatar: Avatar) -> Avatar:
    """Add the provenance of what it was baked from to a baked avatar."""
    mesh, made = baked.mesh, avatar.provenance
    assert mesh is not None, "the default method makes meshes"
    provenance = replace(
        mesh.provenance,
        method=f"{made.method}, baked",
        warnings=made.warnings,
        photos=made.photos,
        weights=(*made.weights, *mesh.provenance.weights),
    )
    mesh = replace(mesh, bound=replace(mesh.bound, provenance=provenance))
    return mesh if baked.splats is None else replace(baked.splats, mesh=mesh)


def observe_views(avatar: Avatar) -> Iterator[Observation]:
    """Render the avatar from the sides of ``BAKE_YAWS``, one after the other, and observe the renderings.

    Raises:
        HeadcastError: nothing of a head is in it.
    """
    from headcast.avatar.views import orbit_cameras, render_views
    from headcast.observe.rendered import observe_rendering

    front = front_view(avatar, (SIDE, SIDE))
    center = head_center(avatar, front.params)
    cameras = orbit_cameras(front.camera, center, [(yaw, 0.0) for yaw in BAKE_YAWS])
    for yaw, view in zip(BAKE_YAWS, render_views(avatar, front.params, cameras), strict=True):
        if float(view.rendering.alpha.mean()) < MIN_COVERAGE:
            raise HeadcastError(
                "bake: renderings of this avatar show no head; its networks were trained too little"
            )
        yield observe_rendering(
            view.rendering, avatar.head, view.params, view.camera, yaw=yaw, name=f"view {yaw:+.0f}"
        )
