"""The restorer's recipe on the trainer: it learns, and goes on exactly where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.priors.resume import ends_where_it_would
from tests.priors.test_restorer import picture

from headcast.errors import HeadcastError
from headcast.priors.restorer.data import load_images
from headcast.priors.restorer.degrade import Degradation
from headcast.priors.restorer.infer import load_restorer
from headcast.priors.restorer.train import RestorerRecipe
from headcast.training import TrainConfig, train

NOISY = Degradation(blur=(0.2, 0.5), down=(1.0, 1.5), noise=(18.0, 24.0), light=0.0, plain=1.0)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> RestorerRecipe:
    """A small network on a few made-up pictures with much noise."""
    data = tmp_path_factory.mktemp("restorer") / "pictures.safetensors"
    made = {
        f"{group}/{k}": (picture(112, k) * 255).byte().permute(1, 2, 0).contiguous()
        for group in ("sharp", "native")
        for k in range(4)
    }
    save_file(made, data)
    return RestorerRecipe(
        data=data, crop=64, size=4, widths=(16, 16, 16), blocks=(1, 1, 1), solve=0, degradation=NOISY
    )


def test_batches_are_functions_of_seed_and_index(recipe: RestorerRecipe) -> None:
    cpu = torch.device("cpu")
    a, b, c = (recipe.batch(i, 3, cpu) for i in (5, 5, 6))
    assert torch.equal(a["clear"], b["clear"]) and torch.equal(a["poor"], b["poor"])
    assert not torch.equal(a["clear"], c["clear"])
    assert a["poor"].shape == (4, 3, 64, 64) and float(a["poor"].abs().max()) <= 1
    assert not torch.equal(a["clear"], recipe.batch(5, 4, cpu)["clear"])


def test_it_learns_to_remove_noise(recipe: RestorerRecipe, tmp_path: Path) -> None:
    result = train(recipe, TrainConfig(steps=40, ema=0.9, log_every=10, device="cpu"), tmp_path / "run")
    unseen = [recipe.batch(i, 77, torch.device("cpu")) for i in range(6)]
    network = load_restorer(result.weights)
    poor, clear = (torch.cat([b[k] for b in unseen]) for k in ("poor", "clear"))
    with torch.no_grad():
        out = network(poor)
    before, after = float((poor - clear).abs().mean()), float((out - clear).abs().mean())
    assert after < 0.75 * before, (before, after)
    card = (tmp_path / "run" / "restorer.json").read_text()
    assert "Apache-2.0" in card and '"sharp": 4' in card


def test_stopped_and_resumed_is_the_same(recipe: RestorerRecipe, tmp_path: Path) -> None:
    ends_where_it_would(recipe, TrainConfig(steps=6, ema=0.9, device="cpu"), tmp_path, 2)


def test_a_solved_last_layer_is_better_than_none(recipe: RestorerRecipe) -> None:
    from dataclasses import replace

    network = replace(recipe, solve=6).networks(0)["restorer"]
    b = recipe.batch(0, 77, torch.device("cpu"))
    with torch.no_grad():
        out = network(b["poor"])
    after, before = (float((x - b["clear"]).square().mean()) for x in (out, b["poor"]))
    assert after < 0.6 * before, (before, after)


def test_start_from_weights(recipe: RestorerRecipe, tmp_path: Path) -> None:
    from dataclasses import replace

    first = recipe.networks(0)["restorer"]
    save_file({k: v + 0.25 for k, v in first.state_dict().items()}, tmp_path / "w.safetensors")
    again = replace(recipe, start=tmp_path / "w.safetensors").networks(0)["restorer"]
    assert all(torch.equal(v + 0.25, again.state_dict()[k]) for k, v in first.state_dict().items())


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="no images of 64 pixels"):
        load_images(tmp_path)
