"""Render an avatar from many cameras and with many expressions: images with coverage and depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.camera import Camera
from headcast.head.params import HeadParams
from headcast.render.types import Rendering

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar

__all__ = ["RenderedView", "orbit_cameras", "render_view", "render_views"]


@dataclass(frozen=True)
class RenderedView:
    """A rendering with its camera and parameters.

    Attributes:
        params: pose and expression (unbatched).
        rendering: colour, coverage and depth.
    """

    camera: Camera
    params: HeadParams
    rendering: Rendering

    @property
    def premultiplied(self) -> Float[Tensor, "h w 3"]:
        """Return premultiplied colour: rgb times alpha."""
        return self.rendering.rgb * self.rendering.alpha[..., None]


def render_view(avatar: Avatar, params: HeadParams, camera: Camera) -> RenderedView:
    """Render one view, without gradients."""
    with torch.no_grad():
        return RenderedView(camera, params, avatar.render(params, camera))


def render_views(
    avatar: Avatar,
    params: HeadParams,
    cameras: Sequence[Camera],
    expressions: Sequence[Mapping[str, float]] = ({},),
) -> Iterator[RenderedView]:
    """Render every camera's view of every expression, one after the other; all of the first expression first.

    Args:
        params: pose, and the expression on which ``expressions`` (weights by ARKit name) are set.
    """
    for expression in expressions:
        posed = params.with_expression(expression) if expression else params
        for camera in cameras:
            yield render_view(avatar, posed, camera)


def orbit_cameras(
    camera: Camera, center: Float[Tensor, "3"], angles: Sequence[tuple[float, float]]
) -> list[Camera]:
    """Orbit a camera around ``center`` (world); yaws and pitches in degrees, as in ``Camera.orbit``."""
    return [camera.orbited(center, yaw, pitch) if yaw or pitch else camera for yaw, pitch in angles]
