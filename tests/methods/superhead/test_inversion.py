"""The inversion: nearer to anchors; a killed run goes on to the same result; ablations; refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.methods.superhead.heads import patterned

from headcast import api
from headcast.avatar.gaussian import GaussianAvatar
from headcast.errors import HeadcastError
from headcast.methods.superhead import enhance as module
from headcast.methods.superhead import resume
from headcast.methods.superhead.enhance import check_gaussians, enhance_avatar, loss_weights, native_scale
from headcast.methods.superhead.geometry import refine_shape
from headcast.methods.superhead.inversion import draw_anchors
from headcast.methods.superhead.options import SuperHeadOptions
from headcast.splats.degrade import degrade_avatar
from headcast.view import front_view

SMALL = {"invert": True, "views": 2, "anchors": 4, "side": 160}


@pytest.fixture(scope="module")
def sharp() -> GaussianAvatar:
    return patterned()


@pytest.fixture(scope="module")
def poor(sharp: GaussianAvatar) -> GaussianAvatar:
    with torch.no_grad():
        return degrade_avatar(sharp, 4.0)


class Truth:
    """Super-resolves by rendering the sharp avatar: what a perfect restorer would give."""

    def __init__(self, sharp: GaussianAvatar, monkeypatch: pytest.MonkeyPatch) -> None:
        self.images: list[np.ndarray] = []
        render = module.sample_anchors

        def sample(avatar: GaussianAvatar, super_resolve: object, **given: object) -> object:
            return render(avatar, self, **{**given, "scale": 1})  # type: ignore[arg-type]

        from headcast.methods.superhead import anchors

        original = anchors.render_view

        def render_view(avatar: GaussianAvatar, params: object, camera: object) -> object:
            with torch.no_grad():
                self.true = sharp.render(params, camera)  # type: ignore[arg-type]
            return original(avatar, params, camera)  # type: ignore[arg-type]

        monkeypatch.setattr(anchors, "render_view", render_view)
        monkeypatch.setattr(module, "sample_anchors", sample)

    def __call__(self, image: np.ndarray, points: np.ndarray, scale: int) -> np.ndarray:
        rgb, alpha = self.true.rgb.numpy(), self.true.alpha.numpy()[..., None]
        return np.round((rgb * alpha + 128 / 255 * (1 - alpha)) * 255).clip(0, 255).astype(np.uint8)


def distance(a: GaussianAvatar, b: GaussianAvatar) -> float:
    """Mean squared difference in a view between the anchors'."""
    view = front_view(a, (192, 192))
    view = view.orbited(torch.tensor([0.0, 0.0, -1.1]), 12.0, 4.0)
    with torch.no_grad():
        x, y = (v.render(view.params, view.camera) for v in (a, b))
    both = (x.alpha > 0.97) & (y.alpha > 0.97)
    return float((x.rgb - y.rgb)[both].square().mean())


def test_with_true_anchors_the_head_becomes_sharp(
    sharp: GaussianAvatar, poor: GaussianAvatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    Truth(sharp, monkeypatch)
    done = enhance_avatar(poor, SuperHeadOptions(iterations=24, **SMALL))  # type: ignore[arg-type]
    assert distance(done, sharp) < 0.85 * distance(poor, sharp)
    record = done.provenance.extra["superhead"]
    assert record["prior"] == "uv" and record["prior_trained"] is False and record["iterations"] == 24
    assert {w["name"] for w in done.provenance.weights} >= {"restorer", "encoder-losses"}


def test_a_killed_run_goes_on_to_the_same_result(
    poor: GaussianAvatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "SECONDS", 0.0)
    place = tmp_path / "run.safetensors"
    options = SuperHeadOptions(iterations=6, resume_file=place, **SMALL)  # type: ignore[arg-type]
    whole = enhance_avatar(poor, SuperHeadOptions(iterations=6, **SMALL))  # type: ignore[arg-type]

    class Killed(Exception):
        pass

    for stop in (2, 5):  # in the first stage, and in the second

        def progress(fraction: float, what: str, stop: int = stop) -> None:
            done = round((fraction - 0.25) / 0.75 * 6)
            if what == "inverting the prior" and done == stop:
                raise Killed

        with pytest.raises(Killed):
            enhance_avatar(poor, options, progress=progress)
        assert place.is_file()
    resumed = enhance_avatar(poor, options)
    for name in ("albedo", "opacity", "log_scale", "position"):
        assert torch.equal(getattr(whole.gaussians, name), getattr(resumed.gaussians, name)), name


def test_another_runs_state_is_ignored(poor: GaussianAvatar, tmp_path: Path) -> None:
    place = tmp_path / "run.safetensors"
    one = SuperHeadOptions(iterations=3, resume_file=place, **SMALL)  # type: ignore[arg-type]
    enhance_avatar(poor, one, seed=1)
    other = enhance_avatar(poor, one, seed=0)
    plain = enhance_avatar(poor, SuperHeadOptions(iterations=3, **SMALL), seed=0)  # type: ignore[arg-type]
    assert torch.equal(other.gaussians.albedo, plain.gaussians.albedo)
    place.write_bytes(b"no state")
    with pytest.raises(HeadcastError, match="delete it to begin again"):
        enhance_avatar(poor, one)


def test_ablations_leave_out_what_they_say() -> None:
    assert loss_weights(SuperHeadOptions(ablation="no-depth")).depth == 0
    assert loss_weights(SuperHeadOptions()).depth > 0

    rng = torch.Generator().manual_seed(0)
    for name, count in (("none", 2), ("no-multi-view", 1), ("no-multi-expression", 1)):
        assert len(draw_anchors([True, False], loss_weights(SuperHeadOptions(ablation=name)), rng)) == count  # type: ignore[arg-type]


def test_renderings_have_the_photos_resolution(sharp: GaussianAvatar, poor: GaussianAvatar) -> None:
    assert native_scale(sharp, 128) == 1
    assert native_scale(poor, 128) == 4 or native_scale(poor, 256) == 4


def test_broken_gaussians_are_refused_with_their_number(sharp: GaussianAvatar) -> None:
    from dataclasses import replace

    g = sharp.gaussians
    position = g.position.clone()
    position[:3] = float("nan")
    with pytest.raises(HeadcastError, match=rf"3 of {len(g)} Gaussians have a position"):
        check_gaussians(GaussianAvatar(sharp.mesh, replace(g, position=position)))
    with pytest.raises(HeadcastError, match="has no Gaussians"):
        check_gaussians(GaussianAvatar(sharp.mesh, g[:0]))
    with pytest.raises(HeadcastError, match="takes avatars of Gaussians"):
        api.enhance(sharp.mesh)


def test_the_shape_follows_landmarks_that_moved(
    sharp: GaussianAvatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headcast.methods.superhead.anchors import Anchor, AnchorSet
    from headcast.methods.superhead.geometry import landmark_places

    moved = sharp.source.params.identity.clone()
    moved[:4] += torch.tensor([0.4, -0.4, 0.3, -0.3])
    places, anchors = landmark_places(sharp), []
    view = front_view(sharp, (512, 512))
    for yaw in (-40.0, -15.0, 0.0, 20.0, 40.0):
        turned = view.orbited(torch.tensor([0.0, 0.0, -1.1]), yaw, 5.0)
        with torch.no_grad():
            at = places.on(sharp.head(turned.params.replace(identity=moved)), sharp.head.faces)
        points = turned.camera.project(at).numpy().astype(np.float64)
        blank = torch.zeros(1, 1, 3)
        anchors.append(
            Anchor(turned.camera, turned.params, blank, blank[..., 0], blank, points, (0, 0, 1, 1), True)
        )
    monkeypatch.setattr("headcast.methods.superhead.geometry.PRIOR", 1.0)
    found = refine_shape(sharp, AnchorSet(tuple(anchors), view.params))
    assert found.after < 0.3 * found.before
    still = refine_shape(sharp, AnchorSet((), view.params))
    assert torch.equal(still.identity, sharp.source.params.identity)


def test_by_default_the_prior_alone_is_taken_without_anchors(
    poor: GaussianAvatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("anchors were asked for")

    monkeypatch.setattr("headcast.methods.superhead.enhance.sample_anchors", refuse)
    done = enhance_avatar(poor, SuperHeadOptions())
    assert not torch.equal(done.gaussians.albedo, poor.gaussians.albedo)
    with pytest.raises(AssertionError, match="anchors"):
        enhance_avatar(poor, SuperHeadOptions(ablation="no-depth"))
