"""From the coarse avatar to the improved one: which representation learns, and the notes for the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from headcast.avatar.gaussian import GaussianAvatar
from headcast.errors import HeadcastError
from headcast.methods.ohpavatars.animated import (
    AnimatedFrames,
    available_animator,
    frames_from_tensors,
    frames_tensors,
    make_animated,
)
from headcast.methods.ohpavatars.field.avatar import FieldAvatar
from headcast.methods.ohpavatars.field.learner import FieldLearner, new_field, without_body
from headcast.methods.ohpavatars.field.train import FieldTraining
from headcast.methods.ohpavatars.learner import GaussianLearner, Learner, TrainingFrame
from headcast.methods.ohpavatars.loop import LoopResult, LoopSettings, run_loop
from headcast.methods.ohpavatars.script import SIDE, face_camera, frames_for, make_script, shot_view
from headcast.methods.ohpavatars.store import StepStore, fingerprint
from headcast.methods.ohpavatars.to_texture import bake_changes
from headcast.methods.ohpavatars.update import GREY, render_rgba
from headcast.progress import Progress, subrange
from headcast.render.jit import threads
from headcast.view import flatten

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.avatar.provenance import Provenance
    from headcast.head.model import HeadModel
    from headcast.methods.base import ImageAnimator
    from headcast.methods.ohpavatars.method import OhpAvatarsOptions
    from headcast.observe.types import Observation

__all__ = ["coarse_video", "improve", "job_key", "loop_settings", "notes_of", "with_notes"]

FIELD_SIDE = 256  # pixels of the field's frames: its size for CPUs
FIELD_END = 0.5  # fraction of the time that the field's first training takes
FIELD_FIRST = FieldTraining()
ANIMATED_END = 0.25  # fraction of the time that an image animator takes
COARSE = "coarse video: {} frames of the default method's avatar, {} pixels"
STOPPED = "identity fell in round {}: the avatar is that of round {}"


def job_key(
    observations: Sequence[Observation],
    head: HeadModel,
    options: OhpAvatarsOptions,
    seed: int,
    consent: str | None,
) -> str:
    """Return the key of a job's folder of steps: asking for more rounds of the same job goes on from them."""
    settings = replace(loop_settings(options, seed), rounds=0)
    facts = {"settings": settings, "kind": options.representation, "head": head.hash, "consent": consent}
    facts["field"] = options.field_iterations if options.representation == "field" else 0
    animator = chosen_animator(options)
    facts["animator"] = None if animator is None else [animator.name, animator.version()]
    if animator is not None and options.driver is not None:
        facts["driver"] = stamp_of_file(options.driver)
    return fingerprint(observations, facts)


def loop_settings(options: OhpAvatarsOptions, seed: int) -> LoopSettings:
    """Return the loop's settings; the coarse video's length suits the machine unless it is given."""
    return LoopSettings(
        rounds=options.rounds,
        strength=options.restoration,
        network=options.restorer,
        frames=options.video_frames or frames_for(threads()),
        side=SIDE if options.representation == "gaussians" else FIELD_SIDE,
        seed=seed,
    )


def chosen_animator(options: OhpAvatarsOptions) -> ImageAnimator | None:
    """Return the image animator that makes the coarse video; None: the avatar is rendered."""
    return None if options.frames_from == "avatar" else available_animator()


def stamp_of_file(path: Path) -> list[int]:
    """Return size and time of change of a file, for keys."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def improve(
    observations: Sequence[Observation],
    head: HeadModel,
    coarse: Callable[[], Avatar],
    options: OhpAvatarsOptions,
    seed: int,
    store: StepStore,
    progress: Progress | None,
) -> Avatar:
    """Run the rounds on the coarse avatar, both from their stored steps where these are finished."""
    settings = loop_settings(options, seed)
    avatar = store.avatar("coarse", coarse).splats
    assert avatar is not None, "the default method makes Gaussians"
    animator = chosen_animator(options)
    begin = 0.0
    found: AnimatedFrames | None = None
    if animator is not None:
        begin = ANIMATED_END
        say = subrange(progress, 0.0, begin)
        found = animated_video(animator, avatar, observations[0], head, options, settings, store, say)
    end = FIELD_END if options.representation == "field" else begin
    learner = first_learner(
        avatar, found, observations, options, settings, store, subrange(progress, begin, end)
    )
    views = None if found is None else [f.view for f in found.frames]
    result = run_loop(learner, observations, settings, store, subrange(progress, end, 1.0), views)
    made = result.learner.avatar
    if isinstance(made, GaussianAvatar):
        made = bake_changes(avatar, made)
    source = found.note() if found else COARSE.format(settings.frames, settings.side)
    made = with_notes(made, [source, *notes_of(result)])
    return made if animator is None else with_weights(made, animator.weights_in_use(animator.Options()))


def animated_video(
    animator: ImageAnimator,
    avatar: GaussianAvatar,
    observation: Observation,
    head: HeadModel,
    options: OhpAvatarsOptions,
    settings: LoopSettings,
    store: StepStore,
    progress: Progress | None,
) -> AnimatedFrames:
    """Return the tracked frames of the animator, made and stored first if they are missing."""

    def work() -> dict[str, torch.Tensor]:
        found = make_animated(
            animator,
            avatar,
            observation,
            head,
            count=settings.frames,
            side=settings.side,
            driver=options.driver,
            with_body=options.representation == "gaussians",
            seed=settings.seed,
            progress=progress,
        )
        return frames_tensors(found)

    return frames_from_tensors(store.tensors("animated", work))


def first_learner(
    avatar: GaussianAvatar,
    found: AnimatedFrames | None,
    observations: Sequence[Observation],
    options: OhpAvatarsOptions,
    settings: LoopSettings,
    store: StepStore,
    progress: Progress | None,
) -> Learner:
    """Return what the rounds begin with: learnt from the coarse video and the photos.

    Gaussians that were not animated are the coarse avatar as it is: the video would be their own renderings.
    """
    learner: Learner = GaussianLearner(avatar)
    field = options.representation == "field"
    if not field and found is None:
        return learner
    if field:
        first = replace(FIELD_FIRST, steps=options.field_iterations)
        learner = new_field(avatar.bound, first, settings.seed)

    def work() -> dict[str, torch.Tensor]:
        frames = found.frames if found else coarse_video(without_body(avatar), settings)
        place = store.checkpoint("round0")
        learnt = learner.learn(frames, observations, seed=settings.seed, progress=progress, checkpoint=place)
        return learnt.tensors()

    trained = learner.with_tensors(store.tensors("round0", work))
    if isinstance(trained, FieldLearner):
        return replace(trained, training=replace(FIELD_FIRST, steps=max(1, options.field_iterations // 3)))
    return trained


def coarse_video(avatar: GaussianAvatar, settings: LoopSettings) -> list[TrainingFrame]:
    """Render the script's frames of an avatar."""
    camera, frames = face_camera(avatar, settings.side), []
    for shot in make_script(settings.frames):
        view = shot_view(avatar, camera, shot)
        rgba = render_rgba(avatar, view)
        frames.append(TrainingFrame(view, np.dstack([flatten(rgba, (GREY, GREY, GREY)), rgba[..., 3]])))
    return frames


def notes_of(result: LoopResult) -> list[str]:
    """Describe the rounds in sentences for the user."""
    lines = [report.line for report in result.reports]
    if result.stopped:
        last = result.reports[-1].number
        lines.append(STOPPED.format(last, last - 1))
    return lines


def with_notes(avatar: Avatar, notes: Sequence[str]) -> Avatar:
    """Return an avatar marked as this method's, with sentences about how it was made."""
    made = avatar.provenance
    return with_provenance(avatar, replace(made, method="ohpavatars", warnings=(*made.warnings, *notes)))


def with_weights(avatar: Avatar, weights: Sequence[Mapping[str, str]]) -> Avatar:
    """Return an avatar whose record names weights that took part, with their licences."""
    return with_provenance(avatar, avatar.provenance.with_weights(weights))


def with_provenance(avatar: Avatar, provenance: Provenance) -> Avatar:
    """Return an avatar with another record."""
    bound = replace(avatar.bound, provenance=provenance)
    if isinstance(avatar, GaussianAvatar):
        return replace(avatar, mesh=replace(avatar.mesh, bound=bound))
    if isinstance(avatar, FieldAvatar):
        return replace(avatar, bound=bound)
    raise HeadcastError(f"ohpavatars: does not make avatars of the kind {avatar.kind}")
