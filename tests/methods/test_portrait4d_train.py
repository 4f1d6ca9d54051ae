"""Both stages of Portrait4D-v2 train: the loss falls, its terms are the paper's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

from headcast.errors import HeadcastError
from headcast.methods.portrait4d.data import synthesize_views
from headcast.methods.portrait4d.losses import moving_region_weights
from headcast.methods.portrait4d.motion_embedding import FACE_SIDE, align_faces
from headcast.methods.portrait4d.network import TINY, Synthesizer
from headcast.methods.portrait4d.recipes.base import is_motion_layer
from headcast.methods.portrait4d.recipes.motion import EXPRESSION_PLANES_LR_SCALE, MotionRecipe
from headcast.methods.portrait4d.recipes.static import StaticRecipe
from headcast.priors.encoder import infer
from headcast.priors.encoder.network import Encoder
from headcast.synth.views import project_to_views
from headcast.training import TrainConfig, train
from headcast.weights import load_tensors


@pytest.fixture(autouse=True)
def any_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A perceptual encoder of random weights: whether training runs doesn't depend on the bundled one."""
    torch.manual_seed(5)
    encoder = Encoder().eval().requires_grad_(False)
    monkeypatch.setattr(infer, "load_encoder", lambda which, device="cpu": encoder)


@dataclass(frozen=True)
class OneBatch(StaticRecipe):
    """Always the same heads, so that a few steps show in the loss."""

    def batch(self, index: int, seed: int, device: torch.device) -> dict[str, Any]:
        """The first batch."""
        return first_batch(self.people)


@cache
def first_batch(people: int) -> dict[str, Any]:
    """Made once."""
    return StaticRecipe(people=people, size="tiny").batch(0, 0, torch.device("cpu"))


def test_truths_agree_with_the_cameras() -> None:
    shots = synthesize_views(1, 2, 64, 0, 3, torch.device("cpu"))
    rays = shots.rays(TINY, 64)
    # a pixel may be covered all over but for its centre, where depth is taken
    solid = (shots.alpha[:, 0].reshape(2, -1) > 0.99) & (shots.depth.reshape(2, -1) > 0)
    assert solid.float().mean() > 0.2
    points = rays.origin + rays.direction * (shots.depth.reshape(2, -1, 1) * TINY.units_per_metre)
    pixels = project_to_views(points / TINY.units_per_metre, shots.K, shots.cam_from_world)
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    assert torch.allclose(
        pixels[solid], torch.stack([x, y], -1).reshape(1, -1, 2).expand(2, -1, -1)[solid], atol=0.02
    )
    # the depth at the tip of the nose is its distance from the camera
    nose = shots.landmarks[:, 30]
    at = project_to_views(nose[:, None], shots.K, shots.cam_from_world)[:, 0].long()
    centre = rays.origin[:, 0] / TINY.units_per_metre
    for i in range(2):
        depth = shots.depth[i, 0, at[i, 1], at[i, 0]]
        assert abs(float(depth - (nose[i] - centre[i]).norm())) < 0.015
    assert torch.allclose(shots.head + (1 - shots.alpha) * shots.background, (shots.image + 1) / 2, atol=1e-5)


def test_static_stage_learns_a_batch_and_ships(tmp_path: Path) -> None:
    recipe = OneBatch(people=2, size="tiny", rate=2e-3)
    config = TrainConfig(steps=20, ema=0.0, log_every=1, device="cpu", warmup=4)
    made = train(recipe, config, tmp_path / "run")
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    sums = [x["main/sum"] for x in lines if "main/sum" in x]
    assert median(sums[-5:]) < 0.8 * median(sums[:3]), sums  # single steps jump
    assert {"main/l1", "main/perceptual", "main/identity", "main/depth", "main/opacity"} <= set(lines[0])
    network = Synthesizer(TINY)
    stored = {k: v.float() for k, v in load_tensors(str(made.weights))[0].items()}
    missing = network.load_state_dict(stored, strict=False)
    assert not missing.unexpected_keys and all(map(is_motion_layer, missing.missing_keys))


def test_adversarial_term_comes_and_depth_goes() -> None:
    recipe = StaticRecipe(people=1, size="tiny", adversarial_from=4)
    networks = recipe.networks(0)
    batch = recipe.batch(0, 0, torch.device("cpu"))
    early, late = (recipe.losses("main", networks, batch, s) for s in (0, 4))
    assert "depth" in early and "fooling" not in early and "fooling" in late and "depth" not in late
    assert recipe.losses("judge", networks, batch, 0) == {}
    assert {"telling"} <= set(recipe.losses("judge", networks, batch, 5))
    assert recipe.resolution(0) == 8 and recipe.resolution(8) == 16


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_adversarial_training_from_the_first_step_runs_smoothly(precision: Any, tmp_path: Path) -> None:
    recipe = OneBatch(people=2, size="tiny", adversarial_from=0)
    config = TrainConfig(
        steps=18, ema=0.9, log_every=1, device="cpu", warmup=4, clip=1.0, precision=precision, picture_every=0
    )
    train(recipe, config, tmp_path / "run")
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [n for n, x in enumerate(lines) if "judge/penalty" in x] == [0, 4, 8, 12, 16]
    assert all("main/fooling" in x and "main/depth" not in x for x in lines)
    sums = [x["main/sum"] for x in lines]
    assert max(sums) < 1.1 * sums[0] and median(sums[-5:]) < 0.9 * sums[0], sums
    assert all(x["judge/sum"] < 3 for x in lines)  # no judgement runs away between two penalties


def test_pseudo_targets_are_not_shown_to_the_judge(static_weights: str) -> None:
    recipe = MotionRecipe(people=2, size="tiny", static=static_weights, adversarial_from=0)
    networks = recipe.networks(0)
    batch = recipe.batch(0, 0, torch.device("cpu"))
    batch["real_q"] = torch.tensor([False, False])
    assert recipe.losses("judge", networks, batch, 0) == {}
    assert "fooling" not in recipe.losses("main", networks, batch, 0)
    batch["real_q"] = torch.tensor([False, True])
    assert {"telling", "penalty"} == set(recipe.losses("judge", networks, batch, 0))
    assert recipe.losses("main", networks, batch, 0)["fooling"] > 0


def test_a_teachers_planes_are_matched(tmp_path: Path) -> None:
    from headcast.weights import save_tensors

    plain = StaticRecipe(people=2, size="tiny")
    teacher = plain.networks(7)
    save_tensors(tmp_path / "teacher.safetensors", plain.shipped(teacher), {})
    recipe = OneBatch(
        people=2, size="tiny", teacher=str(tmp_path / "teacher.safetensors"), rate=1e-4, mean_rate=100.0
    )
    networks = recipe.networks(1)
    mine = networks["synthesizer"].state_dict()
    lent = {k: v for k, v in teacher["synthesizer"].state_dict().items() if k.startswith("decoder")}
    assert all(torch.allclose(mine[k], v, atol=1e-3) for k, v in lent.items())
    assert "triplane" not in plain.losses("main", teacher, first_batch(2), 0)
    optimizer = recipe.optimizers(networks)["main"]
    terms = []
    for step in range(15):
        found = recipe.losses("main", networks, first_batch(2), step)["triplane"]
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        terms.append(float(found.detach()))
    assert terms[-1] < 0.8 * terms[0], terms
    named = dict(networks["synthesizer"].named_parameters())
    still = {n for n, p in named.items() if not p.requires_grad}
    assert still == {n for n in named if n.startswith(("decoder", "superresolution"))}
    # gone when the adversarial term comes
    late = OneBatch(people=2, size="tiny", teacher=recipe.teacher, adversarial_from=0)
    assert "triplane" not in late.losses("main", networks, first_batch(2), 0)


@pytest.fixture
def static_weights(tmp_path: Path) -> str:
    """Ψ3d of random weights, as stage 1 ships it: without motion layers."""
    from headcast.weights import save_tensors

    recipe = StaticRecipe(size="tiny")
    save_tensors(tmp_path / "static.safetensors", recipe.shipped(recipe.networks(2)), {})
    return str(tmp_path / "static.safetensors")


def test_motion_stage_takes_the_papers_losses(static_weights: str) -> None:
    recipe = MotionRecipe(people=2, size="tiny", static=static_weights)
    networks = recipe.networks(0)
    batch = recipe.batch(0, 0, torch.device("cpu"))
    batch["real_p"], batch["real_q"] = torch.tensor([True, False]), torch.tensor([True, False])
    terms = recipe.losses("main", networks, batch, 0)
    assert {"l1", "perceptual", "identity", "said", "opacity"} <= set(terms)
    pseudo = {**batch, "real_q": torch.tensor([False, False])}
    alone = recipe.losses("main", networks, pseudo, 0)
    assert alone["l1"] == 0 and alone["identity"] == 0 and alone["perceptual"] > 0
    sum(terms.values()).backward()
    moved = {n for n, p in networks["synthesizer"].named_parameters() if p.grad is not None}
    assert any(is_motion_layer(n) for n in moved) and networks["motion"].out.weight.grad.abs().sum() > 0
    # motion layers add nothing at first, but what follows them is alive: they learn
    for name, p in networks["synthesizer"].named_parameters():
        if "attn2.proj" in name:
            assert not p.any() and p.grad is not None and p.grad.abs().max() > 1e-8, name
    # source and driver share a camera: a background that learns would copy the source's head
    groups = recipe.optimizers(networks)["main"].param_groups
    learned = {id(p) for g in groups for p in g["params"]}
    names = {n for n, p in networks["synthesizer"].named_parameters() if id(p) not in learned}
    assert names and all(n.startswith("background") for n in names)
    rates = [g["lr"] for g in groups]
    assert rates == [r * recipe.rate for r in (1, recipe.mean_rate, EXPRESSION_PLANES_LR_SCALE, 2.5)]
    added, motion = ({id(p) for p in g["params"]} for g in groups[2:])
    for name, p in networks["synthesizer"].named_parameters():
        assert (id(p) in added) == name.startswith("moving.planes"), name
        assert (id(p) in motion) == (is_motion_layer(name) and id(p) not in added), name


def test_mouth_and_eyes_count_more() -> None:
    shots = synthesize_views(2, 1, 64, 0, 3, torch.device("cpu"))
    marks = project_to_views(shots.landmarks, shots.K, shots.cam_from_world)
    weight = moving_region_weights(marks, 64, 8.0)
    for w, points in zip(weight[:, 0], marks.long(), strict=True):
        parts = [points[48:60].float().mean(0), points[36:42].float().mean(0), points[42:48].float().mean(0)]
        assert all(float(w[int(y), int(x)]) > 7 for x, y in parts)
        assert w.min() >= 1 and float(w[0, 0]) < 1.01 and float(w.mean()) < 2.5


def test_motion_stage_needs_the_static_one(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match=r"no weights of the static synthesizer"):
        MotionRecipe(size="tiny", static=str(tmp_path / "none.safetensors")).networks(0)


def test_motion_stage_goes_on_from_its_own_weights(static_weights: str, tmp_path: Path) -> None:
    from headcast.weights import save_tensors

    recipe = MotionRecipe(size="tiny", static=static_weights)
    before = recipe.networks(3)
    torch.nn.init.normal_(dict(before["synthesizer"].named_parameters())["mean"])
    file = tmp_path / "before.safetensors"
    save_tensors(file, recipe.shipped(before), {})
    after = MotionRecipe(size="tiny", static=static_weights, start=str(file)).networks(4)
    for name in ("synthesizer", "motion", "said"):
        others = dict(after[name].named_parameters())
        for key, value in before[name].named_parameters():
            assert torch.allclose(others[key], value, atol=2e-3), (name, key)
    with pytest.raises(HeadcastError, match=r"not weights of portrait4d\.motion"):
        MotionRecipe(size="tiny", static=static_weights, start=static_weights).networks(0)


def test_aligned_faces_have_the_encoders_size() -> None:
    shots = synthesize_views(1, 1, 64, 0, 3, torch.device("cpu"))
    faces = align_faces(shots.image, project_to_views(shots.landmarks, shots.K, shots.cam_from_world))
    assert faces.shape == (1, 3, FACE_SIDE, FACE_SIDE) and bool(faces.std() > 0.05)
