"""The four stages train, each from the weights of the one before, by the paper's terms and schedule."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.command import Run
from tests.priors.resume import ends_where_it_would

from headcast.errors import HeadcastError
from headcast.methods.invertavatar.paper.config import TINY
from headcast.methods.invertavatar.paper.data import clip_frames, view_frames
from headcast.methods.invertavatar.paper.inversion import Inversion, PosedFrames
from headcast.methods.invertavatar.paper.train.encoders import EncodersRecipe
from headcast.methods.invertavatar.paper.train.generator import GeneratorRecipe
from headcast.methods.invertavatar.paper.train.latent import LatentRecipe
from headcast.methods.invertavatar.paper.train.recurrent import RecurrentRecipe
from headcast.priors.encoder import infer
from headcast.priors.encoder.network import Encoder
from headcast.training import TrainConfig, train
from headcast.training.recipes import recipe_class
from headcast.weights import load_tensors


@pytest.fixture(autouse=True)
def any_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A perceptual encoder of random weights: whether training runs doesn't depend on the bundled one."""
    torch.manual_seed(5)
    encoder = Encoder().eval().requires_grad_(False)
    monkeypatch.setattr(infer, "load_encoder", lambda which, device="cpu": encoder)


@cache
def batch_of(kind: str) -> PosedFrames:
    """A batch, made once: two views of each of two people, or a clip of five frames of one."""
    device = torch.device("cpu")
    return view_frames(2, 2, TINY, 0, 3, device) if kind == "views" else clip_frames(1, 5, TINY, 0, 3, device)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Weights that the first three stages export, untrained."""
    folder, out, last = tmp_path_factory.mktemp("weights"), {}, ""
    for kind in (GeneratorRecipe, LatentRecipe, EncodersRecipe):
        recipe = kind(size="tiny", weights=last)
        last = out[recipe.name] = str(folder / f"{recipe.name}.safetensors")
        save_file(recipe.shipped(recipe.networks(0)), last, {"name": recipe.name})
    return out


@dataclass(frozen=True)
class OneBatchOfLatent(LatentRecipe):
    """Always the same heads, so that a few steps show in the loss."""

    def batch(self, index: int, seed: int, device: torch.device) -> PosedFrames:
        """The batch that is made once."""
        return batch_of("views")


@dataclass(frozen=True)
class OneBatchOfEncoders(EncodersRecipe):
    """Always the same heads, so that a few steps show in the loss."""

    def batch(self, index: int, seed: int, device: torch.device) -> PosedFrames:
        """The batch that is made once."""
        return batch_of("views")


def fractions_left(recipe: Any, folder: Path, steps: int, *terms: str) -> list[float]:
    """Train; the last value of each term over its first one."""
    config = TrainConfig(steps=steps, ema=0.0, log_every=1, device="cpu", picture_every=0)
    train(recipe, config, folder)
    lines = [json.loads(x) for x in (folder / "log.jsonl").read_text().splitlines()]
    return [min(x[t] for x in lines[-3:]) / lines[0][t] for t in terms]


def test_recipes_are_declared_and_run_from_the_command_line(run: Run, tmp_path: Path) -> None:
    for kind in (GeneratorRecipe, LatentRecipe, EncodersRecipe, RecurrentRecipe):
        assert recipe_class(kind.name.replace("-", ".")) is kind
    line = ["train", "invertavatar.generator", "--size", "tiny", "--people", "1", "--steps", "1"]
    code, _, err = run(*line, "--log-every", "1", "-o", tmp_path / "run")
    assert code == 0, err
    (logged,) = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    terms = {"generator/adversarial", "generator/density", "discriminator/adversarial", "discriminator/r1"}
    assert terms <= logged.keys()
    tensors = load_tensors(str(tmp_path / "run" / "invertavatar-generator.safetensors"))[0]
    assert tensors and all(name.startswith("generator.") for name in tensors)
    code, _, err = run(
        "train", "invertavatar.latent", "--size", "tiny", "--steps", "1", "-o", tmp_path / "no"
    )
    assert code == 2 and "--weights" in err and err.count("\n") == 1


def test_the_discriminator_sees_landmarks_and_cameras_and_the_generator_learns_from_it() -> None:
    recipe = GeneratorRecipe(size="tiny", people=2)
    networks, batch = recipe.networks(0), batch_of("views")[:1]

    def values(frames: PosedFrames, optimizer: str) -> dict[str, float]:
        torch.manual_seed(1)
        found = recipe.losses(optimizer, networks, frames, 1)
        return {k: float(v.detach()) for k, v in found.items()}

    before = values(batch, "discriminator")
    for name in ("landmarks", "label"):
        other = batch.__class__(**{**vars(batch), name: getattr(batch, name).flip(0)})
        assert values(other, "discriminator") != before, name
    assert set(before) == {"adversarial"}  # R1 every sixteenth step, densities every fourth
    terms = recipe.losses("generator", networks, batch, 0)
    sum(terms.values(), torch.zeros([])).backward()
    network = networks["inversion"]
    assert isinstance(network, Inversion)
    generator = network.generator
    for part in ("face_backbone.synthesis", "backbone.mapping", "backbone.synthesis", "decoder"):
        assert all(p.grad is not None for p in generator.get_submodule(part).parameters()), part
    # of the textures nothing is finer than half the side, and no skip image than an eighth
    n = TINY.side
    unused = (f"b{n}.", f"b{n // 2}.torgb.", f"b{n // 4}.torgb.")
    for name, p in generator.texture_backbone.synthesis.named_parameters():
        assert (p.grad is None) == name.startswith(unused), name
        assert p.grad is None or float(p.grad.abs().sum()) > 0 or "noise_strength" in name, name


def test_the_volume_rendering_grows_and_the_blur_goes() -> None:
    recipe = GeneratorRecipe(size="paper", grow_from=100)
    assert [recipe.raw_side(n) for n in (0, 100, 500_100, 1_000_100, 9_000_000)] == [64, 64, 96, 128, 128]


def test_e_latent_learns_a_batch_and_nothing_else_changes(files: dict[str, str], tmp_path: Path) -> None:
    recipe = OneBatchOfLatent(size="tiny", people=2, weights=files["invertavatar-generator"], rate=5e-3)
    (left,) = fractions_left(recipe, tmp_path / "run", 14, "encoder/l1")
    assert left < 0.9
    before = load_tensors(files["invertavatar-generator"])[0]
    after = load_tensors(str(tmp_path / "run" / "invertavatar-latent.safetensors"))[0]
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert any(k.startswith("encoder.") for k in after)


def test_e_tex_and_e_tri_learn_a_batch(files: dict[str, str], tmp_path: Path) -> None:
    recipe = OneBatchOfEncoders(size="tiny", people=2, weights=files["invertavatar-latent"], rate=5e-3)
    (left,) = fractions_left(recipe, tmp_path / "run", 12, "encoders/l1")
    assert left < 0.9
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    terms = {f"encoders/{t}" for t in ("l1", "lpips", "tex", "tri", "raw")}
    assert terms <= json.loads(lines[0]).keys() and "encoders/adversarial" not in json.loads(lines[0])


def test_the_adversarial_term_begins_late(files: dict[str, str]) -> None:
    recipe = EncodersRecipe(size="tiny", people=2, weights=files["invertavatar-latent"], adversarial_from=4)
    networks, batch = recipe.networks(0), batch_of("views")
    assert recipe.losses("discriminator", networks, batch, 1) == {}
    assert "adversarial" not in recipe.losses("encoders", networks, batch, 1)
    assert "adversarial" in recipe.losses("encoders", networks, batch, 2)
    assert set(recipe.losses("discriminator", networks, batch, 16)) == {"adversarial", "r1"}


def test_sequences_carry_their_state_and_gradients_stay_in_the_last_group(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RecurrentRecipe(
        size="tiny", people=1, frames=5, at_once=2, weights=files["invertavatar-encoders"]
    )
    networks = recipe.networks(0)
    network = networks["inversion"].train()
    assert isinstance(network, Inversion)
    calls: list[tuple[int, bool, bool]] = []
    refine = Inversion.refine

    def watched(self: Inversion, head: Any, frames: PosedFrames, state: Any = None) -> Any:
        calls.append((frames.label.shape[1], state is not None, torch.is_grad_enabled()))
        return refine(self, head, frames, state)

    monkeypatch.setattr(Inversion, "refine", watched)
    recipe.invert(network, batch_of("clip"))
    assert calls == [(2, False, False), (2, True, False), (1, True, True)]
    given, judged = recipe.choose(batch_of("clip"), generated=False)
    assert given.label.shape[1] in (2, 4) and judged.label.shape[1] == 2
    terms = recipe.losses("encoders", networks, batch_of("clip"), 0)
    sum(terms.values(), torch.zeros([])).backward()
    unet = network.unet_encoder.texture_unet
    assert all(p.grad is None for p in unet.body.parameters())
    assert unet.up4.conv_gru is not None
    weight = unet.up4.conv_gru.ih[0].weight
    assert weight.grad is not None and float(weight.grad.abs().max()) > 0


def test_the_encoding_part_is_that_of_the_stage_before(files: dict[str, str]) -> None:
    recipe = RecurrentRecipe(size="tiny", weights=files["invertavatar-encoders"])
    network = recipe.networks(7)["inversion"].train()
    stored = {k: v.float() for k, v in load_tensors(files["invertavatar-encoders"])[0].items()}
    state = network.state_dict()
    for k, v in stored.items():
        torch.testing.assert_close(state[k].float(), v, rtol=1e-3, atol=1e-4)
    assert isinstance(network, Inversion) and not network.unet_encoder.triplane_unet.body.training
    new = [k for k in state if k not in stored]
    assert new and all("conv_gru" in k for k in new)


def test_weights_of_another_stage_or_size_are_refused(files: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="stage of invertavatar before"):
        RecurrentRecipe(size="tiny", weights=files["invertavatar-latent"]).networks(0)
    odd = tmp_path / "odd.safetensors"
    save_file({"generator.decoder.net.0.weight": torch.zeros(3, 3)}, odd)
    with pytest.raises(HeadcastError, match="--size"):
        LatentRecipe(size="tiny", weights=str(odd)).networks(0)
    save_file({"other": torch.zeros(3)}, odd)
    with pytest.raises(HeadcastError, match="before"):
        LatentRecipe(size="tiny", weights=str(odd)).networks(0)


@pytest.mark.slow
def test_stopped_and_resumed_is_the_same(files: dict[str, str], tmp_path: Path) -> None:
    recipe = RecurrentRecipe(
        size="tiny",
        people=1,
        frames=4,
        at_once=2,
        adversarial_from=0,
        weights=files["invertavatar-encoders"],
    )
    config = TrainConfig(steps=3, ema=0.9, device="cpu", picture_every=0)
    ends_where_it_would(recipe, config, tmp_path, 1)


@pytest.mark.slow
def test_two_processes_train_the_recurrent_stage(files: dict[str, str], tmp_path: Path) -> None:
    import subprocess

    from tests.training.runs import ROOT, environment

    pytest.importorskip("lightning_fabric")
    words = ["size=tiny", "people=1", "frames=4", "at_once=2", "adversarial_from=0", "steps=2", "device=cpu"]
    words += [f"weights={files['invertavatar-encoders']}", "picture_every=0", "log_every=1"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [*torchrun, "-m", "headcast.training", "invertavatar.recurrent", str(tmp_path / "run"), *words],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 2 and {"encoders/adversarial", "discriminator/r1"} <= lines[0].keys()
