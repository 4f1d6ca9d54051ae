"""The loop: render the script's frames, restore them, optimise, score, again; finished steps are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from headcast.methods.ohpavatars.learner import Learner, TrainingFrame
from headcast.methods.ohpavatars.score import SourceScore, is_identity_lost, score_source_view
from headcast.methods.ohpavatars.script import SIDE, face_camera, make_script, shot_view
from headcast.methods.ohpavatars.store import StepStore
from headcast.methods.ohpavatars.update import is_dropped, make_restore, restored_frame
from headcast.progress import Progress, subrange
from headcast.view import View

if TYPE_CHECKING:
    from headcast.avatar.base import Avatar
    from headcast.observe.types import Observation
    from headcast.priors.restorer.restore import Network

__all__ = ["LoopResult", "LoopSettings", "RoundReport", "restoration_strength", "run_loop"]

RESTORE_FRACTION = 0.55  # of a round's time, which rendering and restoring its frames take


@dataclass(frozen=True)
class LoopSettings:
    """Settings of the loop.

    Attributes:
        rounds: of dataset updates at most.
        strength: of restoration in the first round; it falls from round to round.
        network: that restores (``priors.restorer.restore``).
        frames: of the coarse video, squares of ``side`` pixels.
    """

    rounds: int = 2
    strength: float = 1.0
    network: Network = "headcast"
    frames: int = 60
    side: int = SIDE
    seed: int = 0


class RoundReport(NamedTuple):
    """What one round did: its number (0: before the first), its scores and a sentence."""

    number: int
    score: SourceScore
    line: str


class LoopResult(NamedTuple):
    """The learner after the last round that was kept, and the reports of all rounds."""

    learner: Learner
    reports: tuple[RoundReport, ...]
    stopped: bool


def restoration_strength(first: float, round_number: int) -> float:
    """Return the strength of a round, counted from 1: the first's, then a half of it, a third ..."""
    return first / round_number


def run_loop(
    learner: Learner,
    observations: Sequence[Observation],
    settings: LoopSettings,
    store: StepStore,
    progress: Progress | None = None,
    views: Sequence[View] | None = None,
) -> LoopResult:
    """Run the rounds; stop, and keep the round before, where identity falls too far.

    Args:
        views: those of the training frames, which every round renders again; None: the script's.
    """
    views = script_views(learner.avatar, settings) if views is None else views
    start = scored(store, 0, lambda: score_source_view(learner.avatar, observations[0], settings.side))
    reports = [RoundReport(0, start, start.line(0, len(views)))]
    for k in range(1, settings.rounds + 1):
        say = subrange(progress, (k - 1) / settings.rounds, k / settings.rounds)
        after, dropped = run_round(learner, observations, settings, store, k, views, say)
        score = scored(
            store,
            k,
            lambda a=after, d=dropped: score_source_view(a.avatar, observations[0], settings.side, d),
        )
        reports.append(RoundReport(k, score, score.line(k, len(views))))
        if is_identity_lost(start, score):
            return LoopResult(learner, tuple(reports), stopped=True)
        learner = after
    return LoopResult(learner, tuple(reports), stopped=False)


def scored(store: StepStore, number: int, score: Callable[[], SourceScore]) -> SourceScore:
    """Return a round's stored score, computed first if it is missing."""
    return SourceScore(**store.fact(f"score {number}", lambda: score().facts()))


def run_round(
    learner: Learner,
    observations: Sequence[Observation],
    settings: LoopSettings,
    store: StepStore,
    number: int,
    views: Sequence[View],
    progress: Progress | None,
) -> tuple[Learner, int]:
    """Run one round; return the learner after it, and how many frames were dropped."""
    name = f"round{number}"

    def work() -> dict[str, Tensor]:
        say = subrange(progress, 0.0, RESTORE_FRACTION)
        frames = update_frames(learner.avatar, settings, store, number, views, say)
        kept = [f for f in frames if not is_dropped(f.rgba)]
        store.fact(f"dropped {number}", lambda: len(frames) - len(kept))
        say = subrange(progress, RESTORE_FRACTION, 1.0)
        after = learner.learn(
            kept,
            observations,
            seed=settings.seed + number,
            progress=say,
            checkpoint=store.checkpoint(name),
        )
        return after.tensors()

    after = learner.with_tensors(store.tensors(name, work))
    store.drop_images(name)
    return after, store.fact(f"dropped {number}", int)


def script_views(avatar: Avatar, settings: LoopSettings) -> list[View]:
    """Return the views of the script's frames."""
    camera = face_camera(avatar, settings.side)
    return [shot_view(avatar, camera, shot) for shot in make_script(settings.frames)]


def update_frames(
    avatar: Avatar,
    settings: LoopSettings,
    store: StepStore,
    number: int,
    views: Sequence[View],
    progress: Progress | None,
) -> list[TrainingFrame]:
    """Render and restore the frames of a round's dataset; those that are stored are read."""
    strength = restoration_strength(settings.strength, number)
    restore = make_restore(settings.network, strength, settings.seed)
    made = []
    for n, view in enumerate(views):
        if progress:
            progress(n / len(views), f"round {number}: restoring frame {n + 1} of {len(views)}")
        rgba = store.image(f"round{number}", n, lambda v=view: restored_frame(avatar, v, restore))
        made.append(TrainingFrame(view, rgba))
    return made
