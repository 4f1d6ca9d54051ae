"""The loop on Gaussians: it goes on after an interruption, stops by identity, and learns from the photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.avatar.gaussian import GaussianAvatar
from headcast.methods.ohpavatars import loop
from headcast.methods.ohpavatars.learner import GaussianLearner, TrainingFrame, frame_target, step_schedule
from headcast.methods.ohpavatars.loop import LoopSettings, restoration_strength, run_loop
from headcast.methods.ohpavatars.score import SourceScore, is_identity_lost
from headcast.methods.ohpavatars.store import StepStore, fingerprint
from headcast.observe.types import Observation
from headcast.view import source_view

SETTINGS = LoopSettings(rounds=2, frames=3, side=64, seed=1)


class Killed(BaseException):
    """Stands for the signal that ends a process."""


def learner(avatar: GaussianAvatar) -> GaussianLearner:
    return GaussianLearner(avatar, steps=4)


def test_a_job_killed_at_any_moment_ends_with_the_same_result(
    scene: tuple[GaussianAvatar, Observation], tmp_path: Path
) -> None:
    avatar, photo = scene
    calls: list[float] = []
    whole = run_loop(
        learner(avatar),
        [photo],
        SETTINGS,
        StepStore(tmp_path / "a", "k"),
        lambda done, what: calls.append(done),
    )
    assert calls == sorted(calls) and calls[-1] == 1.0 and len(whole.reports) == 3
    folder = tmp_path / "b"
    for moment in (2, 5, 9):  # in the frames, in the optimisation, in the second round

        def kill(done: float, what: str, at: float = calls[moment]) -> None:
            if done >= at:
                raise Killed

        with pytest.raises(Killed):
            run_loop(learner(avatar), [photo], SETTINGS, StepStore(folder, "k"), kill)
    assert (folder / "round1.safetensors").is_file()
    done = run_loop(learner(avatar), [photo], SETTINGS, StepStore(folder, "k"))
    for key, value in whole.learner.tensors().items():
        assert torch.equal(value, done.learner.tensors()[key])
    assert done.reports == whole.reports
    assert not list(folder.glob("round*/*.png"))
    again = run_loop(learner(avatar), [photo], SETTINGS, StepStore(folder, "k"))  # nothing is done twice
    assert again.reports == whole.reports


def test_steps_of_another_job_are_not_taken(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    store = StepStore(tmp_path, "one")
    mine.write_text("kept")
    assert store.fact("x", lambda: 1) == 1 and store.fact("x", lambda: 2) == 1
    store.tensors("round1", lambda: {"a": torch.ones(2)})
    assert StepStore(tmp_path, "one").has("round1")
    other = StepStore(tmp_path, "two")
    assert not other.has("round1") and other.fact("x", lambda: 3) == 3 and mine.read_text() == "kept"


def test_the_fingerprint_follows_photo_and_settings(scene: tuple[GaussianAvatar, Observation]) -> None:
    _, photo = scene
    assert fingerprint([photo], {"a": 1}) == fingerprint([photo], {"a": 1})
    assert fingerprint([photo], {"a": 1}) != fingerprint([photo], {"a": 2})
    assert fingerprint([photo], {"a": 1}) != fingerprint([photo, photo], {"a": 1})


def test_the_loop_stops_when_identity_falls_and_keeps_the_round_before(
    scene: tuple[GaussianAvatar, Observation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar, photo = scene
    scores = iter([SourceScore(0.9, 0.01, 1.0), SourceScore(0.89, 0.01, 2.0), SourceScore(0.8, 0.01, 3.0)])
    monkeypatch.setattr(loop, "score_source_view", lambda *a: next(scores))
    monkeypatch.setattr(loop, "make_restore", lambda *a: lambda rgb, points: rgb)
    result = run_loop(
        learner(avatar), [photo], LoopSettings(rounds=3, frames=2, side=64), StepStore(tmp_path, "k")
    )
    assert result.stopped and len(result.reports) == 3
    first = StepStore(tmp_path, "k").tensors("round1", dict)
    assert torch.equal(first["albedo"], result.learner.tensors()["albedo"])
    assert not is_identity_lost(SourceScore(0.9, 0.01, 1.0), SourceScore(0.885, 0.2, 1.0))


def test_rounds_come_nearer_to_the_photo(
    scene: tuple[GaussianAvatar, Observation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar, photo = scene
    monkeypatch.setattr(loop, "make_restore", lambda *a: lambda rgb, points: rgb)
    result = run_loop(
        GaussianLearner(avatar, steps=30),
        [photo],
        LoopSettings(rounds=1, frames=2, side=96),
        StepStore(tmp_path, "k"),
    )
    errors = []
    for shown in (avatar, result.learner.avatar):
        view = source_view(shown)
        with torch.no_grad():
            out = shown.render(view.params, view.camera)
        off = out.rgb.numpy() - photo.image / np.float32(255)
        errors.append(float((off**2)[photo.masks.person > 0.99].mean()))  # type: ignore[union-attr]
    assert errors[1] < errors[0] / 2


def test_restoration_grows_weaker_and_photos_take_half_of_the_steps() -> None:
    strengths = [restoration_strength(0.9, k) for k in (1, 2, 3)]
    assert strengths[0] == 0.9 and strengths == sorted(strengths, reverse=True)
    schedule = step_schedule(40, photos=1, frames=5, seed=0)
    assert schedule.count(0) == 20 and {schedule.count(k) for k in range(1, 6)} == {4}
    assert step_schedule(4, photos=2, frames=0, seed=0) == [0, 0, 1, 1]


def test_a_frame_counts_little_where_its_outline_is_soft(scene: tuple[GaussianAvatar, Observation]) -> None:
    rgba = np.full((4, 4, 4), 128, np.uint8)
    rgba[0] = (200, 100, 50, 255)
    rgba[3] = (128, 128, 128, 0)
    target = frame_target(TrainingFrame(source_view(scene[0]), rgba))
    assert torch.allclose(target.image[0, 0], torch.tensor([200, 100, 50]) / 255)
    assert float(target.image[3].abs().max()) == 0 and float(target.weight[0].min()) == 1
    assert float(target.weight[1].max()) < 0.02
