"""``insta`` as a registered method: photos or a video straight into the deformable field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from headcast.limits import Limit
from headcast.methods.base import BaseMethod, MethodOptions, reconstruct_mesh
from headcast.progress import Progress, subrange

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.head.model import HeadModel
    from headcast.observe.types import Observation

__all__ = ["Insta", "InstaOptions"]

MESH_END = 0.1  # fraction of the time that the bound head takes


@dataclass(frozen=True)
class InstaOptions(MethodOptions):
    """Options of the method ``insta``."""

    iterations: Annotated[int, Limit(1, 100_000)] = 2000
    """Steps of optimisation."""
    rays: Annotated[int, Limit(64, 65536)] = 3072
    """Rays a step."""


class Insta(BaseMethod):
    """Optimise a deformable radiance field towards the frames alone: nothing is rendered or restored."""

    name = "insta"
    description = "deformable radiance field of a video's key frames; slow, and the head without the body"
    Options = InstaOptions

    def observe_fraction(self, options: InstaOptions) -> float:
        """Return the part that observing takes; the optimisation takes the most."""
        return 0.1

    def reconstruct(
        self,
        observations: Sequence[Observation],
        head: HeadModel,
        options: InstaOptions,
        *,
        seed: int = 0,
        consent: str | None = None,
        progress: Progress | None = None,
    ) -> Avatar:
        """Bind the head by the default method, then optimise the field."""
        from headcast.methods.ohpavatars.field.learner import new_field
        from headcast.methods.ohpavatars.field.train import FieldTraining

        say = subrange(progress, 0.0, MESH_END)
        mesh = reconstruct_mesh(observations, head, seed=seed, consent=consent, progress=say)
        provenance = replace(mesh.provenance, method=self.name)
        training = FieldTraining(steps=options.iterations, rays=options.rays)
        field = new_field(replace(mesh.bound, provenance=provenance), training, seed)
        say = subrange(progress, MESH_END, 1.0)
        return field.learn([], observations, seed=seed, progress=say).avatar
