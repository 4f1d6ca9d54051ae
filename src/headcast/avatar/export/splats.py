"""Gaussians as plain arrays for the splat formats, in the world or in the frames of triangles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int

from headcast.avatar.base import Avatar
from headcast.errors import HeadcastError
from headcast.head.params import HeadParams
from headcast.image import linear_to_srgb, srgb_to_linear

if TYPE_CHECKING:
    from headcast.avatar.gaussian import GaussianAvatar
    from headcast.avatar.rig import Gaussians

__all__ = ["Splats", "posed_splats", "rest_pose", "rigged_splats"]


@dataclass(frozen=True)
class Splats:
    """N Gaussians as arrays.

    Attributes:
        position: (N, 3) metres, or in units of the triangle's size.
        log_scale: (N, 3) natural logarithm of the same unit.
        quaternion: (N, 4) wxyz, unit.
        opacity: (N,) logits.
        colour: (N, 3) sRGB display values, light included.
        binding: (N,) the triangle whose frame they are in; None: the world.
    """

    position: Float[np.ndarray, "n 3"]
    log_scale: Float[np.ndarray, "n 3"]
    quaternion: Float[np.ndarray, "n 4"]
    opacity: Float[np.ndarray, "n"]
    colour: Float[np.ndarray, "n 3"]
    binding: Int[np.ndarray, "n"] | None = None

    def __len__(self) -> int:
        return len(self.position)

    def turned_about_x(self) -> Splats:
        """Rotate by 180 degrees: +Y up and +Z to the viewer become +Y down and +Z away, as in 3DGS."""
        w, x, y, z = self.quaternion.T
        return replace(
            self,
            position=self.position * np.array([1, -1, -1], np.float32),
            quaternion=np.stack([-x, w, -z, y], 1),
        )


def rest_pose(avatar: Avatar, expression: Mapping[str, float] | None = None) -> HeadParams:
    """Return parameters of this person upright in the head frame, neutral except for an expression."""
    params = HeadParams.neutral(avatar.head.identities).replace(identity=avatar.source.params.identity)
    return params.with_expression(expression or {})


def posed_splats(avatar: Avatar, expression: Mapping[str, float] | None = None) -> Splats:
    """Return the avatar's Gaussians in the head frame, metres, under the photo's light.

    Raises:
        HeadcastError: it has none.
    """
    held = gaussians_of(avatar)
    with torch.no_grad():
        placed = held.placed(rest_pose(avatar, expression))
        return splat_arrays(held.world(placed), placed.shading)


def rigged_splats(avatar: Avatar) -> Splats:
    """Return the avatar's Gaussians in the frames of its surface triangles, under the light of the rest pose.

    Frames and binding are those of GaussianAvatars (SuperHead Eq. 3).
    """
    held = gaussians_of(avatar)
    with torch.no_grad():
        placed = held.placed(rest_pose(avatar))
        found = splat_arrays(held.gaussians, placed.shading)
    return replace(found, binding=held.gaussians.triangle.numpy())


def gaussians_of(avatar: Avatar) -> GaussianAvatar:
    """Return the avatar's Gaussians, or raise if it has none.

    Raises:
        HeadcastError: it is not.
    """
    if avatar.splats is not None:
        return avatar.splats
    if avatar.mesh is not None:
        raise HeadcastError("this avatar is a mesh without Gaussians; export it as glb or mesh-ply")
    raise HeadcastError("this avatar has no Gaussians; headcast bake makes one that has")


def splat_arrays(gaussians: Gaussians, shading: Float[torch.Tensor, "n 3"]) -> Splats:
    """Convert shaded Gaussians to plain arrays."""
    colour = linear_to_srgb((srgb_to_linear(gaussians.albedo.clamp(min=0)) * shading).clamp(0, 1))
    q = torch.nn.functional.normalize(gaussians.quaternion, dim=-1)
    return Splats(
        position=gaussians.position.numpy(),
        log_scale=gaussians.log_scale.numpy(),
        quaternion=q.numpy(),
        opacity=gaussians.opacity.numpy(),
        colour=colour.numpy(),
    )
