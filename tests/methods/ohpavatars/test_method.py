"""The methods as users reach them: options, the early end for good photos, notes, the script of the video."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.head.names import EXPRESSIONS as NAMES
from headcast.methods.base import get_method, make_options
from headcast.methods.ohpavatars import loop, method, run, score
from headcast.methods.ohpavatars.field import method as insta
from headcast.methods.ohpavatars.field.avatar import FieldAvatar
from headcast.methods.ohpavatars.field.train import FieldTraining
from headcast.methods.ohpavatars.learner import GaussianLearner
from headcast.methods.ohpavatars.method import OhpAvatars, OhpAvatarsOptions
from headcast.methods.ohpavatars.script import (
    EXPRESSIONS,
    MAX_FRAMES,
    MAX_YAW,
    MIN_FRAMES,
    face_camera,
    frames_for,
    make_script,
    shot_view,
)
from headcast.observe.types import Observation

Scene = tuple[GaussianAvatar, Observation]


def test_the_script_covers_views_and_mouth_shapes(scene: Scene) -> None:
    shots = make_script(60)
    assert (shots[0].yaw, shots[0].pitch, shots[0].expression) == (0, 0, {})
    yaws = sorted(s.yaw for s in shots)
    assert yaws[0] < -0.9 * MAX_YAW and yaws[-1] > 0.9 * MAX_YAW
    assert max(b - a for a, b in pairwise(yaws)) < 8  # no gap
    assert {tuple(s.expression) for s in shots} == {tuple(e) for e in EXPRESSIONS}
    assert set().union(*EXPRESSIONS) <= set(NAMES)
    assert frames_for(1) >= MIN_FRAMES and frames_for(2) == 60 and frames_for(64) == MAX_FRAMES
    avatar = scene[0]
    camera = face_camera(avatar, 100)
    with torch.no_grad():
        points = camera.project(avatar.head.landmarks(avatar.head(avatar.source.params), 478))
    extent = float((points.amax(0) - points.amin(0)).max())
    assert extent == pytest.approx(53, abs=0.5)
    assert float(shot_view(avatar, camera, shots[0]).camera.center[0]) == pytest.approx(0, abs=1e-6)
    left = next(s for s in shots if s.yaw > 20)
    assert float(shot_view(avatar, camera, left).camera.center[0]) > 0.1  # +X: the subject's left


def test_rounds_make_an_avatar_of_this_method(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar, photo = scene
    made: list[int] = []

    def reconstruct(*args: object, **named: object) -> GaussianAvatar:
        made.append(1)
        return avatar

    fake = SimpleNamespace(reconstruct=reconstruct, Options=get_method().Options)
    monkeypatch.setattr(method, "get_method", lambda: fake)
    monkeypatch.setattr(run, "SIDE", 64)
    monkeypatch.setattr(run, "GaussianLearner", partial(GaussianLearner, steps=2))
    options = make_options(OhpAvatars(), {"rounds": 1, "video_frames": 2, "always": True})
    options = options.for_output(tmp_path / "me.avatar")
    assert isinstance(options, OhpAvatarsOptions) and options.steps_folder == tmp_path / "me.steps"
    done = OhpAvatars().reconstruct([photo], avatar.head, options)
    assert done.provenance.method == "ohpavatars" and done.splats is not None
    assert any("round 1: identity" in line for line in done.provenance.warnings)
    again = OhpAvatars().reconstruct([photo], avatar.head, options)
    assert len(made) == 1  # the coarse avatar is taken from its step
    assert again.splats is not None
    assert torch.equal(again.splats.gaussians.albedo, done.splats.gaussians.albedo)
    changed = done.splats.mesh.texture != avatar.mesh.texture
    assert changed.any() and not changed.all()  # mesh exports follow the rounds


def test_the_loop_on_a_field(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    avatar, photo = scene
    fake = SimpleNamespace(reconstruct=lambda *a, **k: avatar, Options=get_method().Options)
    monkeypatch.setattr(method, "get_method", lambda: fake)
    monkeypatch.setattr(run, "FIELD_SIDE", 64)
    monkeypatch.setattr(run, "FIELD_FIRST", FieldTraining(rays=96))
    monkeypatch.setattr(loop, "is_identity_lost", lambda before, now: False)
    options = OhpAvatarsOptions(
        representation="field",
        rounds=1,
        video_frames=2,
        field_iterations=3,
        always=True,
        steps_folder=tmp_path,
    )
    said: list[str] = []
    done = OhpAvatars().reconstruct([photo], avatar.head, options, progress=lambda f, what: said.append(what))
    assert isinstance(done, FieldAvatar) and done.provenance.method == "ohpavatars"
    assert (tmp_path / "round0.safetensors").is_file() and (tmp_path / "round1.safetensors").is_file()
    assert any("restoring frame 2 of 2" in what for what in said)
    again = OhpAvatars().reconstruct([photo], avatar.head, options)
    assert isinstance(again, FieldAvatar)
    assert torch.equal(again.field.grid.tables[0], done.field.grid.tables[0])


def test_insta_learns_from_the_frames_alone(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar, photo = scene
    seen: list[int] = []

    def mesh(observations: list[Observation], *args: object, **named: object) -> MeshAvatar:
        seen.append(len(observations))
        return avatar.mesh

    monkeypatch.setattr(insta, "reconstruct_mesh", mesh)
    options = make_options(insta.Insta(), {"iterations": 2, "rays": 96}).for_output(tmp_path / "me.avatar")
    done = insta.Insta().reconstruct([photo] * 14, avatar.head, options)
    assert isinstance(done, FieldAvatar) and done.provenance.method == "insta" and done.mesh is None
    assert seen == [12] and "14 frames were learned from, in 2 steps" in done.provenance.warnings
    assert insta.Insta().clip_frames(options) == 120 and OhpAvatars().clip_frames(None) is None
    again = insta.Insta().reconstruct([photo] * 14, avatar.head, options)
    assert seen == [12] and isinstance(again, FieldAvatar)  # nothing is done twice
    assert torch.equal(again.field.grid.tables[0], done.field.grid.tables[0])


def test_good_photos_end_early(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    avatar, photo = scene
    fake = SimpleNamespace(reconstruct=lambda *a, **k: avatar, Options=get_method().Options)
    monkeypatch.setattr(method, "get_method", lambda: fake)
    monkeypatch.setattr(score, "nothing_to_gain", lambda o: True)
    done = OhpAvatars().reconstruct([photo], avatar.head, OhpAvatarsOptions())
    assert any("nothing to add" in line for line in done.provenance.warnings)
    assert done.splats is not None and done.splats.gaussians is avatar.gaussians


def test_a_small_photo_has_something_to_gain(scene: Scene) -> None:
    assert not score.nothing_to_gain(scene[1])
