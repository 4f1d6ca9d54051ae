"""The viewer reads every recording as Python does: frames, rate, weights, head rotation and notes."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.motion.recordings import RECORDINGS, Recorded

from headcast.drive import motion_from
from headcast.head.names import EXPRESSIONS
from headcast.head.params import gaze_from_eye_look

WEB = Path(__file__).resolve().parents[2] / "web"
CASES = Path(__file__).resolve().parents[3] / "shared" / "data" / "cases"


def read_with_viewer(files: dict[str, bytes]) -> dict[str, Any]:
    if shutil.which("node") is None or not (WEB / "node_modules" / "vite").exists():
        pytest.skip("no node, or web/node_modules is not there: run 'npm ci' in web/")
    given = [{"name": n, "base64": base64.b64encode(data).decode()} for n, data in files.items()]
    command = ["node", str(Path(__file__).with_name("clips.mjs")), str(WEB)]
    text = json.dumps({"names": EXPRESSIONS, "files": given})
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return dict(zip(files, json.loads(run.stdout), strict=True))


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """What the viewer reads of all recordings of the table."""
    return read_with_viewer({r.name: r.data for r in RECORDINGS})


def assert_same(path: Path, got: dict[str, Any]) -> None:
    motion = motion_from(path)
    assert "error" not in got, got
    assert got["frames"] == len(motion) and got["fps"] == pytest.approx(motion.fps, abs=1e-9)
    assert [f"{path.name}: {n}" for n in got["notes"]] == list(motion.notes)
    assert np.allclose(got["neck"], motion.neck.numpy(), atol=1e-5)
    weights = np.array(got["weights"])
    if motion.gaze is None:
        assert np.allclose(weights, motion.expression.numpy(), atol=1e-5)
        return
    look = np.array([n.startswith("eyeLook") for n in EXPRESSIONS])
    assert np.allclose(weights[:, ~look], motion.expression.numpy()[:, ~look], atol=1e-5)
    assert np.allclose(gaze_from_eye_look(torch.tensor(weights).float()), motion.gaze, atol=1e-5)


@pytest.mark.parametrize("recording", [r for r in RECORDINGS if not r.error], ids=lambda r: r.name)
def test_both_read_the_same(recording: Recorded, shown: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / recording.name).write_bytes(recording.data)
    assert_same(tmp_path / recording.name, shown[recording.name])


@pytest.mark.parametrize("recording", [r for r in RECORDINGS if r.error], ids=lambda r: r.name)
def test_both_refuse_the_same(recording: Recorded, shown: dict[str, Any]) -> None:
    error = shown[recording.name].get("error", "")
    assert recording.name in error and recording.error in error and len(error) < 200


def test_both_read_collected_recordings_alike() -> None:
    found = sorted([*CASES.glob("llf_*.csv"), *CASES.glob("*.json")]) if CASES.is_dir() else []
    found = [p for p in found if p.name != "bom_expression.json"]
    if not found:
        pytest.skip("no collected recordings")
    for name, got in read_with_viewer({p.name: p.read_bytes() for p in found}).items():
        assert_same(CASES / name, got)
