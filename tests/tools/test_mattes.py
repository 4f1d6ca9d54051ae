"""Mattes of a photo before plain cloth, scenes, and how mattes are measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tests.tools.conftest import Tool

from headcast.image import save_png
from headcast.observe.landmarks import FaceDetector
from headcast.observe.masks import person_matte


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut before uneven grey cloth, laid out like the London and Canada sets."""
    rgb = pytest.importorskip("skimage.data").astronaut()
    with FaceDetector() as detector:
        found = detector.detect(rgb, refine=False)[0]
    alpha = person_matte(rgb, found)[..., None]
    cloth = np.linspace(225, 195, 512)[:, None, None] * np.ones((512, 512, 3)) * (1, 0.99, 0.98)
    data = tmp_path_factory.mktemp("studio")
    for name, header, row in (
        ("london", "file,person,split", "A_neutral.jpg,A,validation"),
        ("canada", "file,person,split", ""),
    ):
        (data / name).mkdir()
        (data / name / f"{name}.csv").write_text(f"{header}\n{row}\n")
    save_png(data / "london" / "A_neutral.jpg", (alpha * rgb + (1 - alpha) * cloth).astype(np.uint8))
    return data


def stand_in() -> ModuleType:
    """pymatting's part: the unknown is half covered, colours are the photo's (the real one compiles long)."""
    module = ModuleType("pymatting")
    module.__dict__["estimate_alpha_cf"] = lambda image, trimap, **_: trimap
    module.__dict__["estimate_foreground_ml"] = lambda image, alpha: image
    return module


def test_mattes_are_built_and_measured(
    tool: Tool, studio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymatting", stand_in())
    made, sheets = tmp_path / "mattes", tmp_path / "sheets"
    options = ("--data", studio, "--out", made, "--sheets", sheets, "--split", "validation")
    assert "unknown" in tool("build_mattes", *options)
    stored = np.load(made / "A_neutral.npz")
    assert stored["alpha"].shape == (512, 512) and (sheets / "A_neutral.jpg").is_file()
    assert stored["alpha"][100:180, 190:260].mean() > 250  # the face
    assert stored["alpha"][:150, :60].mean() < 5  # the cloth
    assert (stored["known"] == 0).mean() < 0.2
    assert {1, 10}.issubset(np.unique(stored["label"]))  # skin, hair
    assert tool("build_mattes", *options) == ""  # what is there stays

    scenes = tmp_path / "test.npz"
    np.savez(scenes, rgb=np.full((1, 64, 64, 3), (40, 90, 160), np.uint8), name=np.array(["plain"]))
    out = tmp_path / "figures.json"
    said = tool(
        "measure_mattes", "--mattes", made, "--scenes", scenes, "--out", out, "--sheet", tmp_path / "s.png"
    )
    row = json.loads(out.read_text())[0]
    assert row["iou"] > 0.9 and row["half"] == "decide" and "decide all (n 1)" in said


def test_people_keep_their_own_colours_before_other_walls(tool: Tool, studio: Path, tmp_path: Path) -> None:
    out = tmp_path / "floor.json"
    tool("measure_mattes", "--plain", studio / "london" / "A_neutral.jpg", "--out", out)
    rows = json.loads(out.read_text())
    assert [r["scene"] for r in rows] == ["light grey", "blue", "dark"]
    assert all(r["true_off"] == 0 and r["ours_off"] < r["photo_off"] for r in rows)
    assert all(0 <= r["true_rim"] <= 1 for r in rows)


def test_scenes_are_functions_of_the_seed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "tools"))
    import build_scenes

    for paint in build_scenes.FAMILIES.values():
        a, b, other = (np.clip(paint(np.random.default_rng(s)), 0, 255) for s in (1, 1, 2))
        assert a.shape == (build_scenes.SIDE, build_scenes.SIDE, 3)
        assert np.array_equal(a, b) and not np.array_equal(a, other)
