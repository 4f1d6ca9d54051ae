"""Folders of synthetic heads: complete, resumable, refused where they would mix."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from headcast.cli.main import main
from headcast.errors import HeadcastError
from headcast.synth.config import SynthConfig
from headcast.synth.folder import DEPTH_UNIT, write_person_folders
from headcast.synth.stream import make_batch

CPU = torch.device("cpu")
SMALL = SynthConfig(size=48, texture=128, framing="front")


def silent(share: float, what: str) -> None:
    """Told of progress."""


def test_what_is_written_is_the_batch(tmp_path: Path) -> None:
    assert write_person_folders(SMALL, 2, tmp_path, CPU, 3, silent) == (2, 0)
    batch = make_batch(SynthConfig(size=48, texture=128, framing="front"), CPU, 3, np.array([1]))
    folder = tmp_path / "train_000001"
    rgb = np.array(Image.open(folder / "f00000_v00_rgb.png"))
    assert np.abs(rgb.astype(int) - (batch.rgb[0] * 255).round().numpy()).max() <= 1
    facts = json.loads((folder / "f00000_v00.json").read_text())
    assert np.allclose(facts["camera"]["K"], batch.views.K[0], atol=1e-4)
    assert facts["head"]["expression"].keys() >= {"jawOpen", "mouthSmileLeft"}
    person = json.loads((folder / "person.json").read_text())
    assert person["hair"] in batch.hair_names
    assert json.loads((tmp_path / "synth.json").read_text())["depth_unit_metres"] == DEPTH_UNIT


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    write_person_folders(SMALL, 1, tmp_path, CPU, 0, silent)
    before = (tmp_path / "train_000000" / "person.json").stat().st_mtime_ns
    (tmp_path / ".making_train_000001").mkdir()
    assert write_person_folders(SMALL, 2, tmp_path, CPU, 0, silent) == (1, 1)
    assert (tmp_path / "train_000000" / "person.json").stat().st_mtime_ns == before
    assert not list(tmp_path.glob(".making_*"))
    with pytest.raises(HeadcastError, match="other settings"):
        write_person_folders(SMALL, 2, tmp_path, CPU, 1, silent)


def test_an_interrupted_person_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("headcast.synth.folder._traits", broken)
    with pytest.raises(KeyboardInterrupt):
        write_person_folders(SMALL, 1, tmp_path, CPU, 0, silent)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["synth.json"]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "synth",
        "--identities",
        "1",
        "--out",
        str(tmp_path / "heads"),
        "--size",
        "32",
        "--device",
        "cpu",
    ]
    assert main(words) == 0
    assert (tmp_path / "heads" / "train_000000" / "f00000_v00_label.png").is_file()
    assert (tmp_path / "heads" / "run.json").is_file()
    (tmp_path / "file").write_text("x")
    assert main(["synth", "--identities", "1", "--out", str(tmp_path / "file")]) == 2
    assert main(["synth", "--identities", "0", "--out", str(tmp_path / "none")]) == 2
    assert "identities" in capsys.readouterr().err
