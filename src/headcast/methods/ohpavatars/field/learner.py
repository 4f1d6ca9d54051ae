"""The field as what the loop optimises: first towards the coarse video, then towards restored frames."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from headcast.methods.ohpavatars.field.avatar import FieldAvatar
from headcast.methods.ohpavatars.field.network import RadianceField
from headcast.methods.ohpavatars.field.train import FieldTraining, frame_set, train_field
from headcast.methods.ohpavatars.learner import TrainingFrame
from headcast.methods.ohpavatars.store import StepCheckpoint
from headcast.methods.ohpavatars.update import GREY
from headcast.progress import Progress
from headcast.view import View

if TYPE_CHECKING:
    from headcast.avatar.bound import BoundHead
    from headcast.avatar.gaussian import GaussianAvatar
    from headcast.observe.types import Observation

__all__ = ["FieldLearner", "new_field", "photo_frame", "without_body"]

BODY = "body"


@dataclass(frozen=True)
class FieldLearner:
    """A field that goes on learning, round after round."""

    avatar: FieldAvatar
    training: FieldTraining

    def learn(
        self,
        frames: Sequence[TrainingFrame],
        observations: Sequence[Observation],
        *,
        seed: int,
        progress: Progress | None,
        checkpoint: StepCheckpoint | None = None,
    ) -> FieldLearner:
        """Optimise towards photos, which many rays meet, and frames."""
        photos = [photo_frame(o) for o in observations if o.masks is not None]
        data = frame_set([*photos, *frames], len(photos), self.avatar.head, self.avatar.canonical)
        field = copy.deepcopy(self.avatar.field)
        train_field(field, data, self.training, seed=seed, progress=progress, checkpoint=checkpoint)
        return replace(self, avatar=replace(self.avatar, field=field))

    def tensors(self) -> dict[str, Tensor]:
        """Return the field's parameters and its occupied cells."""
        return {k: v.detach().clone() for k, v in self.avatar.field.state_dict().items()}

    def with_tensors(self, tensors: dict[str, Tensor]) -> FieldLearner:
        """Return it with other parameters."""
        field = RadianceField(self.avatar.field.size)
        field.load_state_dict(tensors)
        field.eval().requires_grad_(False)
        return replace(self, avatar=replace(self.avatar, field=field))


def new_field(bound: BoundHead, training: FieldTraining, seed: int) -> FieldLearner:
    """Return an untrained field on a bound head; its parameters depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        field = RadianceField()
    return FieldLearner(FieldAvatar(bound, field), training)


def photo_frame(observation: Observation) -> TrainingFrame:
    """Make a frame of a photo: the head without background and clothes."""
    masks = observation.masks
    assert masks is not None
    alpha = (masks.person * (1 - masks.clothes))[..., None]
    rgb = observation.image * alpha + GREY * (1 - alpha)
    rgba: UInt8[np.ndarray, "h w 4"] = np.dstack([np.round(rgb), np.round(alpha * 255)]).astype(np.uint8)
    return TrainingFrame(View(observation.camera, observation.params), rgba)


def without_body(avatar: GaussianAvatar) -> GaussianAvatar:
    """Return the avatar without the Gaussians of its body: the field holds the head alone."""
    surface = avatar.mesh.surface
    names = [s.name for s in surface.shells]
    if BODY not in names:
        return avatar
    on_body = surface.part[avatar.gaussians.triangle] == names.index(BODY)
    kept = torch.nonzero(~on_body)[:, 0]
    return replace(avatar, gaussians=avatar.gaussians[kept])
