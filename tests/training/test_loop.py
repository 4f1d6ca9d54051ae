"""The loop learns, ends in time with weights, and gives up in a clear way."""

from __future__ import annotations

import errno
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.training.runs import QUIET, SMALL, Duel, SlowToy, lines

from headcast.errors import HeadcastError
from headcast.image import load_image
from headcast.training import TrainConfig, checkpoint, train
from headcast.training.toy import ToyRecipe


def test_the_toy_learns(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    recipe = ToyRecipe(size=24, images=3, width=8, rate=1e-2)
    config = TrainConfig(steps=60, log_every=15, picture_every=30, ema=0.9, warmup=5, cooldown=0.3, clip=1.0)
    result = train(recipe, config, tmp_path, lambda share, what: told.append((share, what)))
    log = lines(tmp_path)
    assert log[-1]["main/square"] < 0.9 * log[0]["main/square"]
    assert result.log == {k: v for k, v in log[-1].items() if k not in ("step", "rate")}
    assert log[-1]["rate"] < 0.1 and [line["step"] for line in log] == [15, 30, 45, 60]
    assert told[-1][0] == 1 and "step 60" in told[-1][1] and len(told) == 60
    assert [p.name for p in sorted((tmp_path / "pictures").iterdir())] == ["00000030.png", "00000060.png"]
    assert load_image(tmp_path / "pictures" / "00000060.png").rgb.shape == (72, 72, 3)
    assert list((tmp_path / "tensorboard").iterdir())
    card = json.loads((tmp_path / "toy.json").read_text())
    assert card["licence"] == "Apache-2.0" and card["trained"]["steps"] == 60
    assert card["trained"]["settings"]["rate"] == 1e-2
    shipped = load_file(tmp_path / "toy.safetensors")
    averages = load_file(tmp_path / "checkpoints" / "00000060" / "averages.safetensors")
    networks = load_file(tmp_path / "checkpoints" / "00000060" / "networks.safetensors")
    for name, value in shipped.items():  # the averages ship, not the last weights
        assert torch.equal(value, averages[f"main|{name}"].half())
        assert not torch.equal(averages[f"main|{name}"], networks[f"main|{name}"])


def test_gradients_of_several_batches_are_those_of_one_large_batch(tmp_path: Path) -> None:
    recipe = replace(SMALL, dropout=0.0)
    train(replace(recipe, images=4), QUIET, tmp_path / "large")
    train(recipe, replace(QUIET, accumulate=2), tmp_path / "accumulated")
    for a, b in zip(lines(tmp_path / "large"), lines(tmp_path / "accumulated"), strict=True):
        assert a["main/square"] == pytest.approx(b["main/square"], rel=1e-5)
        assert a["main/gradient"] == pytest.approx(b["main/gradient"], rel=1e-4)


def test_threads_that_prepare_batches_change_nothing(tmp_path: Path) -> None:
    train(SMALL, QUIET, tmp_path / "none")
    train(SMALL, replace(QUIET, workers=3), tmp_path / "threads")
    assert lines(tmp_path / "none") == lines(tmp_path / "threads")


def test_half_precision_learns_alike(tmp_path: Path) -> None:
    train(SMALL, QUIET, tmp_path / "32")
    train(SMALL, replace(QUIET, precision="bf16"), tmp_path / "bf16")
    a, b = lines(tmp_path / "32")[-1], lines(tmp_path / "bf16")[-1]
    assert a != b and a["main/square"] == pytest.approx(b["main/square"], rel=0.02)


def test_an_optimizer_leaves_the_weights_of_the_other_alone(tmp_path: Path) -> None:
    recipe = Duel()
    before = recipe.networks(0)["discriminator"].state_dict()
    train(recipe, replace(QUIET, steps=1), tmp_path / "one")
    train(recipe, replace(QUIET, steps=2), tmp_path / "two")  # at the second step the discriminator rests
    one, two = (
        load_file(tmp_path / n / "checkpoints" / f"0000000{k}" / "networks.safetensors")
        for n, k in (("one", 1), ("two", 2))
    )
    assert not torch.equal(before["weight"], one["discriminator|weight"])
    assert torch.equal(one["discriminator|weight"], two["discriminator|weight"])
    assert not torch.equal(one["generator|weight"], two["generator|weight"])
    assert "discriminator/real" not in lines(tmp_path / "two")[1]


def test_time_is_kept_and_weights_are_there(tmp_path: Path) -> None:
    began = time.monotonic()
    result = train(SlowToy(size=12, images=2, width=4), replace(QUIET, steps=None, minutes=3 / 60), tmp_path)
    assert time.monotonic() - began < 3.5
    assert result.stopped == "minutes" and result.step > 3
    assert result.weights.is_file()
    assert train(SMALL, replace(QUIET, steps=0), tmp_path / "none").weights.is_file()


def test_a_loss_that_is_not_finite_stops_with_its_batch_saved(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match=r"'discriminator' is not finite at step 4 .*real nan"):
        train(Duel(poison=4), QUIET, tmp_path)
    (kept,) = tmp_path.glob("notfinite_*.safetensors")
    with safe_open(kept, "pt") as f:
        assert f.keys() == ["4.points"] and f.get_tensor("4.points")[1, 1].isnan()
        assert json.loads(f.metadata()["indices"]) == [4]
    weights = load_file(tmp_path / "checkpoints" / "00000004" / "networks.safetensors")
    assert all(w.isfinite().all() for w in weights.values()) and (tmp_path / "duel.safetensors").is_file()


def test_a_full_disk_leaves_the_last_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(SMALL, replace(QUIET, steps=3), tmp_path)
    kept = checkpoint.load_checkpoint(tmp_path)[0]
    whole = checkpoint.write_bytes

    def full(path: Path, data: bytes) -> None:
        if path.name.startswith("optimizers"):
            whole(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(path, data)

    monkeypatch.setattr(checkpoint, "write_bytes", full)
    with pytest.raises(HeadcastError, match=r"No space left on device.*step 3 is whole"):
        train(SMALL, QUIET, tmp_path)
    monkeypatch.undo()
    after, words = checkpoint.load_checkpoint(tmp_path)
    assert kept is not None and after is not None and not words and after.step == 3
    assert all(torch.equal(kept.networks[k], after.networks[k]) for k in kept.networks)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir())[-1] == "00000003"
    assert not list((tmp_path / "checkpoints").glob(".*"))
    assert train(SMALL, QUIET, tmp_path).step == 8


def test_what_the_recipe_has_to_tell_comes_at_the_end(tmp_path: Path) -> None:
    class Telling(ToyRecipe):
        def notes(self) -> list[str]:
            return ["x.jpg: not a readable picture"]

    result = train(Telling(size=12, images=2, width=4), replace(QUIET, steps=1), tmp_path)
    assert result.notes == ("x.jpg: not a readable picture",)


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="--minutes M or --steps N"):
        train(SMALL, TrainConfig(), tmp_path)
    for wrong in ({"accumulate": 0}, {"ema": 1.0}, {"clip": -1.0}, {"minutes": 0.0}):
        with pytest.raises(HeadcastError, match=next(iter(wrong))):
            TrainConfig(**wrong)
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadcastError, match="cannot be made"):
        train(SMALL, QUIET, tmp_path / "file")
