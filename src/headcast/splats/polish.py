"""Optimise Gaussians to look like the photos, and like the textured mesh everywhere else.

Two of three steps use a photo, the third a rendering of the mesh from other sides and with other
expressions (pseudo-targets): what no photo shows must stay as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.observe.outlines import soft_outline
from headcast.observe.types import Observation
from headcast.progress import Progress
from headcast.splats.init import init_gaussians
from headcast.splats.optimize import optimize_gaussians
from headcast.splats.photo_targets import photo_target, pseudo_target
from headcast.splats.targets import ViewTarget

__all__ = ["PSEUDO_VIEWS", "cover_mesh", "polish", "target_of_photo", "with_gaussians"]

STEPS, MIN_STEPS_PER_PHOTO = 70, 18
COVER_ROUNDS = 3  # steps for every pseudo-target where there is no photo
CYCLE_STEPS = 3  # the last of them uses a pseudo-target
FACE_RIM_PIXELS = 4.0  # of the photo, over which the face's weight rises from its outline
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
        photos = [
            target_of_photo(avatar, o, o is observations[0]) for o in observations if o.masks is not None
        ]
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


def cover_mesh(mesh: MeshAvatar, *, seed: int = 0, progress: Progress | None = None) -> GaussianAvatar:
    """Initialize Gaussians on a textured mesh and optimise them for its own renderings, without a photo."""
    with torch.no_grad():
        avatar = GaussianAvatar(mesh, init_gaussians(mesh.surface, mesh.source))
        views = [pseudo_target(avatar, *view) for view in ((0.0, 0.0, {}), *PSEUDO_VIEWS)]
    schedule = list(range(len(views))) * COVER_ROUNDS
    return optimize_gaussians(avatar, views, schedule, seed=seed, progress=progress)


def target_of_photo(avatar: GaussianAvatar, observation: Observation, with_body: bool = True) -> ViewTarget:
    """Make a target of a photo in which the face, softly outlined, counts most."""
    from headcast.observe.landmark_points import OVAL

    face = soft_outline(observation, OVAL, 1.0, FACE_RIM_PIXELS)
    return photo_target(avatar, observation, face, with_body)


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
