"""``ohpavatars`` as a registered method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from headcast.errors import HeadcastError
from headcast.files import private_folder
from headcast.limits import FRACTION, Limit
from headcast.methods.base import BaseMethod, MethodOptions, get_method
from headcast.progress import Progress, subrange

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.head.model import HeadModel
    from headcast.methods.ohpavatars.store import StepStore
    from headcast.observe.types import Observation

__all__ = ["OhpAvatars", "OhpAvatarsOptions"]

COARSE_END = 0.15  # fraction of the time that the default method's avatar takes
NOTHING_TO_GAIN = (
    "the photo is large and sharp: restoration has nothing to add, and this is the default method's avatar; "
    "--always runs the rounds nevertheless"
)


@dataclass(frozen=True)
class OhpAvatarsOptions(MethodOptions):
    """Options of the method ``ohpavatars``."""

    representation: Literal["gaussians", "field"] = "gaussians"
    """Gaussians on a mesh, or the paper's deformable radiance field, which takes far longer."""
    rounds: Annotated[int, Limit(1, 8)] = 2
    """Rounds of rendering, restoring and optimising, at most."""
    restorer: Literal["headcast", "gfpgan", "codeformer", "restoreformer", "realesrgan"] = "headcast"
    """Network that restores the frames; all but headcast need weights that you imported."""
    restoration: Annotated[float, FRACTION] = 1.0
    """Strength of restoration in the first round; it falls from round to round."""
    video_frames: Annotated[int | None, Limit(2, 1000)] = None
    """Frames of the coarse video; by default as many as suit this machine."""
    frames_from: Literal["auto", "avatar", "animator"] = "auto"
    """Source of the coarse video: an image animator (the paper's way; needs imported weights), or renderings
    of the default method's avatar. By default the animator where its weights are here."""
    driver: Path | None = None
    """A video of one head that drives the image animator; by default the rendered script does."""
    field_iterations: Annotated[int, Limit(1, 100_000)] = 1500
    """Steps of the field's first training; each round takes a third."""
    always: bool = False
    """Run the rounds for large and sharp photos too."""
    steps_folder: Path | None = None
    """Where finished steps are kept, to go on after an interruption; by default NAME.steps."""

    def for_output(self, out: Path) -> OhpAvatarsOptions:
        """Put the folder of finished steps beside the avatar."""
        return self if self.steps_folder else replace(self, steps_folder=out.with_suffix(".steps"))


class OhpAvatars(BaseMethod):
    """Improve the default method's avatar by restoring its own renderings, round after round."""

    name = "ohpavatars"
    description = "for poor photos: renders the avatar, restores the frames, optimises; in rounds"
    Options = OhpAvatarsOptions

    def check(self, options: OhpAvatarsOptions) -> None:
        """Refuse a restorer or an animator whose weights are missing, and a driver that nothing reads."""
        from headcast.files import check_readable
        from headcast.methods.base import animator_names
        from headcast.methods.ohpavatars.animated import available_animator

        if options.frames_from == "animator" and available_animator() is None:
            names = ", ".join(animator_names())
            raise HeadcastError(
                f"--frames-from animator: no weights of an image animator here; import those of {names} "
                "(headcast weights import), or leave the option out"
            )
        if options.driver is not None:
            if options.frames_from == "avatar" or available_animator() is None:
                raise HeadcastError(
                    f"--driver {options.driver}: drives an image animator alone, and none is used here; "
                    "leave it out"
                )
            check_readable(options.driver, "video")
        if options.restorer != "headcast":
            from headcast.weights.store import load_imported

            load_imported(options.restorer)

    def observe_fraction(self, options: OhpAvatarsOptions) -> float:
        """Return the little that observing takes of all."""
        return 0.04

    def reconstruct(
        self,
        observations: Sequence[Observation],
        head: HeadModel,
        options: OhpAvatarsOptions,
        *,
        seed: int = 0,
        consent: str | None = None,
        progress: Progress | None = None,
    ) -> Avatar:
        """Reconstruct by the default method, then run the rounds."""
        from headcast.methods.ohpavatars.run import improve, job_key, with_notes
        from headcast.methods.ohpavatars.score import nothing_to_gain
        from headcast.methods.ohpavatars.store import StepStore

        default = get_method()

        def make(say: Progress | None) -> Avatar:
            return default.reconstruct(
                observations, head, default.Options(), seed=seed, consent=consent, progress=say
            )

        if nothing_to_gain(observations[0]) and not options.always:
            return with_notes(make(progress), [NOTHING_TO_GAIN])
        coarse = partial(make, subrange(progress, 0.0, COARSE_END))
        rest, key = subrange(progress, COARSE_END, 1.0), job_key(observations, head, options, seed, consent)

        def work(store: StepStore) -> Avatar:
            return improve(observations, head, coarse, options, seed, store, rest)

        if options.steps_folder is not None:
            return work(StepStore(options.steps_folder, key))
        with private_folder() as folder:
            return work(StepStore(Path(folder), key))
