"""Every tool runs: its help, and a tiny run on generated data whose result is looked at."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tools.conftest import Tool
from tests.tools.portraits import COUNT

from headcast.weights import load_tensors, save_tensors

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = ROOT / "tools"
IN_BLENDER = {"blender_glb", "blender_uhr"}
"""Run by Blender's Python; their tests are those of the tools that start them."""


def names() -> list[str]:
    """All tools."""
    return sorted(p.stem for p in TOOLS.glob("*.py") if p.stem not in IN_BLENDER)


@pytest.mark.parametrize("name", names())
def test_help(name: str, tool: Tool) -> None:
    with pytest.raises(SystemExit) as end:
        tool(name, "--help")
    assert end.value.code == 0


def test_every_tool_is_tried() -> None:
    """A new tool comes with a run of its own, here or in another file of this folder."""
    sources = "".join(p.read_text() for p in Path(__file__).parent.glob("test_*.py"))
    runs = r"""(tool\(\s*"{0}"|tools[./]{0}\b|"{0}(\.py)?"|import {0}\n)"""
    untried = [n for n in names() if not re.search(runs.format(n), sources)]
    # tools/uhr_* need renderings by Cycles
    assert not [n for n in untried if not n.startswith("uhr_")]


def test_build_glasses(tool: Tool, portraits: Path, tmp_path: Path) -> None:
    ids = [r["id"] for t in ("portraits", "portraits_pd") for r in rows(portraits / t / f"{t}.csv")]
    labels = tmp_path / "labels.csv"
    lines = [f"{name},{'yes' if k % 2 else 'no'}\n" for k, name in enumerate(ids)]
    labels.write_text("id,glasses\n" + "".join(lines))
    out = tmp_path / "glasses.safetensors"
    figures = json.loads(tool("build_glasses", portraits, "--labels", labels, "-o", out))
    assert figures["cross-validation"]["n"] == COUNT and figures["evaluation portraits"]["n"] == 2
    weights = load_tensors(out)[0]["weights"]
    assert weights.shape == load_tensors("glasses")[0]["weights"].shape and weights.isfinite().all()
    assert json.loads(out.with_suffix(".json").read_text())["figures"] == figures


def test_learn_expressions(tool: Tool, tmp_path: Path, demo_photo: Path) -> None:
    """A reader learned from a few stored heads has the bundled one's form, is levelled and scored."""
    with np.load(ROOT / "tests" / "observe" / "held_out_expressions.npz") as file:
        stored = {k: file[k].astype(np.float32) for k in file.files}
    count = len(stored["person"])
    more = {"points": stored["detected"], "lids": np.zeros(count), "size": np.full(count, 288)}
    people = {"person": stored["person"].astype(int), "frame": stored["frame"].astype(int)}
    heads, out = tmp_path / "heads", tmp_path / "reader.safetensors"
    heads.mkdir()
    np.savez(heads / "test-7-00000.npz", **(stored | more | people))
    tool("learn_expressions", "learn", heads, "--out", out)
    learned, bundled = (load_tensors(x)[0] for x in (out, "expressions"))
    shapes = {k: tuple(v.shape) for k, v in bundled.items()}
    assert {k: tuple(v.shape) for k, v in learned.items()} == shapes
    assert all(v.isfinite().all() for v in learned.values())
    shutil.copy(demo_photo, tmp_path / "a.png")
    (tmp_path / "london.csv").write_text("file,split,expression\na.png,train,neutral\n")
    tool("learn_expressions", "level", heads, tmp_path, "--weights", out)
    levelled = load_tensors(out)[0]
    assert {k for k in shapes if not torch.equal(levelled[k], learned[k])} == {"bias3"}
    assert "photographs of 1 people" in json.loads(out.with_suffix(".json").read_text())["levelled_on"]
    table = tool("learn_expressions", "score", heads, "--limit", 6, "--weights", out)
    assert "| jawOpen |" in table and "fit, person: 6 images" in table
    said = tool("learn_expressions", "spread", heads, "--test", heads, "--steps", 20, "--seeds", 2)
    assert "seed 1: mean r" in said and "r over seeds" in said


def test_too_few_faces_for_the_glasses_are_told(tool: Tool, portraits: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("id,glasses\np0000,yes\n")
    with pytest.raises(SystemExit, match="1 faces found; at least 6"):
        tool(
            "build_glasses", portraits, "--labels", tmp_path / "labels.csv", "-o", tmp_path / "x.safetensors"
        )


def test_build_hair(tool: Tool, tmp_path: Path) -> None:
    vertices = np.array([[-5.0, 10, 8], [5, 10, 8], [5, 18, 8], [-5, 18, 8]])  # before the head, centimetres
    item = {
        "fringe/vertices_ict": vertices,
        "fringe/uv": np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]),
        "fringe/tris": np.array([[0, 2, 1], [0, 3, 2]]),
        "fringe/tris_uv": np.array([[0, 2, 1], [0, 3, 2]]),
    }
    np.savez(tmp_path / "hair.npz", names=np.array(["fringe"]), kinds=np.array(["hair"]), **item)
    tool("build_hair", tmp_path / "hair.npz", "-o", tmp_path / "hair.safetensors")
    tensors, metadata, _ = load_tensors(tmp_path / "hair.safetensors")
    assert json.loads(metadata["hair"])["kinds"] == {"fringe": "hair"}
    stored = tensors["fringe/vertices"].double() * 2e-5
    torch.testing.assert_close(stored, torch.from_numpy(vertices * 0.01), atol=1e-5, rtol=0)
    a, b, c = stored[tensors["fringe/faces"].long()].unbind(1)
    assert (torch.linalg.cross(b - a, c - a)[:, 2] > 0).all()  # turned to face outwards
    assert json.loads((tmp_path / "hair.json").read_text())["items"] == ["fringe"]


def test_build_parser_labels(tool: Tool, portraits: Path, tmp_path: Path) -> None:
    tool("build_parser_labels", "--data", portraits, "--out", tmp_path, "--count", 1)
    stored = np.load(tmp_path / "00000.npz")
    assert stored["rgb"].shape == (COUNT, 256, 256, 3) and stored["label"].shape == (COUNT, 256, 256)
    known = stored["label"][0] != 255
    assert 0.2 < known.mean() < 1 and len(np.unique(stored["label"])) > 5


def test_build_face_images(tool: Tool, tmp_path: Path) -> None:
    options = ("--out", tmp_path, "--people", 1, "--frames", 1, "--size", 64, "--device", "cpu")
    tool("build_face_images", *options)
    assert np.load(tmp_path / "00000.npz")["rgb"].shape == (1, 64, 64, 3)
    said = tool("build_face_images", *options)
    assert said == ""  # what is there stays


def test_people_and_the_ablation_on_them(tool: Tool, tmp_path: Path) -> None:
    from headcast.training.recipes import recipe_class

    people = tmp_path / "people"
    tool(
        "build_portrait4d_people",
        "--out",
        people,
        "--people",
        2,
        "--views",
        2,
        "--size",
        64,
        "--still-neck",
        "--apart",
        2.5,
        "--device",
        "cpu",
    )
    assert load_tensors(people / "00000.safetensors")[0]
    recipe = recipe_class("portrait4d.static")(size="tiny")
    static = tmp_path / "static.safetensors"
    save_tensors(static, recipe.shipped(recipe.networks(2)), {})
    tool(
        "ablate_portrait4d",
        "--static",
        static,
        "--folder",
        people,
        "--test",
        people,
        "--out",
        tmp_path,
        "--steps",
        1,
        "--seeds",
        1,
        "--people",
        1,
        "--most",
        1,
        "--size",
        "tiny",
        "--only",
        "full",
        "--device",
        "cpu",
    )
    table = (tmp_path / "ablation.md").read_text().splitlines()
    assert table[2].startswith("| full (full) |") and "nan" not in table[2]


def test_build_uhr_looks(tool: Tool, tmp_path: Path) -> None:
    tool("build_uhr_looks", "--out", tmp_path, "--people", 1, "--size", 64, "--texture", 128, "--windows", 1)
    tensors = load_tensors(tmp_path / "train_00000.safetensors")[0]
    assert tensors and all(t.isfinite().all() for t in tensors.values() if t.is_floating_point())


def test_head_sheet(tool: Tool, tmp_path: Path) -> None:
    tool("head_sheet", "-o", tmp_path / "sheet.png", "--people", 1, "--size", 32)
    rgb = pixels(tmp_path / "sheet.png")
    assert rgb.shape == (32, 8 * 32, 3) and rgb.std() > 20


def test_learn_hair_growth(tool: Tool, tmp_path: Path, demo_photo: Path) -> None:
    """The map has the bundled one's form, is alike on both sides, and the cache gives it again."""
    folder = tmp_path / "london"
    folder.mkdir()
    shutil.copy(demo_photo, folder / "a.png")
    (folder / "london.csv").write_text("file,split,expression\na.png,train,neutral\nb.png,test,neutral\n")
    out = tmp_path / "growth.safetensors"
    words = (tmp_path, "--sets", "london", "--cache", tmp_path / "cache", "-o", out)
    tool("learn_hair_growth", *words)
    growth, bundled = (load_tensors(x)[0]["growth"] for x in (out, "hair_growth"))
    assert growth.shape == bundled.shape and growth.dtype == bundled.dtype
    assert (growth[:, 1:].int() - growth[:, 1:].flip(1).int()).abs().max() <= 3
    assert (growth.float() - bundled.float()).abs().mean() < 40  # most of it is the meshes', of 255
    assert json.loads(out.with_suffix(".json").read_text())["people"]["observed"] == 1
    out.unlink()
    tool("learn_hair_growth", *words)
    again = load_tensors(out)[0]["growth"]  # the cache holds half floats
    assert (again.int() - growth.int()).abs().max() <= 1


def test_learn_identities(tool: Tool, portraits: Path, tmp_path: Path) -> None:
    out = tmp_path / "identity.safetensors"
    words = (portraits, "--people", 3, "--known", 3, "--cache", tmp_path / "fits.npz", "-o", out)
    tool("learn_identities", *words)
    first = load_tensors(out)[0]
    assert first["mean"].shape == (41,) and (torch.linalg.eigvalsh(first["covariance"]) > 0).all()
    tool("learn_identities", *words)  # from the cache
    assert torch.equal(first["mean"], load_tensors(out)[0]["mean"])
    assert "made before" in json.loads(out.with_suffix(".json").read_text())["fits"]


def test_learn_landmarks(tool: Tool, portraits: Path, tmp_path: Path) -> None:
    out = tmp_path / "landmarks.json"
    words = (portraits, "--people", 3, "--rounds", 1, "--out", out)
    with pytest.raises(SystemExit, match="no face is turned"):
        tool("learn_landmarks", *words, "--turned", 80)
    tool("learn_landmarks", *words, "--turned", 0)
    table = json.loads(out.read_text())
    assert np.shape(table["points478"]) == np.shape(table["drift478"]) == (478, 3)
    assert np.isfinite(table["points478"]).all() and np.abs(table["drift478"]).max() > 0


def test_pack_pictures(tool: Tool, portraits: Path, tmp_path: Path) -> None:
    tool("pack_pictures", portraits, tmp_path / "pack.safetensors", "--synth", 0)
    tensors, metadata, _ = load_tensors(tmp_path / "pack.safetensors")
    assert json.loads(metadata["what"]) == {"sharp": 1, "native": COUNT - 1, "synth": 0}
    assert tensors["sharp/p0000"].dtype == torch.uint8


def test_pack_portraits(tool: Tool, portraits: Path, tmp_path: Path) -> None:
    tool("pack_portraits", "--data", portraits, "--out", tmp_path)
    stored = np.load(tmp_path / "00000.npz")
    assert stored["rgb"].shape == (COUNT, 256, 256, 3) and len(set(stored["person"])) == COUNT
    assert sorted(stored["name"])[0] == "g0001"


def test_pack_people(tool: Tool, portraits: Path, tmp_path: Path) -> None:
    tool("pack_people", "--data", portraits, "--out", tmp_path)
    stored = np.load(tmp_path / "00000.npz")
    assert (
        len(set(stored["person"])) == len(stored["rgb"]) == COUNT - 1
    )  # the large one has no right to train
    np.testing.assert_allclose(stored["box"].mean(1), 160)


def test_convert_face_mesh(tool: Tool, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    task = ROOT.parent / "shared" / "data" / "mediapipe" / "face_landmarker.task"
    if not task.is_file():
        pytest.skip("../shared/data/mediapipe is not here")
    out = tmp_path / "face_mesh.safetensors"
    assert "features differ" in tool("convert_face_mesh", task, "--out", out)
    assert load_tensors(out)[0]["stages.6.4.expand.weight"].shape == (128, 64, 1, 1)


def test_synth_realism(tool: Tool, portraits: Path) -> None:
    said = tool("synth_realism", "--data", portraits, "--count", 4)
    cells = [x.strip() for x in said.strip().strip("|").split("|")]
    assert cells[0] == "4 real, 4 synthetic" and all(np.isfinite(float(x)) for x in cells[1:])


def test_synth_sheet(tool: Tool, tmp_path: Path) -> None:
    tool("synth_sheet", "-o", tmp_path, "--size", 32, "--people", 4, "--only", "synth", "synth_truths")
    assert pixels(tmp_path / "synth.jpg").shape == (32, 4 * 32, 3)
    assert pixels(tmp_path / "synth_truths.jpg").shape == (4 * 32, 9 * 32, 3)


def pixels(path: Path) -> np.ndarray:
    """RGB of a PNG, however small."""
    return np.array(Image.open(path).convert("RGB"))


def rows(path: Path) -> list[dict[str, str]]:
    """Lines of a table."""
    with path.open() as f:
        return list(csv.DictReader(f))


def test_loaders_are_fuzzed(tool: Tool, tmp_path: Path) -> None:
    said = tool("fuzz_loaders", "--inputs", 5, "--seed", 1, "--only", "tables", "pickle", "--keep", tmp_path)
    assert re.search(r"tables +0 findings", said) and "10 inputs, 0 findings" in said
