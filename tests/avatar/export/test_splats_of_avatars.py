"""Splat files of an avatar of Gaussians: read back and drawn, they look like our own rendering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.avatar.export.heads import of_gaussians, picture, psnr, synthetic_avatar, view_of
from tests.avatar.export.read_splats import columns, read_ply, read_spz

from headcast.avatar.base import Avatar
from headcast.avatar.export.base import export_avatar
from headcast.avatar.export.splat_ply import SH_C0
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.render.gaussians import render_gaussians
from headcast.rotation import matrix_to_quaternion, quaternion_multiply

LOOK = {"jawOpen": 0.4, "mouthSmileLeft": 1.0}


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return of_gaussians(synthetic_avatar(shells=False))


def fields(path: Path) -> dict[str, np.ndarray]:
    """The numbers of a splat PLY."""
    v = read_ply(path)[0]["vertex"]
    return {
        "position": columns(v, "x", "y", "z"),
        "log_scale": columns(v, "scale_0", "scale_1", "scale_2"),
        "quaternion": columns(v, "rot_0", "rot_1", "rot_2", "rot_3"),
        "alpha": 1 / (1 + np.exp(-v["opacity"])),
        "colour": columns(v, "f_dc_0", "f_dc_1", "f_dc_2") * SH_C0 + 0.5,
    }


def drawn(f: dict[str, np.ndarray], camera: Camera) -> torch.Tensor:
    """A picture (H, W, 4) of plain arrays."""
    t = {k: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for k, v in f.items()}
    opacity = torch.logit(t["alpha"].clamp(1e-4, 0.9999))
    out = render_gaussians(t["position"], t["log_scale"], t["quaternion"], opacity, t["colour"], camera)
    return torch.cat([out.rgb.clamp(0, 1), out.alpha[..., None]], -1)


def down(camera: Camera) -> Camera:
    """The same camera for a world turned by half a turn about X."""
    turn = torch.diag(torch.tensor([1.0, -1, -1, 1]))
    return Camera(camera.K, camera.cam_from_world @ turn, camera.width, camera.height)


@pytest.mark.parametrize("kind", ["y-up", "y-down", "spz"])
def test_the_file_looks_like_the_rendering(kind: str, avatar: Avatar, tmp_path: Path) -> None:
    camera, params = view_of(avatar)
    ours = picture(avatar, camera, params.with_expression(LOOK))
    if kind == "spz":
        export_avatar(avatar, tmp_path / "a.spz", expression=LOOK)
        read = drawn(read_spz(tmp_path / "a.spz"), camera)
    else:
        export_avatar(avatar, tmp_path / "a.ply", "splat-ply", expression=LOOK, axes=kind)
        read = drawn(fields(tmp_path / "a.ply"), camera if kind == "y-up" else down(camera))
    assert psnr(read, ours) > 45
    assert psnr(ours, picture(avatar, camera, params)) < 40  # the expression is seen


def test_rigged_splats_stand_where_the_posed_ones_do(avatar: Avatar, tmp_path: Path) -> None:
    written = export_avatar(avatar, tmp_path / "rig.ply", "splat-ply", rigged=True)
    assert [p.name for p in written] == ["rig.ply", "rig.mesh.ply"]
    export_avatar(avatar, tmp_path / "posed.ply", "splat-ply", axes="y-up")
    local, posed = fields(written[0]), fields(tmp_path / "posed.ply")
    binding = read_ply(written[0])[0]["vertex"]["binding_0"].astype(int)
    mesh = read_ply(written[1])[0]
    corners = columns(mesh["vertex"], "x", "y", "z")[mesh["face"]["vertex_indices"]][binding]
    v0, v1, v2 = corners.transpose(1, 0, 2).astype(np.float64)
    edge = (v1 - v0) / np.linalg.norm(v1 - v0, axis=1, keepdims=True)
    normal = np.cross(v1 - v0, v2 - v0)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    third = -np.cross(normal, edge)
    size = (np.linalg.norm(v1 - v0, axis=1) + np.abs(((v2 - v0) * third).sum(1))) / 2
    R = np.stack([edge, normal, third], -1)
    world = size[:, None] * (R @ local["position"][..., None])[..., 0] + corners.mean(1)
    fat = size > 1e-4
    assert np.abs(world - posed["position"])[fat].max() < 1e-5
    assert np.abs(local["log_scale"] + np.log(size)[:, None] - posed["log_scale"])[fat].max() < 1e-3
    q = quaternion_multiply(
        matrix_to_quaternion(torch.from_numpy(R)), torch.from_numpy(local["quaternion"]).double()
    )
    assert (q * torch.from_numpy(posed["quaternion"])).sum(-1).abs()[torch.from_numpy(fat)].min() > 0.9999


def test_a_rigged_file_has_no_pose(avatar: Avatar, tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="--rigged"):
        export_avatar(avatar, tmp_path / "a.ply", "splat-ply", rigged=True, expression=LOOK)


def test_meshes_of_gaussians_export_too(avatar: Avatar, tmp_path: Path) -> None:
    assert export_avatar(avatar, tmp_path / "a.glb", texture_size=16)[0].stat().st_size > 10**6
