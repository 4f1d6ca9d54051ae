"""Training of face-vid2vid: pairs of frames with their angles, all terms, weights that animate a photo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.command import Run
from tests.training.runs import lines

from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.image import load_image
from headcast.methods.facevid2vid.config import TINY
from headcast.methods.facevid2vid.data import angles_of, read_pairs, synthesize_pairs
from headcast.methods.facevid2vid.pose import FaceMotion, place_keypoints, rotation_matrix
from headcast.methods.facevid2vid.recipe import WEIGHTS, FaceVid2VidRecipe
from headcast.methods.facevid2vid.warps import random_warp
from headcast.methods.facevid2vid.weights import join_states, read_face_networks, tensor_shapes
from headcast.synth.config import SynthConfig
from headcast.synth.shots import Shots
from headcast.training.recipe import Recipe
from headcast.video import read_video, write_video

CPU = torch.device("cpu")
TRAIN = ["train", "facevid2vid", "--size", "tiny", "--people", "2", "--log-every", "1"]


def rigid_rotation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The rotation that brings points nearest to others (Kabsch)."""
    u, _, v = torch.linalg.svd((b - b.mean(0)).T @ (a - a.mean(0)))
    return u @ torch.diag(torch.tensor([1.0, 1.0, float(torch.det(u @ v))])) @ v


def test_angles_are_those_of_the_rendered_heads() -> None:
    shots = Shots.make(SynthConfig(size=32, people=3, frames=2, clip=True, expression=0.0), 0, 5, CPU)
    head = HeadModel.load()
    rest = shots.params.replace(
        **{k: torch.zeros_like(getattr(shots.params, k)) for k in ("rotation", "translation", "neck")}
    )
    found = angles_of(shots.cam_from_world, shots.params)
    assert found.abs().amax(0).min() > 2  # each of the angles occurs
    upper = slice(27, 48)  # nose and eyes of iBUG's 68
    for k in range(len(found)):
        neutral = head.landmarks(head(rest[(k,)]), 68)[upper]
        seen = shots.landmarks[k, upper] @ shots.cam_from_world[k, :3, :3].T
        wanted = rigid_rotation(neutral * torch.tensor([1.0, -1.0, -1.0]), seen)
        R = rotation_matrix(*found[k : k + 1].T)[0]
        assert torch.rad2deg(((R.T @ wanted).trace() / 2 - 0.5).clamp(-1, 1).acos()) < 1.5


def test_pairs_show_one_person_twice() -> None:
    pairs = synthesize_pairs(2, 64, 0, 3, CPU)
    assert pairs.source.shape == (2, 3, 64, 64) and pairs.source.min() >= 0 and pairs.source.max() <= 1
    own = (pairs.source - pairs.driving).abs().mean((1, 2, 3))
    other = (pairs.source - pairs.driving.flip(0)).abs().mean((1, 2, 3))
    assert (own < other).all() and (own > 0).all()
    again = synthesize_pairs(2, 64, 0, 3, CPU)
    assert torch.equal(again.driving, pairs.driving)


def test_every_term_trains_what_it_should() -> None:
    recipe = FaceVid2VidRecipe(people=2, size="tiny")
    assert isinstance(recipe, Recipe)
    networks, batch = recipe.networks(0), recipe.batch(0, 0, CPU)
    networks["discriminator"].requires_grad_(False)
    terms = recipe.losses("main", networks, batch, 0)
    assert terms.keys() == WEIGHTS.keys()
    reached = {
        name: {
            part
            for part in ("generator", "kp_detector", "he_estimator")
            if any(
                g is not None and g.abs().sum() > 0
                for g in torch.autograd.grad(
                    value, list(networks[part].parameters()), retain_graph=True, allow_unused=True
                )
            )
        }
        for name, value in terms.items()
    }
    everything = {"generator", "kp_detector", "he_estimator"}
    assert reached["perceptual"] == reached["adversarial"] == reached["features"] == everything
    assert reached["equivariance"] == reached["keypoints"] == {"kp_detector", "he_estimator"}
    assert reached["pose"] == reached["deformation"] == {"he_estimator"}
    networks["discriminator"].requires_grad_(True)
    (hinge,) = recipe.losses("discriminator", networks, batch, 0).values()
    parameters = [p for k in everything for p in networks[k].parameters()]
    assert all(g is None for g in torch.autograd.grad(hinge, parameters, allow_unused=True))


@pytest.mark.slow
def test_one_batch_is_learned() -> None:
    torch.manual_seed(0)
    recipe = FaceVid2VidRecipe(people=2, size="tiny", rate=2e-3)
    networks, batch = recipe.networks(0), recipe.batch(0, 0, CPU)
    optimizer = recipe.optimizers(networks)["main"]
    history: list[dict[str, float]] = []
    for step in range(60):
        terms = recipe.losses("main", networks, batch, step)
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        history.append({k: float(v.detach()) for k, v in terms.items()})
    first, last = history[0], {k: float(np.mean([h[k] for h in history[-5:]])) for k in history[0]}
    for name in ("perceptual", "equivariance", "keypoints", "pose", "deformation"):
        assert last[name] < 0.8 * first[name], (name, first[name], last[name])


def test_trained_weights_animate_a_photo(
    run: Run, demo_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADCAST_WEIGHTS", str(tmp_path / "none"))
    folder = tmp_path / "run"
    assert run(*TRAIN, "--steps", "2", "-o", folder)[0] == 0
    log = lines(folder)
    assert len(log) == 2
    assert {f"main/{k}" for k in WEIGHTS} | {"discriminator/hinge"} <= log[0].keys()
    file = folder / "facevid2vid.safetensors"
    assert read_face_networks(file).config == TINY
    card = json.loads(file.with_suffix(".json").read_text())
    assert card["licence"] == "not chosen" and card["trained_on"] == "synthetic heads"
    assert run(*TRAIN, "--steps", "3", "-o", folder)[0] == 0  # resumed
    assert [x["step"] for x in lines(folder)] == [1, 2, 3]

    rgb = load_image(demo_photo).rgb[:500, :500]
    write_video(tmp_path / "talk.mp4", iter([rgb, np.roll(rgb, 5, 1)]), 10.0)
    out = tmp_path / "out.mp4"
    line = ["animate", demo_photo, "--method", "facevid2vid", "--drive", tmp_path / "talk.mp4", "-o", out]
    code, _, err = run(*line, "--weights", file)
    assert code == 0, err
    assert read_video(out).frames.shape == (2, 64, 64, 3)

    again = FaceVid2VidRecipe(size="tiny", start=str(file))
    state = join_states(again.networks(1))
    assert all(torch.equal(state[k], v.float()) for k, v in again.shipped(again.networks(1)).items())
    assert tensor_shapes(TINY).keys() == state.keys()
    with pytest.raises(HeadcastError, match="check --size and --decoder"):
        FaceVid2VidRecipe(size="tiny", decoder="original", start=str(file)).networks(0)


def test_real_clips_are_tracked_and_cropped(demo_photo: Path, tmp_path: Path) -> None:
    rgb = load_image(demo_photo).rgb
    turned = np.ascontiguousarray(rgb[:, ::-1])
    folder = tmp_path / "clips"
    (folder / "one").mkdir(parents=True)
    from headcast.image import save_png

    for k in range(30):  # the driver lies 15 after the source: never two equal frames
        save_png(folder / "one" / f"{k:03}.png", rgb if k < 15 else turned)
    pairs = read_pairs(str(folder), 1, 64, 0, 0, CPU)
    assert pairs.source.shape == (1, 3, 64, 64)
    a, b = pairs.source_angles[0], pairs.driving_angles[0]
    assert torch.allclose(a * torch.tensor([-1.0, 1.0, -1.0]), b, atol=3)  # a mirror image
    assert a.abs().max() < 40


def test_half_precision_keeps_coordinates() -> None:
    recipe = FaceVid2VidRecipe(people=2, size="tiny")
    networks, batch = recipe.networks(0), recipe.batch(0, 0, CPU)
    with torch.autocast("cpu", torch.bfloat16):
        out = recipe.reenact(networks, batch)
        warp = random_warp(2, out.keypoints)
        at = warp(out.keypoints[..., :2])
        terms = recipe.losses("main", networks, batch, 0)
    assert out.generated.flow.deformation.dtype == out.keypoints.dtype == torch.float32
    assert torch.equal(at, warp(out.keypoints[..., :2]))
    canonical, motion = (
        torch.rand(1, 5, 3),
        FaceMotion(*torch.rand(3, 1) * 30, torch.rand(1, 3), torch.rand(1, 5, 3)),
    )
    with torch.autocast("cpu", torch.bfloat16):
        placed = place_keypoints(canonical, motion)
    assert torch.equal(placed, place_keypoints(canonical, motion))
    assert all(v.isfinite() for v in terms.values())


def test_a_missing_file_of_features_is_named_before_training(run: Run, tmp_path: Path) -> None:
    code, _, err = run(*TRAIN, "--steps", "1", "--vgg", tmp_path / "vgg16.pth", "-o", tmp_path / "run")
    assert code == 2 and "vgg16.pth" in err and len(err.strip().splitlines()) == 1
