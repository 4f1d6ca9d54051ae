"""Folders as data: functions of the index; what is unreadable is skipped and listed; cameras are right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.image import save_png
from headcast.training.captures import CaptureFolder
from headcast.training.folders import ImageFolder, VideoFolder
from headcast.training.order import item_of
from headcast.video_out import write_video

SIDE = 64


def picture(value: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), value, np.uint8)


def values(folder: ImageFolder, count: int) -> list[int]:
    return [int(folder[i][0, 0, 0]) for i in range(count)]


def test_an_order_is_a_shuffle_of_each_round() -> None:
    rounds = [[item_of(i, 7, 3) for i in range(7 * k, 7 * k + 7)] for k in range(3)]
    assert all(sorted(r) == list(range(7)) for r in rounds)
    assert rounds[0] != rounds[1] and rounds[0] != [item_of(i, 7, 4) for i in range(7)]


def test_pictures_come_in_an_order_that_is_a_function_of_the_index(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for k in range(5):
        save_png(tmp_path / ("more" if k % 2 else "") / f"{k}.png", picture(10 * k))
    folder = ImageFolder(tmp_path, seed=1)
    assert sorted(values(folder, 5)) == [0, 10, 20, 30, 40]
    again = ImageFolder(tmp_path, seed=1)
    assert [int(again[i][0, 0, 0]) for i in (9, 3, 0)] == [values(folder, 10)[i] for i in (9, 3, 0)]
    assert values(ImageFolder(tmp_path, seed=2), 10) != values(folder, 10)


def test_unreadable_pictures_are_skipped_and_listed(tmp_path: Path) -> None:
    for k in range(4):
        save_png(tmp_path / f"{k}.png", picture(10 * k))
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    cut = tmp_path / "2.png"  # begins well, so that it is found out only when it is read
    cut.write_bytes(cut.read_bytes()[:60])
    folder = ImageFolder(tmp_path)
    assert {p.name for p in folder.skipped} == {"text.jpg", "empty.png"} and len(folder) == 4
    seen = values(folder, 4)
    assert set(seen) == {0, 10, 30} and {p.name for p in folder.skipped} == {"text.jpg", "empty.png", "2.png"}
    assert values(ImageFolder(tmp_path), 4) == seen
    with pytest.raises(HeadcastError, match="no such folder"):
        ImageFolder(tmp_path / "none")
    for path in tmp_path.glob("?.png"):
        path.unlink()
    with pytest.raises(HeadcastError, match=r"no readable image .*and 1 more"):
        ImageFolder(tmp_path)


def test_windows_of_frame_folders_and_videos(tmp_path: Path) -> None:
    frames = np.stack([picture(20 * k) for k in range(10)])
    for name in ("a", "b/c"):
        (tmp_path / name).mkdir(parents=True)
        for k in range(10):
            save_png(tmp_path / name / f"{k:08d}.png", frames[k])
    (tmp_path / "short").mkdir()
    save_png(tmp_path / "short" / "0.png", frames[0])
    write_video(tmp_path / "clip.mp4", list(frames), 25.0)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    folder = VideoFolder(tmp_path, frames=3, stride=2)
    assert [p.name for p in folder.names] == ["a", "c", "clip.mp4"]
    assert set(folder.clips.values()) == {10}
    assert {p.name for p in folder.skipped} == {"short", "broken.mp4"}
    starts = set()
    for i in range(12):
        window = folder[i].astype(int)[:, SIDE // 2, SIDE // 2, 0]
        assert window.shape == (3,) and np.abs(np.diff(window) - 40).max() <= 4
        starts.add(round(window[0] / 20))
    assert len(starts) > 2  # it begins elsewhere each time
    assert np.array_equal(VideoFolder(tmp_path, frames=3, stride=2)[7], folder[7])


def test_only_names_like_a_pattern(tmp_path: Path) -> None:
    """As folders of ``headcast synth --clip`` need it: many kinds of pictures of a frame lie together."""
    (tmp_path / "train_000000").mkdir()
    for k in range(3):
        for kind, value in (("v00_rgb", k), ("v00_alpha", 255), ("v01_rgb", 100 + k)):
            save_png(tmp_path / "train_000000" / f"f{k:05d}_{kind}.png", picture(value))
    folder = VideoFolder(tmp_path, frames=3, pattern="*_v01_rgb.png")
    assert folder[0][:, 0, 0, 0].tolist() == [100, 101, 102]
    assert len(ImageFolder(tmp_path, pattern="*_rgb.png")) == 6


def capture(root: Path, axes: str, mesh: bool) -> Camera:
    """A made-up capture: a bright blob at the head's place, four cameras around it; gives the last camera."""
    root.mkdir()
    points = 0.08 * torch.nn.functional.normalize(
        torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    )
    points = points + torch.tensor([0.01, 0.03, 0.02])
    (root / "mesh.obj").write_text("".join(f"v {x} {y} {z}\n" for x, y, z in points.tolist()) + "f 1 2 3\n")
    frames = []
    for k, yaw in enumerate((-40.0, -10.0, 15.0, 50.0)):
        camera = Camera.orbit(points.mean(0), 0.8, yaw, 10.0, focal=150.0, width=SIDE, height=SIDE)
        u, v = camera.project(points).floor().long().T
        rgba = np.zeros((SIDE, SIDE, 4), np.uint8)
        for du in range(-2, 3):
            for dv in range(-2, 3):
                rgba[(v + dv).clamp(0, SIDE - 1), (u + du).clamp(0, SIDE - 1)] = 255
        save_png(root / f"{k}.png", rgba)
        pose = np.linalg.inv(camera.cam_from_world.double().numpy())
        if axes == "opengl":
            pose[:3, 1:3] *= -1
        frames.append({"file_path": f"./{k}.png", "transform_matrix": pose.tolist(), "timestep_index": k})
        if mesh:
            frames[-1]["mesh_path"] = "mesh.obj"
    frames.append({"file_path": "missing.png", "transform_matrix": np.eye(4).tolist()})
    top = {
        "fl_x": 150.0,
        "fl_y": 150.0,
        "cx": SIDE / 2,
        "cy": SIDE / 2,
        "w": SIDE,
        "h": SIDE,
        "frames": frames,
    }
    (root / "transforms.json").write_text(json.dumps(top))
    return camera


@pytest.mark.parametrize("axes", ["opengl", "opencv"])
@pytest.mark.parametrize("mesh", [True, False])
def test_the_axes_of_a_capture_are_found(tmp_path: Path, axes: str, mesh: bool) -> None:
    truth = capture(tmp_path / "capture", axes, mesh)
    folder = CaptureFolder(tmp_path / "capture")
    assert folder.axes == axes and len(folder) == 4
    assert [p.name for p in folder.skipped] == ["missing.png"]
    view = next(v for v in (folder[i] for i in range(4)) if v.time == 3)
    assert torch.allclose(view.camera.cam_from_world, truth.cam_from_world, atol=1e-5)
    assert torch.allclose(view.camera.K, truth.K) and view.mask is not None
    assert set(view.files) == ({"mesh"} if mesh else set())
    assert view.time == next(v for v in (folder[i] for i in range(4, 8)) if v.time == 3).time


def test_a_mesh_that_lies_nowhere_on_the_masks_is_refused(tmp_path: Path) -> None:
    capture(tmp_path / "capture", "opengl", True)
    (tmp_path / "capture" / "mesh.obj").write_text("v 0.15 0.03 0\nv 0.14 0.04 0\nv 0.15 0.05 0\n")
    with pytest.raises(HeadcastError, match="under no axes"):
        CaptureFolder(tmp_path / "capture")
    assert CaptureFolder(tmp_path / "capture", axes="opencv").axes == "opencv"


def test_pictures_smaller_than_the_file_says_scale_the_camera(tmp_path: Path) -> None:
    root = tmp_path / "capture"
    capture(root, "opengl", False)
    data = json.loads((root / "transforms.json").read_text())
    data |= {"w": 2 * SIDE, "h": 2 * SIDE, "cx": 70.0, "cy": 60.0, "fl_x": 300.0, "fl_y": 280.0}
    (root / "transforms_train.json").write_text(json.dumps(data))
    K = CaptureFolder(root, "train")[0].camera.K
    assert K.tolist() == [[150.0, 0.0, 35.0], [0.0, 140.0, 30.0], [0.0, 0.0, 1.0]]


def test_damaged_captures_are_one_line(tmp_path: Path) -> None:
    for text, words in (("{", "readable JSON"), ("[]", "list of cameras"), ('{"frames": []}', "no frames")):
        (tmp_path / "transforms.json").write_text(text)
        with pytest.raises(HeadcastError, match=words):
            CaptureFolder(tmp_path)
    with pytest.raises(HeadcastError, match="no such file"):
        CaptureFolder(tmp_path, "val")
    save_png(tmp_path / "0.png", picture(0))
    frame = {"file_path": "0.png", "transform_matrix": [[1, 0]]}
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": [frame]}))
    with pytest.raises(HeadcastError, match="no proper transform_matrix"):
        CaptureFolder(tmp_path)
