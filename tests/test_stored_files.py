"""Files that an earlier version wrote (``tests/stored``): they load, look the same, and training goes on."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from tests.command import Run

from headcast import api
from headcast.image import load_image

STORED = Path(__file__).resolve().parent / "stored"
AVATARS = {
    "mesh": ("mesh", "fit"),
    "gaussians": ("gaussians", "fit"),
    "portrait4d": ("triplane", "portrait4d"),
    "baked": ("gaussians", "portrait4d, baked"),
    "skin_maps": ("mesh", "uhr_texture"),
}
"""Kind and method by file."""
VIEW = {"yaw": 20.0, "expression": {"jawOpen": 0.5, "mouthSmileLeft": 0.6}, "background": "grey"}
EXPORTS = {"mesh": ".glb", "gaussians": ".spz", "portrait4d": ".ply", "baked": ".html", "skin_maps": ".glb"}
APART = 2
"""Levels of 255 that a few pixels may differ by: other processors round otherwise."""
LOSS = 1e-4
"""Share by which losses may differ, for the same reason."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked files."""
    folder = tmp_path_factory.mktemp("stored")
    for name in ("avatars", "checkpoints"):
        with tarfile.open(STORED / f"{name}.tar.xz") as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", None)  # from Python 3.11.4 on
            tar.extractall(folder)
    return folder


@pytest.mark.parametrize("name", AVATARS)
def test_avatar_looks_as_it_did(name: str, stored: Path) -> None:
    avatar = api.load(stored / f"{name}.avatar")
    assert (avatar.info["kind"], avatar.info["method"]) == AVATARS[name]
    found = api.render(avatar, size=(96, 96), **VIEW).astype(int)
    apart = np.abs(found - load_image(STORED / f"{name}.png").rgb.astype(int))
    assert (apart > APART).mean() < 2e-3 and apart.mean() < 0.1, (apart.max(), apart.mean())


@pytest.mark.parametrize("name", AVATARS)
def test_avatar_is_saved_and_exported(name: str, stored: Path, tmp_path: Path) -> None:
    avatar = api.load(stored / f"{name}.avatar")
    avatar.save(tmp_path / "again.avatar")
    again = api.load(tmp_path / "again.avatar")
    assert {k: v for k, v in again.info.items() if k != "created_by"} == {
        k: v for k, v in avatar.info.items() if k != "created_by"
    }
    pictures = [api.render(a, size=(48, 48), **VIEW) for a in (avatar, again)]
    np.testing.assert_array_equal(*pictures)
    (file, *_) = api.export(
        again, tmp_path / f"out{EXPORTS[name]}", "mesh-ply" if name == "portrait4d" else None
    )
    assert file.stat().st_size > 10_000


def test_what_the_files_say(stored: Path, run: Run) -> None:
    facts = json.loads(run("info", stored / "mesh.avatar", "--json")[1])
    assert facts["consent"] == "Nobody." and facts["head"]["name"] == "headcast-head-1" and facts["seed"] == 0
    code, out, _ = run("export", stored / "skin_maps.avatar", "-o", stored / "maps.glb")
    assert code == 0 and b"KHR_materials_specular" in Path(out.strip()).read_bytes()


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("toy", ("--size", 12, "--images", 2, "--width", 4)),
        ("uhr.normal", ("--size", "tiny", "--count", 1, "--pixels", 64, "--texture", 64)),
    ],
)
def test_checkpoint_goes_on(recipe: str, words: tuple[object, ...], stored: Path, run: Run) -> None:
    wanted = json.loads((STORED / "losses.json").read_text())[recipe]
    assert (stored / recipe / "log.jsonl").read_text().count("\n") == 4
    common = ("--log-every", 1, "--picture-every", 0, "--seed", 1, "-o", stored / recipe)
    code, _, err = run("train", recipe, "--steps", 6, *words, *common)
    assert code == 0 and "6 steps" in err, err
    lines = [json.loads(x) for x in (stored / recipe / "log.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines] == [x["step"] for x in wanted] == [1, 2, 3, 4, 5, 6]
    for found, line in zip(lines, wanted, strict=True):
        assert {k: found[k] for k in line} == pytest.approx(line, rel=LOSS, abs=1e-6)
