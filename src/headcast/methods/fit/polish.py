"""Optimise Gaussians to look like the photos, and like the textured mesh everywhere else.

Two of three steps use a photo, the third a rendering of the mesh from other sides and with other
expressions (pseudo-targets): what no photo shows must stay as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.views import render_view
from headcast.camera import Camera
from headcast.head.model import JOINTS
from headcast.head.params import HeadParams
from headcast.observe.types import Observation
from headcast.progress import Progress
from headcast.render.mesh import rasterize_mesh
from headcast.rotation import axis_angle_to_matrix
from headcast.splats.init import init_gaussians
from headcast.splats.optimize import optimize_gaussians
from headcast.splats.targets import ViewTarget
from headcast.texture.masks import soft_outline

__all__ = ["PSEUDO_VIEWS", "photo_target", "polish", "pseudo_target", "with_gaussians"]

STEPS, MIN_STEPS_PER_PHOTO = 70, 18
CYCLE_STEPS = 3  # the last of them uses a pseudo-target
SIDE = 512  # pixels of the longer side at which photos are compared
PSEUDO_SIDE = 384
FOREHEAD, CHIN = 10, 152  # of the face mesh
FACE_WEIGHT = 2.0
FACE_RIM_PIXELS = 4.0  # of the photo, over which the face's weight rises from its outline
# of the mesh's rendering in the target colours of the face, which regularizes other views
MESH_FRACTION = 0.2
MIN_MESH_COVERAGE = 0.97  # of the mesh's rendering, from which it is mixed in
PSEUDO_VIEWS: tuple[tuple[float, float, dict[str, float]], ...] = (
    (40, 0, {}),
    (-40, 0, {}),
    (
        20,
        10,
        {"eyeLookDownLeft": 0.9, "eyeLookDownRight": 0.9, "mouthStretchLeft": 0.6, "mouthStretchRight": 0.6},
    ),
    (-20, -10, {"jawOpen": 0.45, "mouthFunnel": 0.5}),
    (75, 5, {}),
    (-75, 5, {}),
    (0, -10, {"jawOpen": 0.7, "mouthUpperUpLeft": 0.7, "mouthUpperUpRight": 0.7}),
    (180, 10, {}),
    (10, 10, {"browDownLeft": 0.8, "browDownRight": 0.8, "mouthShrugLower": 0.7, "eyeSquintLeft": 0.6}),
    (-12, 0, {"eyeLookOutLeft": 0.7, "eyeLookInRight": 0.7, "mouthLeft": 0.8}),
)
"""Yaw and pitch of the camera, degrees, and expressions of the pseudo-targets."""


def polish(
    avatar: GaussianAvatar,
    observations: Sequence[Observation],
    *,
    seed: int = 0,
    steps: int | None = None,
    progress: Progress | None = None,
) -> GaussianAvatar:
    """Optimise the Gaussians for ``steps`` steps; photos and pseudo-targets take turns.

    Args:
        seed: of the backgrounds.
        steps: None takes ``STEPS``, or more so that each photo gets ``MIN_STEPS_PER_PHOTO``.
        progress: called with the fraction done.
    """
    with torch.no_grad():
        photos = [photo_target(avatar, o, o is observations[0]) for o in observations if o.masks is not None]
        pseudo = [pseudo_target(avatar, *view) for view in PSEUDO_VIEWS]
    if not photos:
        return avatar
    steps = (
        max(STEPS, MIN_STEPS_PER_PHOTO * len(photos) * CYCLE_STEPS // (CYCLE_STEPS - 1))
        if steps is None
        else steps
    )
    schedule = _schedule(steps, len(photos), len(pseudo))
    return optimize_gaussians(avatar, [*photos, *pseudo], schedule, seed=seed, progress=progress)


def with_gaussians(
    mesh: MeshAvatar, observations: Sequence[Observation], *, seed: int = 0, progress: Progress | None = None
) -> GaussianAvatar:
    """Initialize Gaussians on a textured mesh and optimise them for the photos."""
    with torch.no_grad():
        avatar = GaussianAvatar(mesh, init_gaussians(mesh.surface, mesh.source))
    return polish(avatar, observations, seed=seed, progress=progress)


def _schedule(steps: int, photos: int, pseudo: int) -> list[int]:
    """Return which target each step uses; photos are counted first, then pseudo-targets."""
    schedule = []
    for step in range(steps):
        turn, rest = divmod(step, CYCLE_STEPS)
        if rest == CYCLE_STEPS - 1:
            schedule.append(photos + turn % pseudo)
        else:
            schedule.append((turn * (CYCLE_STEPS - 1) + rest) % photos)
    return schedule


def photo_target(avatar: GaussianAvatar, observation: Observation, with_body: bool = True) -> ViewTarget:
    """Make a target of a photo at its own view; without the body, only hair and what is above the chin.

    The avatar's body is the first photo's: in others clothes and shoulders are elsewhere.
    """
    import cv2

    from headcast.observe.landmark_points import OVAL

    assert observation.masks is not None
    scale = min(1.0, SIDE / max(observation.image.shape[:2]))
    camera = observation.camera.scaled(scale)
    size = (camera.width, camera.height)
    face = soft_outline(observation, OVAL, 1.0, FACE_RIM_PIXELS)
    uncertainty = np.minimum(observation.masks.person, 1 - observation.masks.person)

    def resize(x: np.ndarray) -> Tensor:
        return torch.from_numpy(cv2.resize(x.astype(np.float32), size, interpolation=cv2.INTER_AREA))

    alpha = resize(observation.masks.person)
    rgb = resize(observation.image) / 255
    weight = (1 + FACE_WEIGHT * resize(face)) * (1 - resize(uncertainty))
    mesh = avatar.mesh.render(observation.params, camera)
    rgb = rgb + (MESH_FRACTION * resize(face) * (mesh.alpha > MIN_MESH_COVERAGE))[..., None] * (
        mesh.rgb - rgb
    )
    weight = torch.where(_is_on_head(avatar, observation.params, camera), weight * alpha, weight)
    if not with_body:
        weight = weight * resize(_is_above_chin(observation) | (observation.masks.hair > 0.5))
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


def _is_above_chin(observation: Observation) -> Bool[np.ndarray, "h w"]:
    """Return the mask of the image above the chin, along the face's vertical axis."""
    points = observation.detection.points
    up = points[FOREHEAD] - points[CHIN]
    y, x = np.mgrid[: observation.image.shape[0], : observation.image.shape[1]] + 0.5
    return (x - points[CHIN, 0]) * up[0] + (y - points[CHIN, 1]) * up[1] > 0


def pseudo_target(
    avatar: GaussianAvatar, yaw: float, pitch: float, expression: dict[str, float]
) -> ViewTarget:
    """Render the mesh from another side than the photo's (degrees) and with another expression."""
    source = avatar.source
    camera = _orbit_camera(avatar, yaw, pitch)
    camera = camera.scaled(min(1.0, PSEUDO_SIDE / max(camera.width, camera.height)))
    params = source.params.with_expression(expression) if expression else source.params
    view = render_view(avatar.mesh, params, camera)
    alpha = view.rendering.alpha
    return ViewTarget(
        camera=camera, params=params, image=view.premultiplied, alpha=alpha, weight=torch.ones_like(alpha)
    )


def _orbit_camera(avatar: GaussianAvatar, yaw: float, pitch: float) -> Camera:
    """Orbit the source's camera around the head joint, about the head's own axes; degrees."""
    params = avatar.source.params
    rotation = axis_angle_to_matrix(params.rotation)
    joint = avatar.head.joints(params.identity)[JOINTS.index("head")] @ rotation.T + params.translation
    return avatar.source.camera.orbited(joint, yaw, pitch, axes=rotation)
