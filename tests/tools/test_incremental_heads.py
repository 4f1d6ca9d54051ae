"""The measuring tool of the incremental inversion: its summary, blur, and that finished rows are kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tools.incremental_heads import main, motion_blur, summary

ROWS = {
    "1": {"ours 1": [20.0, 20.0, 18.0, 18.0], "joint 4": [21.0, 20.5, 19.0, 18.0, 9.0]},
    "2": {"ours 1": [22.0, 22.0, 20.0, 20.0], "joint 4": [22.5, 22.5, 20.0, 20.5, 11.0]},
}


def test_the_summary_pairs_heads() -> None:
    first, joint = summary(ROWS)
    assert first.startswith("ours 1: n = 2; ±30°: 21.00 dB (+0.00")
    assert "±30°: 21.62 dB (+0.62 ± 1.59)" in joint and "±60°: 19.38 dB (+0.38" in joint
    assert joint.endswith("10.0 CPU s")


def test_motion_blur_keeps_the_mean_and_removes_detail() -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    blurred = motion_blur(image, 9, 0.3)
    assert abs(float(blurred.mean()) - float(image.mean())) < 3 and blurred.std() < 0.6 * image.std()


def test_finished_rows_are_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rows.json"
    out.write_text(json.dumps(ROWS))
    assert main(["summary", str(out)]) == 0
    assert "joint 4: n = 2" in capsys.readouterr().out
