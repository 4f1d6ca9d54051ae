"""Runs that are stopped go on as if nothing had been: bit for bit on a CPU."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.training.runs import KILL, QUIET, SMALL, Duel, SlowToy, checkpoint, interrupt, lines

from headcast.errors import HeadcastError
from headcast.training import train
from headcast.training.checkpoint import saved_checkpoints
from headcast.weights import load_tensors


@pytest.fixture(autouse=True)
def one_thread() -> object:
    """Sums of several threads are added in other orders."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_killed_in_the_middle_it_gives_the_same_bits(tmp_path: Path) -> None:
    place = "tests.training.runs:SlowToy"
    small = ["size=12", "images=2", "width=4", "wait=.03"]
    steps = ["steps=40", "log_every=1", "picture_every=0", "checkpoint_seconds=.3", "ema=.9", "engine=plain"]
    done = interrupt(place, tmp_path / "killed", KILL, 15, *small, *steps)
    assert done.returncode == -KILL, done.stderr
    last = int(saved_checkpoints(tmp_path / "killed")[-1].name)
    logged = len(lines(tmp_path / "killed"))
    assert 0 < last <= logged < 40  # else the test shows nothing
    recipe = SlowToy(size=12, images=2, width=4, wait=0)
    config = replace(QUIET, steps=40, checkpoint_seconds=0.3)
    resumed = train(replace(recipe, wait=0.03), config, tmp_path / "killed")
    train(recipe, config, tmp_path / "whole")
    assert resumed.step == 40 and resumed.notes == ()
    assert lines(tmp_path / "killed") == lines(tmp_path / "whole")
    for part in ("networks", "averages", "optimizers"):
        a, b = (checkpoint(tmp_path / name, 40, part) for name in ("killed", "whole"))
        assert a and same(a, b), part
    # the order of metadata in a safetensors file is any: bytes may differ where content doesn't
    (a, about_a, _), (b, about_b, _) = (
        load_tensors(tmp_path / name / "slow.safetensors") for name in ("killed", "whole")
    )
    assert same(a, b) and about_a == about_b


def test_two_optimizers_and_a_window_of_the_log_resume(tmp_path: Path) -> None:
    config = replace(QUIET, log_every=4)
    train(Duel(), replace(config, steps=6), tmp_path / "twice")  # stops inside a window of the log
    train(Duel(), config, tmp_path / "twice")
    train(Duel(), config, tmp_path / "once")
    assert lines(tmp_path / "twice") == lines(tmp_path / "once") and len(lines(tmp_path / "once")) == 2
    for part in ("networks", "averages", "optimizers"):
        assert same(*(checkpoint(tmp_path / name, 8, part) for name in ("twice", "once")))
    assert [int(p.name) for p in saved_checkpoints(tmp_path / "once")] == [7, 8]  # the last two are kept


def test_sigterm_ends_well(tmp_path: Path) -> None:
    done = interrupt("tests.training.runs:SlowToy", tmp_path, signal.SIGTERM, 3, "steps=4000", "log_every=1")
    assert done.returncode == 0, done.stderr
    assert "stopped by signal" in done.stderr
    step = int(saved_checkpoints(tmp_path)[-1].name)
    assert 3 <= step < 4000 and step == len(lines(tmp_path))
    assert (tmp_path / "slow.safetensors").stat().st_size and (tmp_path / "slow.json").is_file()


def test_goes_on_from_weights_alone(tmp_path: Path) -> None:
    train(SMALL, replace(QUIET, steps=4), tmp_path)
    before = checkpoint(tmp_path, 4, "networks")
    (tmp_path / "checkpoints" / "00000004" / "optimizers.safetensors").unlink()
    result = train(SMALL, QUIET, tmp_path)
    assert result.step == 8 and "weights alone" in result.notes[0]
    after = checkpoint(tmp_path, 8, "networks")
    moved = max(float((after[k] - before[k]).abs().max()) for k in after)
    assert 0 < moved < 4.01 * SMALL.rate  # four steps of Adam from there, not a fresh start


def test_a_damaged_checkpoint_is_stepped_over(tmp_path: Path) -> None:
    train(SMALL, QUIET, tmp_path / "a")
    train(SMALL, QUIET, tmp_path / "b")
    broken = tmp_path / "a" / "checkpoints" / "00000008" / "networks.safetensors"
    broken.write_bytes(broken.read_bytes()[:-40])
    result = train(SMALL, QUIET, tmp_path / "a")
    assert result.step == 8 and "damaged" in result.notes[0]
    assert same(*(checkpoint(tmp_path / name, 8, "networks") for name in "ab"))


def test_another_network_is_refused_and_other_settings_are_told(tmp_path: Path) -> None:
    train(SMALL, replace(QUIET, steps=2), tmp_path)
    with pytest.raises(HeadcastError, match="another network"):
        train(replace(SMALL, width=5), QUIET, tmp_path)
    result = train(replace(SMALL, rate=1e-4), replace(QUIET, steps=3), tmp_path)
    assert "rate 0.003 → 0.0001" in result.notes[0]
    assert lines(tmp_path)[-1]["step"] == 3
