"""``headcast enhance`` and ``degrade``: files in, files out, refusals in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.command import Run
from tests.methods.superhead.heads import patterned

FEW = ("--invert", "--iterations", "3", "--views", "1", "--anchors", "2", "--side", "128")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.avatar"
    patterned().save(path)
    return path


def test_degrade_then_enhance(good: Path, run: Run, tmp_path: Path) -> None:
    poor, sharp = tmp_path / "poor.avatar", tmp_path / "sharp.avatar"
    code, out, err = run("degrade", good, "--factor", "4", "-o", poor)
    assert code == 0 and out.strip() == str(poor), err
    code, out, err = run("enhance", poor, "-o", sharp, *FEW)
    assert code == 0 and out.strip() == str(sharp), err
    assert not list(tmp_path.glob("*.unfinished*"))
    record = json.loads((tmp_path / "sharp.avatar.run.json").read_text())
    assert record["seed"] == 0
    facts = json.loads(run("info", sharp, "--json")[1])
    assert facts["method"].endswith(", superhead")
    assert facts["superhead"]["prior_trained"] is False and facts["degraded"] == 4.0


def test_an_unfinished_run_is_kept_and_taken_up(
    good: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headcast.methods.superhead import resume

    monkeypatch.setattr(resume, "SECONDS", 0.0)
    keep = resume.RunFile.keep
    steps: list[int] = []

    def killed(self: resume.RunFile, step: int, *given: object, **more: object) -> None:
        keep(self, step, *given, **more)  # type: ignore[arg-type]
        steps.append(step)
        if len(steps) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(resume.RunFile, "keep", killed)
    sharp = tmp_path / "sharp.avatar"
    assert run("enhance", good, "-o", sharp, *FEW)[0] == 130
    assert not sharp.exists() and (tmp_path / "sharp.unfinished.safetensors").is_file()
    assert run("enhance", good, "-o", sharp, *FEW)[0] == 0
    assert steps == [1, 2, 3] and sharp.is_file()
    assert not (tmp_path / "sharp.unfinished.safetensors").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--restorer", "gfpgan"), "gfpgan"),
        (("-o", "sharp.png"), "must end in .avatar"),
        (("--iterations", "0"), "--iterations 0"),
    ],
)
def test_refusals_in_one_line(given: tuple[str, ...], words: str, good: Path, run: Run) -> None:
    code, _, err = run("enhance", good, *given)
    assert code == 2 and words in err and len(err.strip().splitlines()) == 1
