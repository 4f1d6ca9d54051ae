"""From the coarse avatar to the improved one: which representation learns, and the notes for the user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from headcast.avatar.gaussian import GaussianAvatar
from headcast.errors import HeadcastError
from headcast.methods.ohpavatars.field.avatar import FieldAvatar
from headcast.methods.ohpavatars.field.learner import FieldLearner, new_field, without_body
from headcast.methods.ohpavatars.field.train import FieldTraining
from headcast.methods.ohpavatars.learner import GaussianLearner, Learner, TrainingFrame
from headcast.methods.ohpavatars.loop import LoopResult, LoopSettings, run_loop
from headcast.methods.ohpavatars.script import SIDE, face_camera, frames_for, make_script, shot_view
from headcast.methods.ohpavatars.store import StepStore, fingerprint
from headcast.methods.ohpavatars.update import GREY, render_rgba
from headcast.progress import Progress, subrange
from headcast.render.jit import threads
from headcast.view import flatten

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.head.model import HeadModel
    from headcast.methods.ohpavatars.method import OhpAvatarsOptions
    from headcast.observe.types import Observation

__all__ = ["coarse_video", "improve", "job_key", "loop_settings", "notes_of", "with_notes"]

FIELD_SIDE = 256  # pixels of the field's frames: its size for CPUs
FIELD_END = 0.5  # fraction of the time that the field's first training takes
FIELD_FIRST, FIELD_LATER = FieldTraining(steps=1500), FieldTraining(steps=500)
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


def improve(
    observations: Sequence[Observation],
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
    learner: Learner = GaussianLearner(avatar)
    begin = 0.0
    if options.representation == "field":
        begin = FIELD_END
        learner = first_field(avatar, observations, settings, store, subrange(progress, 0.0, begin))
    result = run_loop(learner, observations, settings, store, subrange(progress, begin, 1.0))
    return with_notes(result.learner.avatar, notes_of(result, settings))


def first_field(
    avatar: GaussianAvatar,
    observations: Sequence[Observation],
    settings: LoopSettings,
    store: StepStore,
    progress: Progress | None,
) -> FieldLearner:
    """Train a field on the coarse video, as it is, and on the photos (the paper's coarse avatar)."""
    field = new_field(avatar.bound, FIELD_FIRST, settings.seed)

    def work() -> dict[str, torch.Tensor]:
        frames = coarse_video(without_body(avatar), settings)
        place = store.checkpoint("round0")
        learnt = field.learn(
            frames, observations, seed=settings.seed, progress=progress, checkpoint=place
        )
        return learnt.tensors()

    trained = field.with_tensors(store.tensors("round0", work))
    return replace(trained, training=FIELD_LATER)


def coarse_video(avatar: GaussianAvatar, settings: LoopSettings) -> list[TrainingFrame]:
    """Render the script's frames of an avatar."""
    camera, frames = face_camera(avatar, settings.side), []
    for shot in make_script(settings.frames):
        view = shot_view(avatar, camera, shot)
        rgba = render_rgba(avatar, view)
        frames.append(TrainingFrame(view, np.dstack([flatten(rgba, (GREY, GREY, GREY)), rgba[..., 3]])))
    return frames


def notes_of(result: LoopResult, settings: LoopSettings) -> list[str]:
    """Describe the rounds in sentences for the user."""
    lines = [f"coarse video: {settings.frames} frames of the default method's avatar, {settings.side} pixels"]
    lines += [report.line for report in result.reports]
    if result.stopped:
        last = result.reports[-1].number
        lines.append(STOPPED.format(last, last - 1))
    return lines


def with_notes(avatar: Avatar, notes: Sequence[str]) -> Avatar:
    """Return an avatar marked as this method's, with sentences about how it was made."""
    made = avatar.provenance
    provenance = replace(made, method="ohpavatars", warnings=(*made.warnings, *notes))
    bound = replace(avatar.bound, provenance=provenance)
    if isinstance(avatar, GaussianAvatar):
        return replace(avatar, mesh=replace(avatar.mesh, bound=bound))
    if isinstance(avatar, FieldAvatar):
        return replace(avatar, bound=bound)
    raise HeadcastError(f"ohpavatars: does not make avatars of the kind {avatar.kind}")
