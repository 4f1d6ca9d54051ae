"""``insta`` as a registered method: photos or a video straight into the deformable field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from headcast.files import private_folder
from headcast.limits import Limit
from headcast.methods.base import BaseMethod, MethodOptions, reconstruct_mesh
from headcast.progress import Progress, subrange

if TYPE_CHECKING:
    from torch import Tensor

    from headcast.avatar.base import Avatar
    from headcast.head.model import HeadModel
    from headcast.methods.ohpavatars.store import StepStore
    from headcast.observe.types import Observation

__all__ = ["Insta", "InstaOptions"]

MESH_END = 0.1  # fraction of the time that the bound head takes
MESH_FRAMES = 12  # of a clip, the best ones, that shape and colour the bound head


@dataclass(frozen=True)
class InstaOptions(MethodOptions):
    """Options of the method ``insta``."""

    iterations: Annotated[int, Limit(1, 100_000)] = 2000
    """Steps of optimisation."""
    rays: Annotated[int, Limit(64, 65536)] = 3072
    """Rays a step."""
    video_frames: Annotated[int, Limit(2, 1000)] = 120
    """Frames of a video that are learned from, at most: spread over all usable ones."""
    steps_folder: Path | None = None
    """Where finished steps are kept, to go on after an interruption; by default NAME.steps."""

    def for_output(self, out: Path) -> InstaOptions:
        """Put the folder of finished steps beside the avatar."""
        return self if self.steps_folder else replace(self, steps_folder=out.with_suffix(".steps"))


class Insta(BaseMethod):
    """Optimise a deformable radiance field towards the frames alone: nothing is rendered or restored."""

    name = "insta"
    description = "deformable radiance field of a video's frames; slow, and the head without the body"
    Options = InstaOptions

    def observe_fraction(self, options: InstaOptions) -> float:
        """Return the part that observing takes; the optimisation takes the most."""
        return 0.3

    def clip_frames(self, options: InstaOptions) -> int:
        """Return how many frames of a video are observed, at most."""
        return options.video_frames

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
        """Bind the head by the default method, then optimise the field; finished steps are kept on disk."""
        from headcast.methods.ohpavatars.store import StepStore, fingerprint

        facts = {"insta": replace(options, steps_folder=None), "head": head.hash, "seed": seed}
        key = fingerprint(observations, {**facts, "consent": consent})

        def work(store: StepStore) -> Avatar:
            return self._learn(observations, head, options, seed, consent, store, progress)

        if options.steps_folder is not None:
            return work(StepStore(options.steps_folder, key))
        with private_folder() as folder:
            return work(StepStore(Path(folder), key))

    def _learn(
        self,
        observations: Sequence[Observation],
        head: HeadModel,
        options: InstaOptions,
        seed: int,
        consent: str | None,
        store: StepStore,
        progress: Progress | None,
    ) -> Avatar:
        """Make the bound head and the field, each taken from its stored step where that is finished."""
        from headcast.methods.ohpavatars.field.learner import new_field
        from headcast.methods.ohpavatars.field.train import FieldTraining

        first = observations[:MESH_FRAMES]
        say, rest = subrange(progress, 0.0, MESH_END), subrange(progress, MESH_END, 1.0)
        mesh = store.avatar(
            "coarse", lambda: reconstruct_mesh(first, head, seed=seed, consent=consent, progress=say)
        )
        note = f"{len(observations)} frames were learned from, in {options.iterations} steps"
        notes = (*mesh.provenance.warnings, note)
        provenance = replace(mesh.provenance, method=self.name, warnings=notes)
        training = FieldTraining(steps=options.iterations, rays=options.rays)
        field = new_field(replace(mesh.bound, provenance=provenance), training, seed)

        def train() -> dict[str, Tensor]:
            place = store.checkpoint("round0")
            return field.learn([], observations, seed=seed, progress=rest, checkpoint=place).tensors()

        return field.with_tensors(store.tensors("round0", train)).avatar
