"""Mesh PLY: coloured vertices that look like the rendering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.avatar.export.heads import picture, psnr, synthetic_avatar, view_of
from tests.avatar.export.read_splats import columns, read_ply

from headcast.avatar.export.base import export_avatar
from headcast.avatar.export.mesh_ply import subdivide_mesh
from headcast.avatar.mesh import MeshAvatar
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.render.mesh import interpolate, rasterize_mesh


@pytest.fixture(scope="module")
def avatar() -> MeshAvatar:
    return synthetic_avatar()


def drawn(path: Path, camera: Camera) -> torch.Tensor:
    """The file's triangles with their corners' colours, (H, W, 4), averaged over 2x2 samples."""
    elements, _ = read_ply(path)
    v, faces = elements["vertex"], torch.from_numpy(elements["face"]["vertex_indices"].astype(np.int64))
    colours = torch.from_numpy(columns(v, "red", "green", "blue", "alpha").astype(np.float32) / 255)
    solid = (colours[:, 3] > 0.5)[faces].all(1)
    fine = camera.resized(camera.width * 2, camera.height * 2)
    points = torch.from_numpy(columns(v, "x", "y", "z"))
    fragments = rasterize_mesh(points, faces[solid], fine)
    rgba = interpolate(fragments, faces[solid], colours) * (fragments.triangle >= 0)[..., None]
    mean = torch.nn.functional.avg_pool2d(rgba.permute(2, 0, 1), 2).permute(1, 2, 0)
    return torch.cat([mean[..., :3] / mean[..., 3:].clamp(min=1e-6), mean[..., 3:]], -1)


def test_the_file_looks_like_the_rendering(avatar: MeshAvatar, tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    export_avatar(avatar, path, "mesh-ply", expression={"mouthSmileLeft": 1.0})
    camera, params = view_of(avatar)
    ours = picture(avatar, camera, params.with_expression({"mouthSmileLeft": 1.0}))
    assert psnr(drawn(path, camera), ours) > 36
    assert read_ply(path)[1][0].startswith("headcast")


def test_normals_point_outwards_and_have_length_one(avatar: MeshAvatar, tmp_path: Path) -> None:
    export_avatar(avatar, tmp_path / "a.ply", "mesh-ply", subdivide=0)
    v = read_ply(tmp_path / "a.ply")[0]["vertex"]
    normals = columns(v, "nx", "ny", "nz")
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    tip = v["z"].argmax()
    assert normals[tip, 2] > 0.9


def test_subdivision_keeps_the_surface() -> None:
    values = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    faces = np.array([[0, 1, 2], [1, 3, 2]])
    v, f = subdivide_mesh(values, faces, 2)
    a, b, c = v[f].transpose(1, 0, 2)
    area = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    assert len(f) == 32 and len(v) == 25
    np.testing.assert_allclose(area, 1 / 32)


def test_a_bad_number_is_named(avatar: MeshAvatar, tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="--subdivide"):
        export_avatar(avatar, tmp_path / "a.ply", "mesh-ply", subdivide=9)
    with pytest.raises(HeadcastError, match="--to"):
        export_avatar(avatar, tmp_path / "a.ply")
