"""Target views of Gaussians made from photos, and from renderings of the mesh below the Gaussians."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.views import render_view
from headcast.camera import Camera
from headcast.head.model import JOINTS
from headcast.head.params import HeadParams
from headcast.observe.outlines import eroded, height_above_chin, pixel_grid
from headcast.observe.types import Observation
from headcast.render.mesh import rasterize_mesh
from headcast.rotation import axis_angle_to_matrix
from headcast.splats.targets import ViewTarget

__all__ = ["orbit_source_camera", "photo_target", "pseudo_target"]

SIDE = 512  # pixels of the longer side at which photos are compared
PSEUDO_SIDE = 384
FACE_WEIGHT = 2.0
# of the mesh's rendering in the target colours of the face, which regularizes other views
MESH_FRACTION = 0.2
OUTLINE_MARGIN = 0.012  # face heights from the person's outline, where a photo's colours are mixed
MIN_MESH_COVERAGE = 0.97  # of the mesh's rendering, from which it is mixed in


def photo_target(
    avatar: GaussianAvatar,
    observation: Observation,
    face: Float[np.ndarray, "h w"],
    with_body: bool = True,
    mesh_fraction: float = MESH_FRACTION,
) -> ViewTarget:
    """Make a target of a photo at its own view; without the body, only hair and what is above the chin.

    The avatar's body is the first photo's: in others clothes and shoulders are elsewhere.

    Args:
        face: 0..1, where the photo shows the face: there it counts more, and the mesh is mixed in.
        mesh_fraction: of the mesh's rendering in the target colours of the face.
    """
    import cv2

    assert observation.masks is not None
    scale = min(1.0, SIDE / max(observation.image.shape[:2]))
    camera = observation.camera.scaled(scale)
    size = (camera.width, camera.height)
    uncertainty = np.minimum(observation.masks.person, 1 - observation.masks.person)

    def resize(x: np.ndarray) -> Tensor:
        return torch.from_numpy(cv2.resize(x.astype(np.float32), size, interpolation=cv2.INTER_AREA))

    alpha = resize(observation.masks.person)
    rgb = resize(observation.image) / 255
    weight = (1 + FACE_WEIGHT * resize(face)) * (1 - resize(uncertainty))
    mesh = avatar.mesh.render(observation.params, camera)
    rgb = rgb + (mesh_fraction * resize(face) * (mesh.alpha > MIN_MESH_COVERAGE))[..., None] * (
        mesh.rgb - rgb
    )
    on_head = _is_on_head(avatar, observation.params, camera)
    # at the person's outline colours are mixed with the background's
    inner = resize(eroded(observation, observation.masks.person, OUTLINE_MARGIN))
    weight = torch.where(on_head, weight * inner, weight)
    if not with_body:
        above = height_above_chin(observation, pixel_grid(observation))
        weight = weight * resize((above > 0) | (observation.masks.hair > 0.5))
    return ViewTarget(
        camera=camera,
        params=observation.params,
        image=rgb * alpha[..., None],
        alpha=alpha,
        weight=weight,
    )


def _is_on_head(avatar: GaussianAvatar, params: HeadParams, camera: Camera) -> Bool[Tensor, "h w"]:
    """Return where the bare head is in front: ears that stick out further than the person's, for example.

    It stays solid there, and must not take the colours of what is behind the person.
    """
    solid = avatar.mesh.surface.solid
    triangle = rasterize_mesh(solid.posed(params).vertices, solid.faces, camera).triangle
    return (triangle >= 0) & (solid.part[triangle.clamp(min=0)] < 0)


def pseudo_target(
    avatar: GaussianAvatar, yaw: float, pitch: float, expression: dict[str, float]
) -> ViewTarget:
    """Render the mesh from another side than the photo's (degrees) and with another expression."""
    source = avatar.source
    camera = orbit_source_camera(avatar, yaw, pitch)
    camera = camera.scaled(min(1.0, PSEUDO_SIDE / max(camera.width, camera.height)))
    params = source.params.with_expression(expression) if expression else source.params
    view = render_view(avatar.mesh, params, camera)
    alpha = view.rendering.alpha
    return ViewTarget(
        camera=camera, params=params, image=view.premultiplied, alpha=alpha, weight=torch.ones_like(alpha)
    )


def orbit_source_camera(avatar: GaussianAvatar, yaw: float, pitch: float) -> Camera:
    """Orbit the source's camera around the head joint, about the head's own axes; degrees."""
    params = avatar.source.params
    rotation = axis_angle_to_matrix(params.rotation)
    joint = avatar.head.joints(params.identity)[JOINTS.index("head")] @ rotation.T + params.translation
    return avatar.source.camera.orbited(joint, yaw, pitch, axes=rotation)
