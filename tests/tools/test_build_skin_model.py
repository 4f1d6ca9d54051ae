"""The skin model is built: from generated portraits always, from the shared ones where they are."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tools.conftest import Tool

from headcast.head.model import HeadModel
from headcast.head.skin import SkinModel
from headcast.weights import load_tensors


@pytest.fixture(scope="module")
def builder(root: Path) -> dict[str, Any]:
    return runpy.run_path(str(root / "tools" / "build_skin_model.py"))


def test_missing_data_are_imputed_by_a_low_rank_model(builder: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    people, texels, rank = 40, 300, 3
    mean, basis = rng.normal(size=(texels, 3)), 0.1 * rng.normal(size=(rank, texels, 3))
    truth = mean + np.tensordot(rng.normal(size=(people, rank)), basis, 1)
    known = (rng.random((people, texels)) < 0.8).astype(np.float32)
    filled = np.where(known[..., None] > 0, truth, mean).astype(np.float32)
    found, components, history = builder["factorize"](filled, known, rank + 1)
    assert history[-1] > 0.95 and history[-1] > history[0]
    assert np.abs(found - mean).mean() < 0.05
    a, _ = np.linalg.qr(basis.reshape(rank, -1).T)
    b, _ = np.linalg.qr(components[:rank].reshape(rank, -1).T)
    assert np.linalg.svd(a.T @ b)[1].min() > 0.97  # both span the same


def test_built_from_generated_portraits(tool: Tool, portraits: Path, tmp_path: Path) -> None:
    out = tmp_path / "skin.safetensors"
    before = load_tensors("skin")[0]
    tool("build_skin_model", portraits, "--people", 3, "--components", 2, "--size", 64, "-o", out)
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["components"] == 2 and card["trained_on"].startswith("3 ")
    built, shipped = SkinModel.load(out), SkinModel.load_for(HeadModel.load())
    assert shipped is not None and built.uv == shipped.uv and built.size == 64
    albedo = built.sample(torch.zeros(2))[built.inside]
    red, green, blue = albedo.median(0).values
    assert red > green > 0.5 * blue and 0.05 < red < 1.1  # skin
    assert torch.equal(before["mean"], load_tensors("skin")[0]["mean"])  # the shipped one is left alone


def test_a_folder_without_portraits_is_told(tool: Tool, tmp_path: Path) -> None:
    for name in ("portraits", "portraits_pd"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.csv").write_text("id,black_and_white,yaw_deg\n")
    (tmp_path / "splits.json").write_text('{"train": []}')
    with pytest.raises(SystemExit, match="no colour portrait"):
        tool("build_skin_model", tmp_path, "--size", 64, "-o", tmp_path / "skin.safetensors")


@pytest.mark.slow
def test_built_from_shared_portraits_it_is_near_the_shipped_one(
    tool: Tool, shared: Path, tmp_path: Path
) -> None:
    out = tmp_path / "skin.safetensors"
    tool("build_skin_model", shared / "data", "--people", 5, "--components", 4, "--size", 64, "-o", out)
    built, shipped = SkinModel.load(out), SkinModel.load()
    both = built.inside & shipped.inside[2::4, 2::4]
    a, b = built.mean[both], shipped.mean[2::4, 2::4][both]
    assert both.float().mean() > 0.2
    assert (a - b).abs().median() < 0.35  # five people, so lighter or darker as a whole
    assert torch.corrcoef(torch.stack([(a - a.mean(0)).flatten(), (b - b.mean(0)).flatten()]))[0, 1] > 0.6
