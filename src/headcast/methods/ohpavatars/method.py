"""``ohpavatars`` as a registered method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from headcast.files import private_folder
from headcast.limits import FRACTION, Limit
from headcast.methods.base import BaseMethod, MethodOptions, get_method
from headcast.progress import Progress, subrange

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.head.model import HeadModel
    from headcast.methods.ohpavatars.loop import LoopResult, LoopSettings
    from headcast.methods.ohpavatars.store import StepStore
    from headcast.observe.types import Observation

__all__ = ["OhpAvatars", "OhpAvatarsOptions"]

COARSE_END = 0.15  # fraction of the time that the default method's avatar takes
NOTHING_TO_GAIN = (
    "the photo is large and sharp: restoration has nothing to add, and this is the default method's avatar; "
    "--always runs the rounds nevertheless"
)
STOPPED = "identity fell in round {}: the avatar is that of round {}"


@dataclass(frozen=True)
class OhpAvatarsOptions(MethodOptions):
    """Options of the method ``ohpavatars``."""

    rounds: Annotated[int, Limit(1, 8)] = 2
    """Rounds of rendering, restoring and optimising, at most."""
    restorer: Literal["headcast", "gfpgan", "codeformer", "restoreformer", "realesrgan"] = "headcast"
    """Network that restores the frames; all but headcast need weights that you imported."""
    restoration: Annotated[float, FRACTION] = 1.0
    """Strength of restoration in the first round; it falls from round to round."""
    video_frames: Annotated[int | None, Limit(2, 1000)] = None
    """Frames of the coarse video; by default as many as suit this machine."""
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
        """Refuse a restorer whose weights are missing."""
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
        from headcast.methods.ohpavatars.score import nothing_to_gain
        from headcast.methods.ohpavatars.store import StepStore, fingerprint

        def coarse() -> Avatar:
            end = 1.0 if is_good else COARSE_END
            say = subrange(progress, 0.0, end)
            default = get_method()
            return default.reconstruct(
                observations, head, default.Options(), seed=seed, consent=consent, progress=say
            )

        is_good = nothing_to_gain(observations[0]) and not options.always
        if is_good:
            return with_notes(coarse(), [NOTHING_TO_GAIN])
        settings = loop_settings(options, seed)
        facts = {"settings": replace(settings, rounds=0), "head": head.hash, "consent": consent}
        key = fingerprint(observations, facts)
        if options.steps_folder is not None:
            return improve(observations, coarse, settings, StepStore(options.steps_folder, key), progress)
        with private_folder() as folder:
            return improve(observations, coarse, settings, StepStore(Path(folder), key), progress)


def loop_settings(options: OhpAvatarsOptions, seed: int) -> LoopSettings:
    """Return the loop's settings; the coarse video's length suits the machine unless it is given."""
    from headcast.methods.ohpavatars.loop import LoopSettings
    from headcast.methods.ohpavatars.script import frames_for
    from headcast.render.jit import threads

    return LoopSettings(
        rounds=options.rounds,
        strength=options.restoration,
        network=options.restorer,
        frames=options.video_frames or frames_for(threads()),
        seed=seed,
    )


def improve(
    observations: Sequence[Observation],
    coarse: Callable[[], Avatar],
    settings: LoopSettings,
    store: StepStore,
    progress: Progress | None,
) -> Avatar:
    """Run the rounds on the coarse avatar, both from their stored steps where these are finished."""
    from headcast.methods.ohpavatars.learner import GaussianLearner
    from headcast.methods.ohpavatars.loop import run_loop

    avatar = store.avatar("coarse", coarse).splats
    assert avatar is not None, "the default method makes Gaussians"
    result = run_loop(
        GaussianLearner(avatar), observations, settings, store, subrange(progress, COARSE_END, 1.0)
    )
    return with_notes(result.learner.avatar, notes_of(result, settings))


def notes_of(result: LoopResult, settings: LoopSettings) -> list[str]:
    """Describe the rounds in sentences for the user."""
    lines = [f"coarse video: {settings.frames} frames of the default method's avatar, as suits this machine"]
    lines += [report.line for report in result.reports]
    if result.stopped:
        last = result.reports[-1].number
        lines.append(STOPPED.format(last, last - 1))
    return lines


def with_notes(avatar: Avatar, notes: Sequence[str]) -> Avatar:
    """Return an avatar of Gaussians, by this method, with sentences about how it was made."""
    gaussians = avatar.splats
    assert gaussians is not None, "the default method makes Gaussians"
    made = gaussians.provenance
    provenance = replace(made, method="ohpavatars", warnings=(*made.warnings, *notes))
    bound = replace(gaussians.mesh.bound, provenance=provenance)
    return replace(gaussians, mesh=replace(gaussians.mesh, bound=bound))
