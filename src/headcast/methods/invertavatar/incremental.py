"""Incremental inversion: a first frame gives an avatar, every further one improves it (Sec. 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from headcast.avatar.mesh import MeshAvatar
from headcast.head.model import HeadModel
from headcast.methods.base import reconstruct_mesh
from headcast.methods.invertavatar.fusion import first_state, fuse_frame, register_frame
from headcast.methods.invertavatar.gate import measure_frame_traits, reason_to_skip, remember_traits
from headcast.methods.invertavatar.shape import with_evidence
from headcast.methods.invertavatar.state import FusionState
from headcast.observe.fit import Fitter, FrameFit
from headcast.observe.light import estimate_light
from headcast.observe.recursive import ShapeEvidence, add_frame, fit_to_evidence
from headcast.observe.types import Observation
from headcast.progress import Progress, subrange
from headcast.texture.registration import turn_between

TOGETHER = 4  # frames: what they hide can be completed, and hair be shaped, from all of them at once
FIRST_END = 0.4  # fraction of the time until the first frame's mesh is there

__all__ = ["IncrementalInversion", "Settings", "begin_inversion", "take_in"]


@dataclass(frozen=True)
class Settings:
    """Parts that can be left out, for ablations.

    Attributes:
        gate: leave frames out that must not be used. shape: let the shape follow. register: correct poses
        by the skin in common. flow: correct what remains of displacements.
        together: how many of the first call's frames the default method sees together, before the recursion.
    """

    gate: bool = True
    shape: bool = True
    register: bool = True
    flow: bool = True
    together: int = TOGETHER


class IncrementalInversion(NamedTuple):
    """An avatar in the making.

    Attributes:
        mesh: textured head with its shells. state: what it remembers of all frames.
        frames: observations of this call that were used, posed as they were taken in.
        skipped: one sentence for each frame that was left out.
    """

    mesh: MeshAvatar
    state: FusionState
    frames: tuple[Observation, ...] = ()
    skipped: tuple[str, ...] = ()


def begin_inversion(
    observations: Sequence[Observation],
    head: HeadModel,
    *,
    settings: Settings | None = None,
    seed: int = 0,
    consent: str | None = None,
    texture_size: int | None = None,
    progress: Progress | None = None,
) -> IncrementalInversion:
    """Make an avatar of a first frame and take in the others.

    What all frames say of the shape is summed first, so that the first frame's colours are projected onto
    the shape that they have in common. A single frame is the default method's.
    """
    settings = settings or Settings()
    first, rest = observations[0], observations[1:]
    fitter = Fitter(head)
    with torch.no_grad():
        shape, _ = add_frame(fitter, None, first.detection, size_of(first))
        traits = measure_frame_traits(first)
        state = remember_traits(FusionState(weights={}, spreads={}, sharpness=1.0, shape=shape), traits)
        sorted_out = sort_out(state, rest, fitter, settings)
        if sorted_out.frames and settings.shape:
            first = fitted_to(first, sorted_out.state.shape, fitter)
        identity = first.params.identity.double().numpy()
        chosen = most_different([first, *sorted_out.frames], settings.together)
        later = [o for k, o in enumerate(sorted_out.frames) if k + 1 not in chosen]
        window = [
            first,
            *(
                fitted_to(sorted_out.frames[k - 1], sorted_out.state.shape, fitter, identity)
                for k in chosen[1:]
            ),
        ]
    mesh = reconstruct_mesh(
        window,
        head,
        texture_size=texture_size,
        seed=seed,
        consent=consent,
        progress=subrange(progress, 0.0, FIRST_END),
    )
    with torch.no_grad():
        seen = first_state(mesh, window, shape)
    state = replace(
        sorted_out.state,
        weights=seen.weights,
        spreads=seen.spreads,
        sharpness=seen.sharpness,
        used=len(window),
    )
    made = IncrementalInversion(mesh, state, tuple(window), sorted_out.skipped)
    return fuse_all(made, later, fitter, settings, subrange(progress, FIRST_END, 1.0))


def most_different(frames: Sequence[Observation], count: int) -> list[int]:
    """Choose frames that look from different sides: the first, then always the farthest from those chosen."""
    chosen = [0]
    while len(chosen) < min(count, len(frames)):
        nearest = [min(turn_between(f.params, frames[j].params) for j in chosen) for f in frames]
        chosen.append(int(np.argmax([-1.0 if k in chosen else x for k, x in enumerate(nearest)])))
    return chosen


def take_in(
    made: IncrementalInversion,
    observations: Sequence[Observation],
    head: HeadModel,
    *,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> IncrementalInversion:
    """Take further frames in, one after the other; those that must not be used are left out.

    Args:
        head: the unbound head model, with which the observations were fitted.
    """
    settings = settings or Settings()
    fitter = Fitter(head)
    with torch.no_grad():
        sorted_out = sort_out(made.state, observations, fitter, settings)
        shape, mesh = sorted_out.state.shape, made.mesh
        if sorted_out.frames and settings.shape:
            mesh = with_evidence(mesh, shape, shape.mean[:-1], float(shape.mean[-1]))
    begun = IncrementalInversion(mesh, sorted_out.state, made.frames, (*made.skipped, *sorted_out.skipped))
    return fuse_all(begun, sorted_out.frames, fitter, settings, progress)


class SortedFrames(NamedTuple):
    """Frames that may be used, the state with what they say of shape and person, and why others may not."""

    frames: tuple[Observation, ...]
    state: FusionState
    skipped: tuple[str, ...]


def sort_out(
    state: FusionState, observations: Sequence[Observation], fitter: Fitter, settings: Settings
) -> SortedFrames:
    """Leave out frames that must not be used, and sum what the others say of the shape."""
    frames, skipped = [], []
    for observation in observations:
        shape, fit = add_frame(fitter, state.shape, observation.detection, size_of(observation))
        traits = measure_frame_traits(observation)
        frame = replace(observation, camera=fit.camera, params=fit.params, landmark_error=fit.error)
        reason = reason_to_skip(traits, state, frame) if settings.gate else None
        if reason is not None:
            skipped.append(f"{Path(observation.name).name}: left out, {reason}")
            state = replace(state, skipped=state.skipped + 1)
            continue
        frames.append(observation)
        state = remember_traits(replace(state, shape=shape) if settings.shape else state, traits)
    return SortedFrames(tuple(frames), state, tuple(skipped))


def fuse_all(
    made: IncrementalInversion,
    observations: Sequence[Observation],
    fitter: Fitter,
    settings: Settings,
    progress: Progress | None,
) -> IncrementalInversion:
    """Take frames into the textures, one after the other."""
    for n, observation in enumerate(observations):
        if progress:
            progress(n / len(observations), f"taking in {Path(observation.name).name}")
        with torch.no_grad():
            identity = made.mesh.source.params.identity.double().numpy()
            frame = fitted_to(observation, made.state.shape, fitter, identity)
            if settings.register:
                frame = register_frame(made.mesh, made.state, frame)
            update = fuse_frame(made.mesh, made.state, frame, settings.flow)
        state = replace(update.state, used=made.state.used + 1)
        made = IncrementalInversion(update.mesh, state, (*made.frames, frame), made.skipped)
    return made


def fitted_to(
    observation: Observation,
    shape: ShapeEvidence,
    fitter: Fitter,
    identity: Float[np.ndarray, "i"] | None = None,
) -> Observation:
    """Return the observation fitted with the person's identity and focal length.

    Args:
        identity: None: the most likely one.
    """
    fit = fit_to_evidence(fitter, shape, observation.detection, size_of(observation), identity)
    return refitted(observation, fit, fitter.head)


def refitted(observation: Observation, fit: FrameFit, head: HeadModel) -> Observation:
    """Return the observation with another fit, and the light that it implies."""
    o = observation
    light = (
        None
        if o.masks is None
        else estimate_light(o.image, o.masks, head, fit.params, fit.camera, o.detection.points)
    )
    return replace(o, camera=fit.camera, params=fit.params, light=light, landmark_error=fit.error)


def size_of(observation: Observation) -> tuple[int, int]:
    """Return width and height of the image."""
    height, width = np.shape(observation.image)[:2]
    return width, height
