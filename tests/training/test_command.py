"""``headcast train`` and ``python -m headcast.training``."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from tests.training.runs import lines

from headcast.cli.main import main
from headcast.training.__main__ import main as bare

TOY = ["train", "toy", "--size", "12", "--images", "2", "--width", "4"]


def test_flags_of_the_recipe_and_of_the_trainer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main([*TOY, "--steps", "3", "--log-every", "1", "--ema", "0.5", "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(out) and "3 steps" in said.err
    card = json.loads((out / "toy.json").read_text())
    assert card["trained"]["settings"]["width"] == 4 and card["trained"]["settings"]["ema"] == 0.5
    assert json.loads((out / "run.json").read_text())["seed"] == 0
    assert main([*TOY, "--steps", "5", "--log-every", "1", "--ema", "0.5", "-o", str(out)]) == 0
    assert [line["step"] for line in lines(out)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["train"], "Missing"),
        (["train", "nothing"], "no recipe 'nothing'"),
        ([*TOY, "--nonsense", "3"], "--nonsense"),
        ([*TOY], "--minutes M or --steps N"),
        ([*TOY, "--steps", "2", "--accumulate", "0"], "--accumulate must be at least 1"),
    ],
)
def test_mistakes(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert complaint in said and len(said.splitlines()) == 1


def test_interrupted_it_leaves_weights_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = [
        "train",
        "tests.training.runs:SlowToy",
        "--steps",
        "9999",
        "--log-every",
        "1",
        "-o",
        str(tmp_path),
    ]
    done = threading.Event()

    def press() -> None:
        while not done.wait(0.02):
            if (tmp_path / "log.jsonl").is_file():
                os.kill(os.getpid(), signal.SIGINT)
                return

    thread = threading.Thread(target=press)
    thread.start()
    try:
        assert main(slow) == 130
    finally:
        done.set()
        thread.join()
    assert "is usable; rerun to resume" in capsys.readouterr().err
    assert (tmp_path / "slow.safetensors").is_file()


def test_bare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bare(["toy", str(tmp_path), "steps=2", "size=12", "width=4", "precision=32", "log_every=1"]) == 0
    assert len(lines(tmp_path)) == 2 and "toy.safetensors: 2 steps" in capsys.readouterr().err
    for words in (["toy"], ["toy", str(tmp_path), "nonsense=1"], ["toy", str(tmp_path), "accumulate=x"]):
        assert bare(words) == 2
    assert "wrong type" in capsys.readouterr().err
