"""The head model is rebuilt from ICT-FaceKit's data as it ships; its charts are tried without that data."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tools.conftest import Tool

from headcast.weights import load_tensors


def test_without_libigl_it_says_what_to_install(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "igl" else real(name))
    with pytest.raises(SystemExit) as end:
        tool("build_head_model", "--ict", tmp_path / "ict.npz", "-o", tmp_path / "head.safetensors")
    assert end.value.code == 2 and "pip install libigl" in capsys.readouterr().err


def test_a_curved_disk_is_flattened_without_folds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "tools"))
    from head_model.flatten import flatten, tutte
    from head_model.packing import fit_chart

    n = 9
    u, v = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n), indexing="ij")
    dome = np.stack([u, v, 0.5 - 0.4 * (u**2 + v**2)], -1).reshape(-1, 3)
    at = np.arange(n * n).reshape(n, n)
    a, b, c, d = (x.ravel() for x in (at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    rim = np.concatenate([at[0], at[1:, -1], at[-1, -2::-1], at[-2:0:-1, 0]])
    angle = 2 * np.pi * np.arange(len(rim)) / len(rim)
    start = tutte(faces, len(dome), rim, np.stack([np.cos(angle), np.sin(angle)], 1))
    density, weight = np.ones(len(dome)), np.ones(len(faces))
    flat = fit_chart(flatten(dome, faces, start, density, weight, np.array([], int), 10), 0.2, 0.3, 0.1, 0.15)
    e, f = flat[faces[:, 1]] - flat[faces[:, 0]], flat[faces[:, 2]] - flat[faces[:, 0]]
    area = e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0]
    assert (np.sign(area) == np.sign(area[0])).all()
    assert (flat >= np.array([0.2, 0.3]) - 1e-9).all() and (flat <= np.array([0.3, 0.45]) + 1e-9).all()


@pytest.mark.slow
def test_the_shipped_head_is_built_again(tool: Tool, shared: Path, tmp_path: Path) -> None:
    ict = shared / "data" / "ict" / "ict_facekit.npz"
    if not ict.is_file():
        pytest.skip("ICT-FaceKit's data is not beside the repository")
    if find_spec("igl") is None:
        pytest.skip("libigl is not installed")
    tool("build_head_model", "--ict", ict, "-o", tmp_path / "head.safetensors")
    built, shipped = load_tensors(tmp_path / "head.safetensors")[0], load_tensors("head")[0]
    assert built.keys() == shipped.keys()
    for name, tensor in shipped.items():
        assert torch.equal(built[name], tensor), name
