"""Every command takes a tri-plane avatar, from photo to exports, with random networks that draw a ball."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.command import Run
from tests.methods.portrait4d_ball import RADIUS, write_ball

from headcast import api
from headcast.avatar.gaussian import GaussianAvatar
from headcast.cli.main import main
from headcast.drive import drive_from
from headcast.image import load_image
from headcast.methods.bake import observe_views
from headcast.methods.portrait4d.avatar import TriplaneAvatar
from headcast.video import read_video, write_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the weights."""
    return write_ball(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own weights are the ball's."""
    monkeypatch.setenv("HEADCAST_WEIGHTS", str(folder))


@pytest.fixture(scope="module")
def file(folder: Path, demo_photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An avatar of the demo photo."""
    path = tmp_path_factory.mktemp("avatar") / "me.avatar"
    with pytest.MonkeyPatch.context() as m:
        m.setenv("HEADCAST_WEIGHTS", str(folder))
        asked = ["create", demo_photo, "--method", "portrait4d", "-o", path, "--consent", "public"]
        assert main([str(a) for a in asked]) == 0
    return path


@pytest.fixture(scope="module")
def clip(demo_photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames of the demo photo, its mouth painted over in half of them; the face is gone in two."""
    rgb = load_image(demo_photo).rgb[:400, :400].copy()
    gone = np.full_like(rgb, 128)
    changed = rgb.copy()
    changed[140:170, 200:250] = (90, 20, 20)
    frames = [rgb, rgb, changed, changed, gone, gone, rgb, rgb]
    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    write_video(path, iter(frames), 10.0)
    return path


def test_info_says_what_it_is(file: Path, run: Run) -> None:
    code, out, _ = run("info", file, "--json")
    told = json.loads(out)
    assert code == 0 and told["kind"] == "triplane" and told["method"] == "portrait4d"
    assert told["consent"] == "public" and any("preview" in w for w in told["warnings"])


def test_render_and_preset(file: Path, run: Run, tmp_path: Path) -> None:
    code, _, err = run("render", file, "--yaw", "20", "-o", tmp_path / "a.png", "--size", "128")
    assert code == 0, err
    alpha = load_image(tmp_path / "a.png")
    assert alpha.rgb.shape == (128, 128, 3)
    code, _, err = run("animate", file, "--preset", "speech", "--frames", "3", "-o", tmp_path / "a.mp4")
    assert code == 0, err
    frames = read_video(tmp_path / "a.mp4").frames
    assert len(frames) == 3 and frames[0][256, 256].tolist() != frames[0][4, 4].tolist()


def test_a_driver_is_read_by_the_motion_encoder_and_lost_frames_hold(
    file: Path, clip: Path, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "o.mp4"
    code, said, err = run("animate", file, "--drive", clip, "-o", out, "--size", "128", "--json")
    assert code == 0, err
    assert "the face is lost in 2 of 8 frames" in said + err, (said + err)[-900:]
    assert len(read_video(out).frames) == 8
    avatar = api.load(file)
    drive = drive_from(avatar, clip)
    assert drive.signal is not None and drive.signal.shape[0] == 8
    apart = (drive.signal[3] - drive.signal[0]).abs().max()
    assert torch.equal(drive.signal[4], drive.signal[3]) and torch.equal(drive.signal[5], drive.signal[3])
    assert (drive.signal[1] - drive.signal[0]).abs().max() < 0.5 * apart


def test_faces_lost_at_first_or_always(file: Path, demo_photo: Path, run: Run, tmp_path: Path) -> None:
    rgb = load_image(demo_photo).rgb[:400, :400]
    gone, nobody = rgb.copy(), np.full_like(rgb, 128)
    gone[60:230, 150:300] = (150, 110, 90)  # something stands before the face; not a cut
    write_video(tmp_path / "late.mp4", iter([gone, gone, *[rgb] * 4]), 10.0)
    code, said, err = run(
        "animate", file, "--drive", tmp_path / "late.mp4", "-o", tmp_path / "o.mp4", "--size", "64"
    )
    assert code == 0 and "the face is lost in 2 of 6 frames" in said + err, err
    assert len(read_video(tmp_path / "o.mp4").frames) == 6
    write_video(tmp_path / "never.mp4", iter([nobody] * 4), 10.0)
    code, _, err = run("animate", file, "--drive", tmp_path / "never.mp4", "-o", tmp_path / "n.mp4")
    assert code == 2 and "never.mp4" in err and not (tmp_path / "n.mp4").exists()


def test_mesh_ply_is_the_ball(file: Path, run: Run, tmp_path: Path) -> None:
    code, _, err = run("export", file, "--to", "mesh-ply", "-o", tmp_path / "me.ply")
    assert code == 0, err
    avatar = api.load(file)
    assert isinstance(avatar, TriplaneAvatar)
    points, colours, faces = avatar.isosurface(api.front_view(avatar).params)
    far = np.linalg.norm(points, axis=1)
    assert abs(np.median(far) - RADIUS) < 0.25 * RADIUS and far.std() < 0.15 * RADIUS
    a, b, c = (points[f] for f in faces.T)
    volume = (np.cross(a, b) * c).sum() / 6
    assert volume > 0.7 * 4 / 3 * np.pi * np.median(far) ** 3  # normals look outwards, no holes
    assert colours.min() >= 0 and colours.max() <= 1 and colours.std() > 0.005
    code, _, err = run("export", file, "--to", "mesh-ply", "--shading", "lit", "-o", tmp_path / "lit.ply")
    assert code == 2 and "--shading lit" in err


def test_other_exports_ask_to_bake_and_baked_ones_work(file: Path, run: Run, tmp_path: Path) -> None:
    for to, name in (("glb", "me.glb"), ("splat-ply", "s.ply"), ("html", "me.html")):
        code, _, err = run("export", file, "--to", to, "-o", tmp_path / name)
        assert code == 2 and "headcast bake" in err and not (tmp_path / name).exists(), err
    code, _, err = run("bake", file, "-o", tmp_path / "rigged.avatar")
    assert code == 0, err
    rigged = api.load(tmp_path / "rigged.avatar")
    assert isinstance(rigged, GaussianAvatar) and rigged.info["consent"] == "public"
    assert rigged.info["method"] == "portrait4d, baked"
    for to, name in (("glb", "me.glb"), ("splat-ply", "s.ply"), ("html", "me.html")):
        code, _, err = run("export", tmp_path / "rigged.avatar", "--to", to, "-o", tmp_path / name)
        assert code == 0 and (tmp_path / name).stat().st_size > 100_000, err
    assert (tmp_path / "me.glb").read_bytes()[:4] == b"glTF"
    assert b"jawOpen" in (tmp_path / "me.glb").read_bytes()  # expressions are morph targets
    assert (tmp_path / "s.ply").read_bytes().startswith(b"ply")
    assert "DecompressionStream" in (tmp_path / "me.html").read_text()  # the packed viewer
    code, _, err = run("bake", tmp_path / "rigged.avatar", "-o", tmp_path / "twice.avatar")
    assert code == 2 and "has a mesh already" in err


def test_baked_views_have_the_triplanes_colours(file: Path) -> None:
    avatar = api.load(file)
    assert isinstance(avatar, TriplaneAvatar)
    _, seen, _ = observe_views(avatar)
    assert seen.camera.center[0] > 0.2  # the second view is from the subject's left
    assert seen.masks is not None and seen.masks.person.max() > 0.9
    assert np.allclose(
        seen.camera.project(avatar.head.landmarks(avatar.head(seen.params), 478)).numpy(),
        seen.detection.points,
        atol=1e-3,
    )


@pytest.mark.parametrize(
    "flags", [("--representation", "mesh"), ("--texture", "4k"), ("--texture-size", "512")]
)
def test_options_of_fit_are_refused(
    flags: tuple[str, ...], demo_photo: Path, run: Run, tmp_path: Path
) -> None:
    code, _, err = run("create", demo_photo, "--method", "portrait4d", *flags, "-o", tmp_path / "a.avatar")
    assert code == 2 and "--method portrait4d" in err and not (tmp_path / "a.avatar").exists()


def test_without_weights_one_line_says_how_to_get_them(
    demo_photo: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headcast.methods.portrait4d import weights

    monkeypatch.setattr(weights, "weights_file", lambda: tmp_path / "none.safetensors")
    code, _, err = run("create", demo_photo, "--method", "portrait4d", "-o", tmp_path / "a.avatar")
    assert code == 2 and len(err.strip().splitlines()) == 1 and "headcast train portrait4d.static" in err
    assert not (tmp_path / "a.avatar").exists()


def test_bad_photos_and_other_weights(
    file: Path, demo_photo: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.jpg").write_text("no picture")
    code, _, err = run("create", tmp_path / "bad.jpg", "--method", "portrait4d", "-o", tmp_path / "a.avatar")
    assert code == 2 and "bad.jpg" in err
    monkeypatch.setenv("HEADCAST_WEIGHTS", str(write_ball(tmp_path / "other", seed=4)))
    code, _, err = run("render", file, "-o", tmp_path / "a.png")
    assert code == 2 and "other weights of portrait4d" in err
