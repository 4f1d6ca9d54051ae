"""The field learns a head from frames, renders it by rounds of rays, and comes back from its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from headcast import api
from headcast.avatar.base import load_avatar
from headcast.avatar.gaussian import GaussianAvatar
from headcast.errors import HeadcastError
from headcast.methods import bake
from headcast.methods.base import MethodOptions
from headcast.methods.ohpavatars.field import train
from headcast.methods.ohpavatars.field.avatar import FieldAvatar, stored_size
from headcast.methods.ohpavatars.field.learner import FieldLearner, new_field, photo_frame
from headcast.methods.ohpavatars.field.march import camera_rays, march, pose_heads
from headcast.methods.ohpavatars.field.render import composite_samples, trace_rays
from headcast.methods.ohpavatars.field.train import FieldTraining
from headcast.methods.ohpavatars.store import StepStore
from headcast.observe.types import Observation
from headcast.video import read_video
from headcast.view import source_view


class Killed(BaseException):
    """Stands for the signal that ends a process."""


def killing(loss: Callable[..., torch.Tensor], steps: Iterator[int]) -> Callable[..., torch.Tensor]:
    """Return a loss that kills when the steps run out."""

    def limited(*args: object) -> torch.Tensor:
        if next(steps, None) is None:
            raise Killed
        return loss(*args)

    return limited


@pytest.fixture(scope="module")
def learnt(scene: tuple[GaussianAvatar, Observation]) -> FieldLearner:
    avatar, photo = scene
    start = new_field(avatar.bound, FieldTraining(steps=90, rays=384), seed=0)
    return start.learn([], [photo], seed=0, progress=None)


def error(avatar: FieldAvatar, photo: Observation) -> float:
    """Squared error against the photo over black."""
    view = source_view(avatar)
    out = avatar.render(view.params, view.camera)
    shown = (out.rgb * out.alpha[..., None]).numpy()
    return float(((shown - photo.image / np.float32(255)) ** 2).mean())


def test_the_field_learns_and_comes_back_from_its_file(
    learnt: FieldLearner, scene: tuple[GaussianAvatar, Observation], tmp_path: Path
) -> None:
    avatar, photo = scene
    untrained = new_field(avatar.bound, learnt.training, seed=0)
    assert error(learnt.avatar, photo) < 0.4 * error(untrained.avatar, photo)
    copied = untrained.with_tensors(learnt.tensors())
    path = tmp_path / "field.avatar"
    copied.avatar.save(path)
    loaded = load_avatar(path)
    assert isinstance(loaded, FieldAvatar) and loaded.kind == "field" and not loaded.relightable
    view = source_view(loaded)
    a, b = (x.render(view.params, view.camera) for x in (loaded, learnt.avatar))
    assert float((a.rgb - b.rgb).abs().max()) < 0.02 and float((a.alpha - b.alpha).abs().max()) < 0.02
    inside = b.alpha > 0.9
    assert bool(inside.any()) and 0.7 < float(b.depth[inside].median()) < 1.1


def test_the_same_seed_gives_the_same_field(scene: tuple[GaussianAvatar, Observation]) -> None:
    avatar, photo = scene
    a, b, other = (
        new_field(avatar.bound, FieldTraining(steps=3, rays=96), seed=0)
        .learn([], [photo], seed=seed, progress=None)
        .tensors()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(value, b[key]) for key, value in a.items())
    assert not all(torch.equal(value, other[key]) for key, value in a.items())


def test_a_training_killed_at_any_moment_ends_with_the_same_field(
    scene: tuple[GaussianAvatar, Observation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar, photo = scene
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 4)
    monkeypatch.setattr(train, "OCCUPANCY_EVERY", 5)
    monkeypatch.setattr(train, "FIRST_UPDATE", 2)
    start = new_field(avatar.bound, FieldTraining(steps=11, rays=96), seed=0)
    whole = start.learn([], [photo], seed=0, progress=None).tensors()
    store = StepStore(tmp_path, "key")
    for allowed in (6, 3):  # steps until it is killed: after a checkpoint, then before the next one
        steps = iter(range(allowed))
        monkeypatch.setattr(train, "field_loss", killing(train.field_loss, steps))
        with pytest.raises(Killed):
            start.learn([], [photo], seed=0, progress=None, checkpoint=store.checkpoint("round0"))
        monkeypatch.undo()
        monkeypatch.setattr(train, "CHECKPOINT_EVERY", 4)
        monkeypatch.setattr(train, "OCCUPANCY_EVERY", 5)
        monkeypatch.setattr(train, "FIRST_UPDATE", 2)
    state = store.checkpoint("round0").read()
    assert state is not None and int(state["step"]) == 4
    done = start.learn([], [photo], seed=0, progress=None, checkpoint=store.checkpoint("round0")).tensors()
    assert all(torch.equal(value, done[key]) for key, value in whole.items())
    store.tensors("round0", lambda: done)
    assert store.checkpoint("round0").read() is None and store.has("round0")


def test_rays_in_rounds_are_the_rays_in_one_piece(
    learnt: FieldLearner, scene: tuple[GaussianAvatar, Observation]
) -> None:
    photo, field = scene[1], learnt.avatar.field
    heads = pose_heads(learnt.avatar.head, [photo.params], learnt.avatar.canonical)
    pixels = torch.rand(60, 2, generator=torch.Generator().manual_seed(0)) * 60 + 18
    rays = camera_rays(photo.camera, photo.params, pixels, 0)
    with torch.no_grad():
        whole = composite_samples(field, heads, rays, march(heads, rays, field.occupied, most=300))
    rounds = trace_rays(field, heads, rays)
    torch.testing.assert_close(rounds[:, :3], whole.colour, atol=4e-3, rtol=0)
    torch.testing.assert_close(rounds[:, 3], whole.alpha, atol=4e-3, rtol=0)


def test_expressions_change_the_mouth_alone(learnt: FieldLearner) -> None:
    points = torch.rand(20, 3)
    mouth = (torch.arange(20) % 2).float()
    field = learnt.avatar.field
    with torch.no_grad():
        field.expression.weight.add_(0.5)
        still, moved = (field(points, mouth, torch.full((20, 52), value))[1] for value in (0.0, 1.0))
        field.expression.weight.sub_(0.5)
    assert float((still - moved)[mouth == 0].abs().max()) == 0
    assert float((still - moved)[mouth == 1].abs().max()) > 0


def test_photos_are_taken_without_clothes(scene: tuple[GaussianAvatar, Observation]) -> None:
    photo = scene[1]
    assert photo.masks is not None
    frame = photo_frame(photo)
    assert np.array_equal(frame.rgba[..., 3], np.round(photo.masks.person * 255).astype(np.uint8))


@pytest.mark.parametrize("value", [None, [1, 2], [8, 2, 16, 320, 40, 8, 32], [8, 2, 16, 320, 16, 8, 32.5]])
def test_impossible_sizes_are_refused(value: object) -> None:
    with pytest.raises(HeadcastError, match="field"):
        stored_size(value, Path("x.avatar"))


def test_a_field_goes_where_every_avatar_goes(
    learnt: FieldLearner,
    scene: tuple[GaussianAvatar, Observation],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Saved, loaded, rendered, animated; baked to Gaussians, which every export and the viewer take."""
    learnt.avatar.save(tmp_path / "me.avatar")
    field = api.load(tmp_path / "me.avatar")
    image = api.render(field, yaw=20, expression={"jawOpen": 0.5}, size=(48, 48))
    assert image.shape == (48, 48, 4) and 0.1 < float((image[..., 3] > 128).mean()) < 0.9
    api.animate(field, "speech", tmp_path / "talk.mp4", frames=2, size=(48, 48))
    assert len(read_video(tmp_path / "talk.mp4").frames) == 2
    frame = api.Runtime(field, size=(32, 32)).step({"jawOpen": 0.4})
    assert frame.shape == (32, 32, 4) and bool((frame[..., 3] > 128).any())
    for name in ("no.glb", "no.spz", "no.html"):
        with pytest.raises(HeadcastError, match="headcast bake"):
            api.export(field, tmp_path / name)
        assert not (tmp_path / name).exists()
    looked_at: list[Observation] = []

    def reconstruct(observations: Sequence[Observation], *args: object, **named: object) -> GaussianAvatar:
        looked_at.extend(observations)
        return scene[0]

    fake = SimpleNamespace(reconstruct=reconstruct, Options=MethodOptions)
    monkeypatch.setattr(bake, "get_method", lambda: fake)
    baked = api.bake(field)
    assert len(looked_at) == 3 and baked.mesh is not None and baked.splats is not None
    assert baked.provenance.method.endswith(", baked")
    for name, to in (("a.glb", "glb"), ("a.ply", "splat-ply"), ("b.ply", "mesh-ply"), ("a.spz", "spz")):
        (path, *_) = api.export(baked, tmp_path / name, to)
        assert path.stat().st_size > 1000
    (page, *_) = api.export(baked, tmp_path / "a.html")
    assert page.read_text().lower().startswith("<!doctype html")
