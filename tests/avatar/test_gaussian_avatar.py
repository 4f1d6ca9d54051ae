"""Gaussian avatars: what is stored comes back, light and turning act on them, bad files are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.bound import bound

from headcast.avatar.base import Avatar, load_avatar
from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.package import read_package, write_package
from headcast.avatar.rig import frames_of, to_world
from headcast.avatar.shell import Shell
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.model import JOINTS, HeadModel
from headcast.head.params import HeadParams
from headcast.render.shading import ambient
from headcast.splats.init import init_gaussians


@pytest.fixture(scope="module")
def avatar() -> GaussianAvatar:
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, -0.02, -1.0]))
    y, x = np.mgrid[0:256, 0:256]
    texture = np.stack([150 + 40 * np.sin(x / 9), 120 + 40 * np.sin(y / 9), 110 + 0 * x], -1).astype(np.uint8)
    source = SourceView(Camera.make(560, 160, 160), params, ambient())
    mesh = MeshAvatar(bound=bound(head, source), texture=texture)
    with torch.no_grad():
        return GaussianAvatar(mesh, init_gaussians(mesh.surface, mesh.source))


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * ((a - b) ** 2).mean().log10())


def shown(a: Avatar, params: HeadParams, camera: Camera) -> torch.Tensor:
    with torch.no_grad():
        out = a.render(params, camera)
    return out.rgb * out.alpha[..., None]


def test_seeded_gaussians_look_like_the_mesh_in_any_pose(avatar: GaussianAvatar) -> None:
    source = avatar.source
    assert isinstance(avatar, Avatar)
    for change in ({}, {"jawOpen": 0.7}, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}):
        turned = source.params.replace(
            rotation=torch.tensor([0.1, 0.4, 0.0]), neck=torch.tensor([0.0, 0.3, 0.0])
        )
        params = turned.with_expression(change)
        a, b = shown(avatar, params, source.camera), shown(avatar.mesh, params, source.camera)
        assert psnr(a, b) > 25


def test_no_holes_inside_the_head(avatar: GaussianAvatar) -> None:
    import cv2

    params = avatar.source.params.with_expression({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    with torch.no_grad():
        alpha = avatar.render(params, avatar.source.camera).alpha.numpy()
        solid = avatar.mesh.render(params, avatar.source.camera).alpha.numpy()
    inside = cv2.erode((solid > 0.99).astype(np.uint8), np.ones((5, 5))) > 0
    assert (alpha[inside] < 0.9).mean() < 0.003


def test_light_falls_on_them(avatar: GaussianAvatar) -> None:
    p, c = avatar.source.params, avatar.source.camera
    with torch.no_grad():
        dark = avatar.render(p, c, ambient(0.2)).rgb[80, 80]
        bright = avatar.render(p, c).rgb[80, 80]
    assert bool((dark < 0.6 * bright).all())


def test_round_trip(avatar: GaussianAvatar, tmp_path: Path) -> None:
    avatar.save(tmp_path / "a.avatar")
    back = load_avatar(tmp_path / "a.avatar")
    assert isinstance(back, GaussianAvatar) and back.info["kind"] == "gaussians"
    p, c = avatar.source.params, avatar.source.camera
    assert psnr(shown(avatar, p, c), shown(back, p, c)) > 45
    assert torch.equal(avatar.gaussians.triangle, back.gaussians.triangle)


def test_shells_keep_their_gaussians_in_a_file(avatar: GaussianAvatar, tmp_path: Path) -> None:
    def plate(name: str, x: float, colour: int) -> Shell:
        rest = torch.tensor([[-0.05, 0.05, 0.2], [0.05, 0.05, 0.2], [0.05, -0.05, 0.2], [-0.05, -0.05, 0.2]])
        faces = torch.tensor([[0, 3, 2], [0, 2, 1]])
        weights = torch.zeros(4, len(JOINTS))
        weights[:, 0] = 1
        uv = torch.tensor([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])
        texture = np.full((8, 8, 4), 255, np.uint8)
        texture[..., :3] = colour
        return Shell(
            name=name,
            rest=rest + torch.tensor([x, 0.0, 0.0]),
            faces=faces,
            uv=uv,
            faces_uv=faces,
            skin_weights=weights,
            texture=texture,
        )

    mesh = replace(avatar.mesh, shells=(plate("hair", -0.08, 250), plate("body", 0.08, 10)))
    with torch.no_grad():
        worn = GaussianAvatar(mesh, init_gaussians(mesh.surface, mesh.source))
    worn.save(tmp_path / "a.avatar")
    p, c = avatar.source.params, avatar.source.camera
    before, after = shown(worn, p, c), shown(load_avatar(tmp_path / "a.avatar"), p, c)
    assert psnr(before, after) > 40
    assert float(before.amax()) > 0.9 and float(before.amin()) < 0.1


def test_points_between_corners_are_found_again(avatar: GaussianAvatar) -> None:
    at_rest = HeadParams.neutral(avatar.head.identities)
    v, faces = avatar.mesh.surface.posed(at_rest).vertices, avatar.mesh.surface.faces
    world = to_world(avatar.gaussians, frames_of(v, faces))
    by_bary = (v[faces[world.triangle]] * avatar.bary[..., None]).sum(1)
    assert (by_bary - world.position).norm(dim=-1).quantile(0.99) < 1e-5


@pytest.mark.parametrize("change", ["outside", "missing", "direction", "none", "nan"])
def test_damaged_files_are_refused(avatar: GaussianAvatar, tmp_path: Path, change: str) -> None:
    small = replace(avatar, gaussians=avatar.gaussians[torch.arange(0, len(avatar.gaussians), 400)])
    small.save(tmp_path / "a.avatar")
    p = read_package(tmp_path / "a.avatar")
    t = dict(p.tensors)
    if change == "outside":
        t["gaussian.triangle"] = t["gaussian.triangle"] + 10**6
    elif change == "missing":
        del t["gaussian.albedo"]
    elif change == "direction":
        t["gaussian.quaternion"] = t["gaussian.quaternion"] * 0
    elif change == "none":
        t = {k: v[:0] if k.startswith("gaussian.") else v for k, v in t.items()}
    else:
        t["gaussian.position"] = t["gaussian.position"] * float("nan")
    write_package(tmp_path / "b.avatar", replace(p, tensors=t))
    with pytest.raises(HeadcastError, match=r"b\.avatar"):
        load_avatar(tmp_path / "b.avatar")
