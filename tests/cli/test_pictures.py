"""The main job from end to end on the demo photo: pictures and clips are what was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.command import Run


def rgba(path: Path) -> np.ndarray:
    """A PNG as it is stored."""
    from PIL import Image

    return np.array(Image.open(path))


def brightness(picture: np.ndarray, mask: np.ndarray) -> float:
    return float(picture[..., :3][mask].mean())


@pytest.fixture(scope="module")
def source_view(avatar_file: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    from headcast.cli.main import main

    out = tmp_path_factory.mktemp("render") / "source.png"
    assert main(["render", str(avatar_file), "--view", "source", "-o", str(out)]) == 0
    return rgba(out)


def test_source_view_has_the_photos_size_and_looks_like_it(source_view: np.ndarray, demo_photo: Path) -> None:
    from headcast.image import load_image
    from headcast.observe.landmarks import FaceDetector

    photo = load_image(demo_photo).rgb
    assert source_view.shape == (*photo.shape[:2], 4)
    alpha = source_view[..., 3]
    assert alpha.min() == 0 and alpha.max() == 255
    with FaceDetector() as detector:
        points = detector.detect(photo)[0].points
    y, x = points[:, 1].astype(int), points[:, 0].astype(int)
    assert (alpha[y, x] > 229).mean() > 0.97, "the face has no holes"
    error = np.abs(source_view[y, x, :3].astype(float) - photo[y, x]).mean()
    assert error < 22, error


def test_render_turns_and_moves(run: Run, avatar_file: Path, tmp_path: Path) -> None:
    pictures = {}
    cases = {
        "rest": (),
        "left": ("--yaw", "30"),
        "right": ("--yaw", "-30"),
        "jaw": ("--expression", "jawOpen=.8"),
        "white": ("--background", "white", "--size", "320x400"),
    }
    for name, flags in cases.items():
        code, out, err = run("render", avatar_file, *flags, "-o", tmp_path / f"{name}.png")
        assert code == 0 and out.strip() == str(tmp_path / f"{name}.png"), err
        pictures[name] = rgba(tmp_path / f"{name}.png")
    assert pictures["rest"].shape == (512, 512, 4) and pictures["white"].shape == (400, 320, 3)
    solid = (pictures["rest"][..., 3] > 128).mean()
    assert 0.15 < solid < 0.9
    for name in ("left", "right", "jaw"):
        assert np.abs(pictures[name].astype(int) - pictures["rest"]).mean() > 0.5, name
    from PIL import Image

    with Image.open(tmp_path / "rest.png") as im:
        assert "synthetic" in im.text["Comment"] and im.text["Consent"] == "public"  # type: ignore[attr-defined]
    record = json.loads((tmp_path / "rest.png.run.json").read_text())
    assert record["versions"]["torch"] and record["weights"] and record["synthetic_media"]


def test_info(run: Run, avatar_file: Path) -> None:
    code, out, _ = run("info", avatar_file, "--json")
    facts = json.loads(out)
    assert code == 0 and "public" in json.dumps(facts)
    assert "allowed" in facts["commercial_use"]
    words = run("info", avatar_file)[1]
    for word in ("method", "weights.skin", "Apache-2.0", "commercial_use", "synthetic", "consent", "public"):
        assert word in words, word


def test_animate_preset(run: Run, avatar_file: Path, tmp_path: Path) -> None:
    import av

    from headcast.video import read_video

    out = tmp_path / "talk.mp4"
    code, _, err = run("animate", avatar_file, "--preset", "speech", "--frames", 12, "--size", 256, "-o", out)
    assert code == 0, err
    with av.open(str(out)) as container:
        assert "synthetic" in container.metadata["comment"]
    clip = read_video(out)
    assert len(clip.frames) == 12 and clip.frames[0].shape == (256, 256, 3) and clip.fps == pytest.approx(30)
    corner = np.asarray(clip.frames[0])[:8, :8].astype(int)
    assert np.abs(corner - 128).max() <= 3, "plain grey"


def test_animate_driver_has_its_size_count_and_sound(run: Run, avatar_file: Path, tmp_path: Path) -> None:
    from headcast.video import read_video, write_video

    first = tmp_path / "driver.mp4"
    code, _, err = run(
        "animate", avatar_file, "--preset", "expressions", "--frames", 9, "--size", 320, "-o", first
    )
    assert code == 0, err
    driver = tmp_path / "odd.mp4"
    write_video(driver, [np.asarray(f)[:300] for f in read_video(first).frames], 25.0)
    out = tmp_path / "out.mp4"
    code, _, err = run("animate", avatar_file, "--drive", driver, "--camera", "driver", "-o", out)
    assert code == 0, err
    clip = read_video(out)
    assert len(clip.frames) == 9 and clip.frames[0].shape == (300, 320, 3) and clip.fps == pytest.approx(25)
    out = tmp_path / "beside.mp4"
    code, _, err = run("animate", avatar_file, "--drive", driver, "--frames", 4, "--side-by-side", "-o", out)
    assert code == 0, err
    assert len(read_video(out).frames) == 4 and read_video(out).frames[0].shape[1] > 800


def test_animate_csv(run: Run, avatar_file: Path, tmp_path: Path) -> None:
    from headcast.motion.livelink import write_livelink
    from headcast.motion.presets import preset
    from headcast.video import read_video

    write_livelink(preset("speech").first(6), tmp_path / "take.csv")
    out = tmp_path / "out.mp4"
    code, _, err = run("animate", avatar_file, "--drive", tmp_path / "take.csv", "--size", 128, "-o", out)
    assert code == 0 and len(read_video(out).frames) == 6, err


def test_observe_writes_a_report(run: Run, demo_photo: Path, tmp_path: Path) -> None:
    code, _, err = run("observe", demo_photo, "--debug", "-o", tmp_path / "report")
    assert code == 0, err
    names = {p.name for p in (tmp_path / "report").iterdir()}
    assert "run.json" in names and any(n.endswith(".png") for n in names)


def test_runtime_steps(avatar_file: Path) -> None:
    from headcast.api import Runtime, load

    live = Runtime(load(avatar_file), size=(128, 96))
    rest, opened = live.step({}), live.step({"jawOpen": 0.9})
    assert rest.shape == (96, 128, 4) and rest.dtype == np.uint8
    assert np.abs(rest.astype(int) - opened).max() > 20
    assert np.array_equal(rest, live.step({}))
