"""The spread over seeds: what differs in the seed counts, controls are controls, tiny runs of both kinds."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.tools.conftest import Tool

from headcast.image import load_image, save_png
from headcast.observe.landmarks import FaceDetector
from headcast.observe.masks import person_matte
from headcast.weights import weights_path

sys.path.append(str(Path(__file__).parents[2] / "tools"))
weights_spread = importlib.import_module("weights_spread")


def test_the_spread_is_of_rows_that_differ_in_their_seed() -> None:
    rows = {"bundled": {"x": 9.0}, "seed 0": {"x": 1.0}, "seed 1": {"x": 3.0}, "control": {"x": -4.0}}
    assert weights_spread.spread_line(rows, ["x"]) == "2 seeds: x 2.0000, standard deviation 1.4142"
    assert "no spread" in weights_spread.spread_line({"bundled": {"x": 9.0}}, ["x"])


def test_weights_of_a_training_are_found(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="0 files of weights"):
        weights_spread.weights_in(tmp_path)
    (tmp_path / "a.safetensors").touch()
    assert weights_spread.weights_in(tmp_path) == tmp_path / "a.safetensors"
    assert weights_spread.weights_in(tmp_path / "a.safetensors") == tmp_path / "a.safetensors"


def test_exchanged_people_have_as_many_photographs(tool: Tool, tmp_path: Path) -> None:
    numbers = np.arange(12) // 2
    for k in range(2):
        part = slice(6 * k, 6 * k + 6)
        (tmp_path / "in").mkdir(exist_ok=True)
        np.savez(tmp_path / "in" / f"{k}.npz", person=numbers[part], rgb=np.full((6, 2, 2, 3), k))
    assert "12 photographs" in tool("weights_spread", "permute", tmp_path / "in", tmp_path / "out")
    mixed = [np.load(tmp_path / "out" / f"{k}.npz") for k in range(2)]
    people = np.concatenate([m["person"] for m in mixed])
    assert sorted(people) == sorted(numbers) and (people != numbers).any()
    assert (mixed[1]["rgb"] == 1).all()
    with pytest.raises(SystemExit, match="pack_people"):
        tool("weights_spread", "permute", tmp_path, tmp_path / "none")


def write_matte(folder: Path, rgb: np.ndarray) -> None:
    """A person cut out by our own matte: its own truth."""
    with FaceDetector() as detector:
        alpha = person_matte(rgb, detector.detect(rgb, refine=False)[0])
    folder.mkdir()
    np.savez(
        folder / "A_neutral.npz",
        size=np.array(rgb.shape[1::-1]),
        alpha=(alpha * 255).astype(np.uint8),
        rgb=rgb,
        known=np.ones(rgb.shape[:2], np.uint8),
    )


def test_parsers_are_measured_with_their_controls(tool: Tool, tmp_path: Path, demo_photo: Path) -> None:
    if not weights_path("parser").is_file():
        pytest.skip("the weights are not in this checkout")
    import cv2

    rgb = cv2.resize(load_image(demo_photo).filled(), (320, 320), interpolation=cv2.INTER_AREA)
    write_matte(tmp_path / "held", rgb)
    scenes, out = tmp_path / "test.npz", tmp_path / "figures.json"
    np.savez(scenes, rgb=np.full((1, 64, 64, 3), (40, 90, 160), np.uint8), name=np.array(["plain"]))
    networks = [f"seed{k}={weights_path('parser')}" for k in range(2)]
    options = ("--mattes", tmp_path / "held", "--scenes", scenes, "--limit", 1, "--out", out)
    said = tool("weights_spread", "parser", *options, "--networks", *networks)
    rows = json.loads(out.read_text())
    assert rows["bundled"] == rows["seed0"] and rows["bundled"]["sad"] < rows["bundled, zeroed"]["sad"]
    assert set(rows) > {"guide alone", "bundled, guide of another image", "layers as they are drawn"}
    assert "2 seeds: sad" in said and "standard deviation 0.0000" in said


def test_identity_networks_are_measured(tool: Tool, tmp_path: Path, demo_photo: Path) -> None:
    if not weights_path("embedding").is_file():
        pytest.skip("the weights are not in this checkout")
    data = tmp_path / "london"
    data.mkdir()
    save_png(data / "a.png", load_image(demo_photo).filled())
    (data / "london.csv").write_text("file,person,split,expression\n")
    with pytest.raises(SystemExit, match="nobody in different photographs"):
        tool("weights_spread", "embedding", "--data", tmp_path)
    with pytest.raises(SystemExit, match="NAME=PATH"):
        tool("weights_spread", "embedding", "--data", tmp_path, "--networks", "x")
