"""True cameras in an avatar's world; folders of scenes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.fake_avatar import FakeAvatar

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.evaluate.align import camera_for, fit_similarity_3d, triangulate
from headcast.evaluate.novel_view import aligned_camera, angle_between
from headcast.evaluate.scenes import read_scene, scene_folders
from headcast.image import save_png
from headcast.rotation import axis_angle_to_matrix
from headcast.view import source_view


class Dots(FakeAvatar):
    """With every verb of an avatar."""

    def save(self, path: str | Path) -> None:
        raise NotImplementedError

    @classmethod
    def from_package(cls, package: object, path: Path) -> Dots:
        raise NotImplementedError


def other_world(x: np.ndarray) -> np.ndarray:
    R = axis_angle_to_matrix(torch.tensor([0.2, -0.9, 0.3], dtype=torch.float64)).numpy()
    return 1.7 * x @ R.T + [0.3, -0.2, 0.5]


def test_a_similarity_is_found() -> None:
    x = np.random.default_rng(0).normal(0, 1, (20, 3))
    s, R, t = fit_similarity_3d(x, other_world(x))
    assert s == pytest.approx(1.7) and np.linalg.det(R) == pytest.approx(1)
    assert np.abs(s * x @ R.T + t - other_world(x)).max() < 1e-9


def test_true_cameras_show_the_avatar_where_the_truth_is() -> None:
    avatar = Dots()
    view = source_view(avatar)
    own = avatar.head.landmarks(avatar.head(view.params), 68)
    true = other_world(own.double().numpy())
    camera = Camera.orbit(
        torch.from_numpy(true.mean(0)), 3.0, yaw=40, pitch=10, focal=700, width=300, height=260
    )
    seen = aligned_camera(avatar, true, camera)
    assert torch.allclose(seen.project(own), camera.project(torch.from_numpy(true).float()), atol=0.02)
    R = seen.cam_from_world[:3, :3]
    assert torch.allclose(R @ R.T, torch.eye(3), atol=1e-5)
    assert (seen.width, seen.height) == (300, 260)


def test_points_are_triangulated() -> None:
    x = np.random.default_rng(1).normal(0, 0.08, (30, 3))
    at = torch.zeros(3)
    cameras = [Camera.orbit(at, 1.2, yaw=y, focal=800) for y in (-25.0, 5.0, 30.0)]
    pixels = [c.project(torch.from_numpy(x).float()).double().numpy() for c in cameras]
    assert np.abs(triangulate(cameras, pixels) - x).max() < 1e-4
    assert angle_between(cameras[0], cameras[2], np.zeros(3)) == pytest.approx(55, abs=0.01)
    assert np.allclose(
        camera_for(cameras[0], (1.0, np.eye(3), np.zeros(3))).cam_from_world, cameras[0].cam_from_world
    )


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A folder as GaussianAvatars stores it: two cameras at each of two times."""
    tmp_path = tmp_path / "data" / "person"
    tmp_path.mkdir(parents=True)
    rng = np.random.default_rng(0)
    frames = []
    for t in (0, 1):
        for c, yaw in enumerate((-20.0, 20.0)):
            cv = Camera.orbit(torch.zeros(3), 1.0, yaw=yaw).cam_from_world.double()
            gl = torch.linalg.inv(cv) @ torch.diag(torch.tensor([1.0, -1, -1, 1], dtype=torch.float64))
            save_png(tmp_path / f"{t}_{c}.png", rng.integers(0, 255, (80, 100, 3), dtype=np.uint8))
            mask = np.zeros((80, 100), np.uint8)
            mask[:, :50] = 255
            save_png(tmp_path / f"{t}_{c}_mask.png", mask)
            frames.append(
                {
                    "timestep_index": t,
                    "camera_index": c,
                    "file_path": f"{t}_{c}.png",
                    "fg_mask_path": f"{t}_{c}_mask.png",
                    "transform_matrix": gl.tolist(),
                    "w": 200,
                    "h": 160,
                    "fl_x": 400,
                    "fl_y": 400,
                    "cx": 100,
                    "cy": 80,
                }
            )
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": frames}))
    return tmp_path


def test_a_gaussian_avatars_folder(capture: Path) -> None:
    assert scene_folders(capture) == [capture] and scene_folders(capture.parent) == [capture]
    scene = read_scene(capture)
    assert [s.name for s in scene.shots] == ["camera 0", "camera 1"] and scene.points is None
    shot = scene.shots[1]
    expected = Camera.orbit(
        torch.zeros(3), 1.0, yaw=20, focal=200, width=100, height=80
    )  # stored at twice the size
    x = torch.tensor([[0.02, 0.03, 0.05], [-0.04, 0.0, 0.02]])
    assert torch.allclose(shot.camera.project(x), expected.project(x), atol=1e-3)
    assert shot.regions["foreground"][:, :50].all() and not shot.regions["foreground"][:, 50:].any()


def test_damaged_and_missing_folders(capture: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(HeadcastError, match="neither folders"):
        scene_folders(tmp_path / "empty")
    text = (capture / "transforms.json").read_text()
    (capture / "transforms.json").write_text(text.replace("transform_matrix", "matrix"))
    with pytest.raises(HeadcastError, match=r"damaged.*transform_matrix"):
        read_scene(capture)
    (capture / "transforms.json").write_text(text)
    (capture / "0_1.png").write_text("no picture")
    with pytest.raises(HeadcastError, match=r"0_1.png"):
        read_scene(capture)
