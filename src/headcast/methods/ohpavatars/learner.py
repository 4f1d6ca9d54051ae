"""What the loop optimises towards restored frames: the Gaussians of the default method's avatar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.methods.ohpavatars.update import GREY
from headcast.progress import Progress
from headcast.splats.optimize import RATES, optimize_gaussians
from headcast.splats.photo_targets import photo_target
from headcast.splats.targets import ViewTarget
from headcast.view import View

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.avatar.gaussian import GaussianAvatar
    from headcast.methods.ohpavatars.store import StepCheckpoint
    from headcast.observe.types import Observation

__all__ = ["GaussianLearner", "Learner", "TrainingFrame", "frame_target", "source_targets", "step_schedule"]

STEPS = 200
PHOTO_EVERY = 2  # steps: every second one is towards a photo
PHOTO_WEIGHT = 2.0  # of a photo's errors, next to a restored frame's
FACE_RIM_PIXELS = 4.0  # of the photo, over which the face's weight rises from its outline


@dataclass(frozen=True)
class TrainingFrame:
    """An image to learn from.

    Attributes:
        rgba: colours over mid grey where the coverage is in part, and coverage.
    """

    view: View
    rgba: UInt8[np.ndarray, "h w 4"]


@runtime_checkable
class Learner(Protocol):
    """A representation that is optimised towards frames, round after round.

    Attributes:
        avatar: as it is now, to render.
    """

    @property
    def avatar(self) -> Avatar: ...

    def learn(
        self,
        frames: Sequence[TrainingFrame],
        observations: Sequence[Observation],
        *,
        seed: int,
        progress: Progress | None,
        checkpoint: StepCheckpoint | None = None,
    ) -> Learner:
        """Return what one round of optimisation makes of it.

        Args:
            checkpoint: where a long optimisation keeps its state, to go on after an interruption.
        """
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Return what a round changes, for the folder of steps."""
        ...

    def with_tensors(self, tensors: dict[str, Tensor]) -> Learner:
        """Return it as it was when these tensors were taken."""
        ...


@dataclass(frozen=True)
class GaussianLearner:
    """Gaussians on the mesh, optimised as ``splats.optimize`` does."""

    avatar: GaussianAvatar
    steps: int = STEPS

    def learn(
        self,
        frames: Sequence[TrainingFrame],
        observations: Sequence[Observation],
        *,
        seed: int,
        progress: Progress | None,
        checkpoint: StepCheckpoint | None = None,
    ) -> GaussianLearner:
        """Optimise for ``steps`` steps: photos, weighted most, and restored frames take turns.

        Half a minute: ``checkpoint`` is not used, an interrupted optimisation begins again.
        """
        with torch.no_grad():
            photos = source_targets(self.avatar, observations)
        targets = [*photos, *(frame_target(f) for f in frames)]
        schedule = step_schedule(self.steps, len(photos), len(frames), seed)
        return replace(
            self, avatar=optimize_gaussians(self.avatar, targets, schedule, seed=seed, progress=progress)
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return the optimised parameters of the Gaussians."""
        return {k: getattr(self.avatar.gaussians, k) for k in RATES}

    def with_tensors(self, tensors: dict[str, Tensor]) -> GaussianLearner:
        """Return the same avatar with other parameters."""
        gaussians = replace(self.avatar.gaussians, **tensors)
        return replace(self, avatar=replace(self.avatar, gaussians=gaussians))


def step_schedule(steps: int, photos: int, frames: int, seed: int) -> list[int]:
    """Return which target each step uses; photos are counted first, then frames, shuffled every pass."""
    rng = torch.Generator().manual_seed(seed)
    schedule: list[int] = []
    order: list[int] = []
    for step in range(steps):
        if step % PHOTO_EVERY == 0 or not frames:
            schedule.append(step // PHOTO_EVERY % photos)
            continue
        order = order or torch.randperm(frames, generator=rng).tolist()
        schedule.append(photos + order.pop())
    return schedule


def source_targets(avatar: GaussianAvatar, observations: Sequence[Observation]) -> list[ViewTarget]:
    """Make targets of the photos; the first with the body, as the avatar's body is the first photo's."""
    from headcast.observe.landmark_points import OVAL
    from headcast.observe.outlines import soft_outline

    made = []
    for o in observations:
        if o.masks is None:
            continue
        face = soft_outline(o, OVAL, 1.0, FACE_RIM_PIXELS)
        target = photo_target(avatar, o, face, o is observations[0], mesh_fraction=0.0)
        made.append(replace(target, weight=target.weight * PHOTO_WEIGHT))
    return made


def frame_target(frame: TrainingFrame) -> ViewTarget:
    """Make a target of a restored frame; its soft outline, where restoration blurs, counts little."""
    rgba = torch.from_numpy(frame.rgba.astype(np.float32) / 255)
    alpha: Float[Tensor, "h w"] = rgba[..., 3]
    over_grey = rgba[..., :3] - (1 - alpha)[..., None] * (GREY / 255)
    image = torch.minimum(over_grey.clamp(min=0), alpha[..., None])
    weight = 1 - 2 * torch.minimum(alpha, 1 - alpha)
    return ViewTarget(
        camera=frame.view.camera, params=frame.view.params, image=image, alpha=alpha, weight=weight
    )
