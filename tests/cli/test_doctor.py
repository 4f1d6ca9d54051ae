"""``headcast doctor`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.head.synthetic_flame import synthetic

from headcast.cli.main import main
from headcast.doctor import machine


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_a_working_base_is_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in (
        "python",
        "torch",
        "ai-edge-litert",
        "face networks",
        "numba",
        "libavcodec",
        "head and renderer",
        "model files",
        "method fit",
        "method portrait4d",
        "method uhr_texture",
    ):
        assert word in out


def test_files_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = synthetic().write(tmp_path / "flame2023_Open.pkl")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    assert main(["doctor", str(path), str(tmp_path / "other.npz"), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert [f["name"] for f in files] == ["FLAME 2023 Open", ""] and len(files[0]["hash"]) == 16


def test_a_method_without_weights_is_told_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("headcast.methods.portrait4d.weights.weights_path", lambda name: tmp_path / name)
    assert main(["doctor", "--json"]) == 0
    methods = {m["name"]: m for m in json.loads(capsys.readouterr().out)["methods"]}
    assert methods["method fit"]["ok"] and not methods["method portrait4d"]["ok"]
    assert "headcast train portrait4d.static" in methods["method portrait4d"]["remedy"]


def test_a_missing_package_is_two_and_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = machine.Check("numba", False, "No module named 'numba'", "pip install numba")
    monkeypatch.setattr("headcast.cli.doctor.base_checks", lambda: [broken])
    assert main(["doctor"]) == 2
    assert "pip install numba" in capsys.readouterr().err


def test_a_missing_place_is_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "nowhere"]) == 2
    assert "nowhere: no such file" in capsys.readouterr().err
