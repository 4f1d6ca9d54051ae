"""Protocols end to end on a short clip of the demo photo; mistakes; what is skipped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from headcast import api
from headcast.errors import HeadcastError
from headcast.evaluate.data import clips_in, groups_of
from headcast.evaluate.networks import load_evaluation_networks
from headcast.evaluate.prior import PRIORS
from headcast.evaluate.protocols import evaluate, options_of, protocols
from headcast.evaluate.self_reenactment import Options
from headcast.evaluate.setting import Setting
from headcast.evaluate.subjects import REAL, STILL
from headcast.evaluate.texture import map_rows, mean_skin
from headcast.head.maps import SkinMaps
from headcast.image import load_image
from headcast.video import write_video

MADE: list[str] = []
KNOWN: dict[bytes, object] = {}


create = api.create


def make(photos: Sequence[Path], *, progress: api.Progress, **rest: object) -> object:
    """Stands for ``api.create``: the mesh alone, coarse, made once of each image; counts the calls."""
    MADE.append(photos[0].name)
    content = photos[0].read_bytes()
    if content not in KNOWN:
        KNOWN[content] = create(
            list(photos), options={"representation": "mesh", "texture_size": 256}, progress=progress
        )
    return KNOWN[content]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven frames in which the demo photo drifts; a second clip; something that is no video."""
    from headcast.demo import demo_photo

    folder = tmp_path_factory.mktemp("clips")
    rgb = load_image(demo_photo()).rgb
    small = cv2.resize(rgb, (round(rgb.shape[1] * 360 / rgb.shape[0]), 360), interpolation=cv2.INTER_AREA)
    w = small.shape[1] // 2 * 2 - 20
    frames = [np.ascontiguousarray(small[:340, t : t + w]) for t in range(7)]
    write_video(folder / "a.mp4", iter(frames), 25.0)
    shutil.copy(folder / "a.mp4", folder / "b.mp4")
    (folder / "c.mp4").write_text("not a video")
    (folder / "groups.csv").write_text("id,hair\na,short\nz,long\n")
    return folder


def setting(clips: Path, out: Path, **more: object) -> Setting:
    pytest.importorskip("dlib", reason="dlib comes with the extra metrics")
    torch.manual_seed(0)
    device = torch.device("cpu")
    return Setting(
        subjects=("fit",),
        data=clips,
        out=out,
        networks=load_evaluation_networks(device),
        device=device,
        frames=7,
        measured=2,
        **more,
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def results(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    patch = pytest.MonkeyPatch()
    patch.setattr(api, "create", make)
    out = tmp_path_factory.mktemp("out")
    try:
        evaluate("self-reenactment", setting(clips, out, only=("a", "c")))
        MADE.clear()
        report, (data, _, sheet) = evaluate("self-reenactment", setting(clips, out, only=("a", "c")))
    finally:
        patch.undo()
    assert sheet is not None and report.rows
    return out, json.loads(data.read_text())


def test_everybody_is_measured(results: tuple[Path, dict]) -> None:
    found = results[1]["results"]
    assert list(found) == [REAL, STILL, "fit"]
    fit, still = found["fit"]["figures"], found[STILL]["figures"]
    for key in (
        "face_psnr",
        "foreground_psnr",
        "face_msssim",
        "identity",
        "akd",
        "akd_px",
        "aed",
        "apd",
        "warping",
    ):
        assert fit[key]["count"] == 2 and np.isfinite(fit[key]["mean"]), key
    assert fit["face_psnr"]["mean"] > 22 and fit["identity"]["mean"] < 0.45 and fit["lost"]["mean"] == 0
    assert (
        still["flicker"]["mean"] == 0 == still["warping"]["mean"]
        and found[REAL]["figures"]["flicker"]["mean"] > 0
    )
    assert still["apd"]["mean"] < 3 and still["sharpness"]["mean"] == pytest.approx(1, abs=0.1)


def test_the_unreadable_is_listed_and_nothing_is_measured_twice(results: tuple[Path, dict]) -> None:
    out, data = results
    assert list(data["skipped"]) == ["c"] and "not a video" in data["skipped"]["c"]
    assert not MADE  # the second run found all rows
    assert {p.parent.name for p in (out / "rows").glob("*/a.json")} == {
        "real_clip",
        "input_held_still",
        "fit",
    }
    assert data["settings"]["missing"] and data["settings"]["networks"]["identity"].startswith("dlib")
    assert data["results"]["fit"]["groups"] == {"hair: short": {"items": 1, "figures": "too few"}}


def test_whole_clips_as_animate_writes_them(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: tuple[Path, dict]
) -> None:
    monkeypatch.setattr(api, "create", make)
    options = Options(fixed_step=True, encoded=True)
    report, _ = evaluate("self-reenactment", setting(clips, tmp_path, only=("a",), options=options))
    rows = report.rows["fit"]["a"]
    assert (
        len(rows) == 1 and "iou" not in rows[0]
    )  # every third of seven, with a neighbour behind: the fourth
    assert rows[0]["gain"] == pytest.approx(
        rows[0]["face_psnr"] - report.rows[STILL]["a"][0]["face_psnr"], abs=1
    )
    plain = results[1]["results"]["fit"]["figures"]
    assert plain["gain"]["count"] == 2 and abs(rows[0]["face_psnr"] - plain["face_psnr"]["mean"]) < 1
    assert (tmp_path / "videos" / "fit" / "a.mp4").is_file()


def test_cross_reenactment(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "create", make)
    report, _ = evaluate("cross-reenactment", setting(clips, tmp_path, pairs=(("a", "b"),)))
    fit = report.cells("fit")
    assert (
        fit["identity"].mean < 0.45 and fit["aed"].mean < 0.1 and fit["apd"].mean < 4
    )  # the same person here
    assert report.cells(STILL)["identity"].mean < 0.1 and list(report.rows["fit"]) == ["a driven by b"]
    with pytest.raises(HeadcastError, match="no clip 'x'"):
        evaluate("cross-reenactment", setting(clips, tmp_path, pairs=(("a", "x"),)))


def test_what_a_folder_holds(clips: Path, tmp_path: Path) -> None:
    assert list(clips_in(clips)) == ["a", "b", "c"] and list(clips_in(clips / "a.mp4")) == ["a"]
    assert groups_of(clips, ["a", "b"]) == {"hair: short": ["a"]} and groups_of(tmp_path, ["a"]) == {}
    with pytest.raises(HeadcastError, match="no videos there"):
        clips_in(tmp_path)


def test_mistakes(clips: Path, tmp_path: Path) -> None:
    s = setting(clips, tmp_path / "out")
    for subjects, protocol, words in (
        (("nobody",), "self-reenactment", "neither an .avatar file nor a method"),
        (("fit:voxels",), "self-reenactment", "fit:gaussians or fit:mesh"),
        (("gone.avatar",), "self-reenactment", "no such file"),
        (("restorer", "parser"), "prior", "give one of"),
        (("fit",), "texture", "no folders with"),
        (("fit",), "novel-view", "neither folders"),
    ):
        with pytest.raises(HeadcastError, match=words):
            evaluate(protocol, replace(s, subjects=subjects))
    with pytest.raises(HeadcastError, match="nothing could be measured"):
        evaluate("self-reenactment", replace(s, only=("c",)))
    with pytest.raises(HeadcastError, match="no such folder"):
        evaluate("texture", replace(s, data=tmp_path / "gone"))


def test_every_protocol_is_there_and_in_the_command() -> None:
    from dataclasses import fields
    from importlib import import_module

    from headcast.cli.commands import Evaluate

    assert all(callable(import_module(place).measure) for place in protocols().values())
    common = {f.name for f in fields(Evaluate)}
    for name in protocols():
        own = options_of(name)
        assert own is None or (own() == own() and not common & {f.name for f in fields(own)})
    assert options_of("guess") is None


def test_priors_that_are_there_measure() -> None:
    from importlib import import_module
    from importlib.util import find_spec

    for place in PRIORS.values():
        if find_spec(place):
            assert callable(import_module(place).measure)


def test_a_protocol_that_has_figures_of_sets_alone_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from headcast.evaluate import protocols
    from headcast.evaluate.catalogue import set_figures
    from headcast.evaluate.networks import EvaluationNetworks
    from headcast.evaluate.report import Report

    (figure, *_) = set_figures(EvaluationNetworks(inception=(None, "Inception")), "the real pictures")
    report = Report(protocol="prior", figures={figure.key: figure}, sets={"ours": {figure.key: (1.5, 20)}})
    stand_in = SimpleNamespace(measure=lambda s: report)
    monkeypatch.setattr(protocols, "import_module", lambda name: stand_in)
    cpu = torch.device("cpu")
    (tmp_path / "o").mkdir()
    _, (data, table, sheet) = evaluate(
        "prior",
        Setting(
            subjects=("x",), data=tmp_path, out=tmp_path / "o", networks=EvaluationNetworks(), device=cpu
        ),
    )
    assert json.loads(data.read_text())["results"]["ours"]["figures"][figure.key] == {
        "value": 1.5,
        "count": 20,
    }
    assert "| FID ↓ | 1.5, n 20 |" in table.read_text() and sheet is None
    report.sets.clear()
    with pytest.raises(HeadcastError, match="nothing could be measured"):
        evaluate(
            "prior",
            Setting(
                subjects=("x",), data=tmp_path, out=tmp_path / "o", networks=EvaluationNetworks(), device=cpu
            ),
        )


def test_an_avatars_own_skin_maps_are_measured() -> None:
    """The texture protocol sees micronormals and specular of what ``create --texture`` makes."""
    from tests.avatar.export.heads import synthetic_avatar

    from headcast.evaluate.texture import maps_of

    plain = synthetic_avatar()
    assert maps_of(plain, "me").micronormal is None
    side = plain.texture.shape[0]
    rng = np.random.default_rng(0)
    normals = rng.integers(100, 156, (side, side, 3), np.uint8)
    dressed = replace(plain, skin_maps=SkinMaps.from_bytes(normals, normals[..., 0]))
    maps = maps_of(dressed, "me")
    assert maps.albedo is not None and maps.albedo.shape == (side, side, 3)
    row, _ = map_rows(maps, replace(maps, specular=maps.specular * 0.5))
    assert row["normal_angle"] < 0.1 and 0.2 < row["specular_mae"] < 0.4 and row["albedo_psnr"] > 90
    assert "normal_angle" not in map_rows(maps_of(plain, "me"), maps)[0]


def test_skin_maps() -> None:
    skin = mean_skin()
    same, shown = map_rows(skin, skin)
    assert same["albedo_psnr"] > 100 and same["ita_bias"] == 0 and shown.shape[2] == 3
    darker, _ = map_rows(SkinMaps((skin.albedo * [0.5, 0.45, 0.4]).astype(np.float32)), skin)
    assert darker["albedo_psnr"] < 20 < 45 < darker["albedo_psnr_gained"] and darker["ita_bias"] < -10
    flat = np.zeros_like(skin.albedo)
    flat[..., 2] = 1
    tilted = flat + np.float32([1, 0, 0])
    row, _ = map_rows(
        SkinMaps(albedo=skin.albedo, micronormal=tilted, specular=skin.albedo[..., 0]),
        SkinMaps(albedo=skin.albedo, micronormal=flat, specular=skin.albedo[..., 0]),
    )
    assert (
        row["normal_angle"] == pytest.approx(45, abs=0.1)
        and row["specular_mae"] == 0
        and "roughness_mae" not in row
    )
