"""A tri-plane head as Gaussians on a rigged mesh: ``fit`` looks at its pictures as if they were photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.views import orbit_cameras, render_views
from headcast.errors import HeadcastError
from headcast.methods.fit.polish import with_gaussians
from headcast.methods.fit.reconstruct import reconstruct
from headcast.methods.portrait4d.avatar import TriplaneAvatar
from headcast.observe.rendered import observe_rendering
from headcast.observe.types import Observation
from headcast.view import front_view, head_center

__all__ = ["VIEWS", "baked", "observe_views"]

VIEWS = (0.0, 30.0, -30.0)
"""Yaw of the pictures, degrees; the first gives expression, light and the source's view."""
SIDE = 512
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
        say(0.0, "drawing the head from several sides")
        for observation in observe_views(avatar):
            seen.append(observation)
            say(0.3 * len(seen) / len(VIEWS), "drawing the head from several sides")
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


def observe_views(avatar: TriplaneAvatar) -> Iterator[Observation]:
    """Render the avatar from the sides of ``VIEWS``, one after the other, and observe what is rendered.

    Raises:
        HeadcastError: nothing of a head is in it.
    """
    front = front_view(avatar, (SIDE, SIDE))
    center = head_center(avatar, front.params)
    cameras = orbit_cameras(front.camera, center, [(yaw, 0.0) for yaw in VIEWS])
    for yaw, view in zip(VIEWS, render_views(avatar, front.params, cameras), strict=True):
        if float(view.rendering.alpha.mean()) < LEAST:
            raise HeadcastError(
                "bake: this avatar's pictures show no head; its networks were trained too little"
            )
        yield observe_rendering(
            view.rendering, avatar.head, view.params, view.camera, yaw=yaw, name=f"view {yaw:+.0f}"
        )
