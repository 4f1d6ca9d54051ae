"""Where the evaluator's networks are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from headcast.evaluate.metric_files import FOLDER_VARIABLE, METRIC_FILES, find_metric_files


def test_options_then_the_variable_then_beside_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    data, named = tmp_path / "set" / "people", tmp_path / "named"
    data.mkdir(parents=True)
    named.mkdir()
    given: dict[str, Path | None] = dict.fromkeys(METRIC_FILES)
    assert find_metric_files(data, given) == given
    (tmp_path / "set" / "sface.onnx").touch()
    found = find_metric_files(data, given)
    assert found["sface"] == tmp_path / "set" / "sface.onnx" and found["yunet"] is None
    (named / "sface.onnx").touch()
    monkeypatch.setenv(FOLDER_VARIABLE, str(named))
    assert find_metric_files(data, given)["sface"] == named / "sface.onnx"
    mine = tmp_path / "mine.onnx"
    assert find_metric_files(data, {**given, "sface": mine})["sface"] == mine
    assert find_metric_files(data, {**given, "arcface": mine})["arcface"] == mine
