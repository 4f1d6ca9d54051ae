"""``headcast texture``: whole, with small random networks, and its mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.cli.main import main
from headcast.image import load_image, save_png
from headcast.methods.uhr_texture.network import CONFIGS, GDE, HFDR, Predictor
from headcast.methods.uhr_texture.weights import NAMES, to_stored
from headcast.synth import SynthConfig, make_batch
from headcast.synth.views import MIDDLE, looking
from headcast.weights import save_tensors


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks of the smallest size, untrained."""
    folder, tiny = tmp_path_factory.mktemp("weights"), CONFIGS["tiny"]
    torch.manual_seed(0)
    for kind, network in (("normal", Predictor(tiny)), ("gde", GDE(tiny)), ("hfdr", HFDR(tiny))):
        save_tensors(folder / f"{NAMES[kind]}.safetensors", to_stored(network, tiny), {})
    return folder


def run(*words: object) -> int:
    """The exit code of a command."""
    try:
        return main([str(w) for w in words]) or 0
    except SystemExit as e:
        return int(e.code or 0)


def test_a_photo_becomes_maps_and_a_head(
    weights: Path, demo_photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "maps"
    code = run("texture", demo_photo, "-o", out, "--weights", weights, "--size", 512, "--format", "webp")
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "fewer than 1024" in said.err  # the demo photo is small: told, and done
    assert {p.name for p in out.glob("*_512.png")} >= {
        "astronaut_basecolor_512.png",
        "astronaut_micronormal_512.png",
        "astronaut_specular_512.png",
    }
    blob = (out / "astronaut.glb").read_bytes()
    gltf = json.loads(blob[20 : 20 + int.from_bytes(blob[12:16], "little")])
    skin = next(m for m in gltf["materials"] if m["name"] == "skin")
    textures = (
        skin["normalTexture"]["index"],
        skin["extensions"]["KHR_materials_specular"]["specularTexture"]["index"],
    )
    for index in textures:
        image = gltf["images"][gltf["textures"][index]["extensions"]["EXT_texture_webp"]["source"]]
        assert image["mimeType"] == "image/webp"
    seen = load_image(out / "astronaut_seen_512.png").rgb
    assert 0.05 < (seen > 128).mean() < 0.9


def profile(file: Path) -> Path:
    """A synthetic head from the side."""
    yaw, level, radius, fov = (torch.tensor([x]) for x in (1.4, 0.0, 0.9, 0.5))
    views = looking(torch.tensor([MIDDLE]), yaw, level, level, radius, fov, 256)
    config = SynthConfig(split="test", size=256, texture=256, people=1, hair=False, glasses=False)
    b = make_batch(config, torch.device("cpu"), 3, np.array([5]), views=views)
    save_png(file, (b.rgb[0].clamp(0, 1) * 255).byte().numpy())
    return file


def test_mistakes_are_one_line(
    weights: Path,
    demo_photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    face = load_image(demo_photo).rgb
    two, none = tmp_path / "two.png", tmp_path / "none.png"
    save_png(two, np.concatenate([face, face], 1))
    save_png(none, np.full((128, 128, 3), 120, np.uint8))
    side = profile(tmp_path / "side.png")
    cases = (
        ((demo_photo, "--weights", tmp_path), "uhr-"),
        ((two, "--weights", weights), "2 faces"),
        ((none, "--weights", weights), "no face"),
        ((side, "--weights", weights), "no face found"),
        ((demo_photo, "--weights", weights, "--size", "huge"), "1k, 2k"),
        ((demo_photo, "--weights", weights, "--uv", "a.obj"), "only with --geometry"),
    )
    for words, expected in cases:
        code = run("texture", *words, "-o", tmp_path / "maps")
        said = [x for x in capsys.readouterr().err.splitlines() if x.startswith("headcast")]
        assert code == 2 and len(said) == 1 and expected in said[0], (words, said)
    assert not (tmp_path / "maps").exists()
