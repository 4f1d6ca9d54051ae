"""INSTA's folders: the overlay of meshes on images settles the convention of the cameras."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.image import save_png
from headcast.methods.ohpavatars.field.insta_folder import read_insta_folder
from headcast.render.mesh import rasterize_mesh

SIDE = 96


def lopsided() -> tuple[torch.Tensor, torch.Tensor]:
    """A tetrahedron without any symmetry."""
    vertices = torch.tensor(
        [[-0.1, -0.12, 0.0], [0.12, -0.08, 0.02], [-0.02, 0.16, -0.03], [0.01, 0.0, 0.12]]
    )
    faces = torch.tensor([[0, 1, 3], [1, 2, 3], [2, 0, 3], [0, 2, 1]])
    return vertices, faces


def write_folder(folder: Path, convention: str, with_alpha: bool = True) -> list[Camera]:
    """Write three frames of a folder; its matrices in the axes of a convention."""
    vertices, faces = lopsided()
    (folder / "images").mkdir(parents=True)
    (folder / "meshes").mkdir()
    cameras, frames = [], []
    for k in range(3):
        camera = Camera.orbit(torch.tensor([0.05, 0.03, 0.0]), 1.0, 25.0 * k - 20, 8.0, 220.0, SIDE, SIDE)
        matte = (rasterize_mesh(vertices, faces, camera).triangle >= 0).numpy()
        image = np.dstack([np.full((SIDE, SIDE, 3), 90, np.uint8), matte.astype(np.uint8) * 255])
        save_png(folder / "images" / f"{k}.png", image if with_alpha else image[..., :3])
        lines = [f"v {x} {y} {z}" for x, y, z in vertices.tolist()]
        lines += [f"f {a + 1}/1 {b + 1}/1 {c + 1}/1" for a, b, c in faces.tolist()]
        (folder / "meshes" / f"{k}.obj").write_text("\n".join(lines))
        matrix = np.linalg.inv(camera.cam_from_world.double().numpy())
        if convention == "opengl":
            matrix[:3, 1:3] *= -1
        frames.append(
            {
                "transform_matrix": matrix.tolist(),
                "file_path": f"./images/{k}.png",
                "mesh_path": f"meshes/{k}.obj",
            }
        )
        cameras.append(camera)
    K = cameras[0].K
    top = {"w": SIDE, "h": SIDE, "cx": float(K[0, 2]), "cy": float(K[1, 2])}
    top |= {"fl_x": float(K[0, 0]), "fl_y": float(K[1, 1])}
    (folder / "transforms.json").write_text(json.dumps({**top, "frames": frames}))
    return cameras


@pytest.mark.parametrize("convention", ["opencv", "opengl"])
def test_the_overlay_settles_the_convention(tmp_path: Path, convention: str) -> None:
    cameras = write_folder(tmp_path / "clip", convention)
    found = read_insta_folder(tmp_path / "clip")
    assert found.convention == convention and len(found.frames) == 3 and found.faces.shape == (4, 3)
    for frame, camera in zip(found.frames, cameras, strict=True):
        torch.testing.assert_close(frame.camera.cam_from_world, camera.cam_from_world, atol=1e-5, rtol=1e-4)
    assert len(read_insta_folder(tmp_path / "clip", limit=2).frames) == 2


def test_damaged_folders_are_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match=r"transforms\.json"):
        read_insta_folder(tmp_path)
    write_folder(tmp_path / "opaque", "opencv", with_alpha=False)
    with pytest.raises(HeadcastError, match="no transparency"):
        read_insta_folder(tmp_path / "opaque")
    folder = tmp_path / "other"
    write_folder(folder, "opencv")
    path = folder / "transforms.json"
    whole = json.loads(path.read_text())
    away = json.loads(path.read_text())
    for frame in away["frames"]:
        frame["transform_matrix"][0][3] += 3.0  # cameras that look past the head
    path.write_text(json.dumps(away))
    with pytest.raises(HeadcastError, match="any convention"):
        read_insta_folder(folder)
    for key, value, reason in (
        ("mesh_path", "../../secret.obj", "outside"),
        ("transform_matrix", [[1.0, 2.0]], "4x4"),
        ("transform_matrix", [[math.inf] * 4] * 4, "4x4|JSON|Infinity"),
    ):
        broken = json.loads(json.dumps(whole))
        broken["frames"][0][key] = value
        path.write_text(json.dumps(broken))
        with pytest.raises(HeadcastError, match=reason):
            read_insta_folder(folder)
    (folder / "meshes" / "0.obj").write_text("v 0 0 nan\nf 1 1 1")
    path.write_text(json.dumps(whole))
    with pytest.raises(HeadcastError, match="OBJ"):
        read_insta_folder(folder)
