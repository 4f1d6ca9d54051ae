"""Lids go over into bare skin as they shut, each side by itself, in mesh, Gaussians and files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.avatar.export.heads import shut_lids
from tests.bound import bound

from headcast.avatar.base import load_avatar
from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.lids import SHADED
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.package import Package
from headcast.avatar.source import SourceView
from headcast.avatar.surface import HeadSurface
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.render.shading import ambient
from headcast.splats.init import init_gaussians

BLINK = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
OPEN, SHUT = (180, 180, 180), (60, 160, 90)


def lidded(side: int = 256) -> MeshAvatar:
    """A grey head whose shut lids are green."""
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, 0.0, -0.7]))
    source = SourceView(Camera.make(300, 128, 128), params, ambient())
    lids = shut_lids(head, side, SHUT, torch.zeros(2))
    return MeshAvatar(
        bound=bound(head, source), texture=np.full((side, side, 3), OPEN, np.uint8), shells=(), lids=lids
    )


def covered(mesh: MeshAvatar) -> GaussianAvatar:
    """With the Gaussians that ``fit`` begins with."""
    with torch.no_grad():
        return GaussianAvatar(mesh, init_gaussians(mesh.surface, mesh.source))


def test_each_side_goes_by_itself_from_the_photos_blink_on() -> None:
    avatar = lidded()
    assert avatar.lids is not None
    lids = replace(avatar.lids, blink=torch.tensor([0.5, 0.0]))
    params = avatar.source.params
    assert lids.closed_fraction(params.with_expression({"eyeBlinkLeft": 0.5})).tolist() == [0, 0]
    assert lids.closed_fraction(params.with_expression(BLINK)).tolist() == [1, 1]
    left, right = lids.closed_fraction(
        params.with_expression({"eyeBlinkLeft": 0.75, "eyeBlinkRight": 0.75})
    ).tolist()
    assert 0 < left < right < 1
    painted = lids.paint(avatar.texture, torch.tensor([1.0, 0.0]))
    assert (lids.patches[0].inside(painted) == SHUT).all() and (lids.patches[1].inside(painted) == OPEN).all()


@pytest.mark.parametrize("kind", ["mesh", "gaussians"])
def test_pictures_show_it_and_come_back(kind: str) -> None:
    mesh = lidded()
    avatar = mesh if kind == "mesh" else covered(mesh)
    params, camera = mesh.source.params, mesh.source.camera

    def green(expression: dict[str, float]) -> tuple[float, float]:
        with torch.no_grad():
            rgb = avatar.render(params.with_expression(expression), camera).rgb
        more = (rgb[..., 1] - rgb[..., 0]).clamp(min=0)
        return float(more[:, 64:].sum()), float(more[:, :64].sum())

    opened = green({})
    left = green({"eyeBlinkLeft": 1.0})
    both = green(BLINK)
    assert max(opened) < 1 and min(both) > 10 and left[0] > 10 and left[1] < 1
    assert green({}) == pytest.approx(opened, abs=1e-5)


def test_halvings_and_the_texture_of_a_pose_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headcast.avatar.surface.SHADED", 0.0)
    mesh = lidded()
    assert mesh.lids is not None
    half = mesh.source.params.with_expression({"eyeBlinkLeft": 0.6, "eyeBlinkRight": 0.8})
    painted = mesh.lids.paint(mesh.texture, mesh.lids.closed_fraction(half))
    plain = HeadSurface(mesh.head, (), painted)
    far = mesh.source.camera.scaled(0.4)
    with torch.no_grad():
        for camera in (mesh.source.camera, far):
            a, b = (s.render(half, camera, mesh.source.light).rgb for s in (mesh.surface, plain))
            assert float((a - b).abs().max()) < 0.01


def test_gaussians_by_kernels_are_those_in_plain_torch() -> None:
    avatar = covered(lidded())
    params = avatar.source.params.with_expression({"eyeBlinkLeft": 0.7, "eyeBlinkRight": 1.0})
    with torch.no_grad():
        fast, plain = (f(params, avatar.source.camera).rgb for f in (avatar.render, avatar.render_reference))
    assert float((fast - plain).abs().max()) < 0.02


def test_files_keep_them_and_damage_is_named(tmp_path: Path) -> None:
    avatar = lidded()
    avatar.save(tmp_path / "a.avatar")
    opened = load_avatar(tmp_path / "a.avatar")
    assert isinstance(opened, MeshAvatar) and opened.lids is not None and avatar.lids is not None
    for a, b in zip(opened.lids.patches, avatar.lids.patches, strict=True):
        assert torch.equal(a.corner, b.corner) and (a.texture == b.texture).all()
    package = avatar.package()
    outside = {**package.tensors, "lids.corner": torch.full((2, 2), 250)}
    missing = {k: v for k, v in package.textures.items() if k != "lid-left"}
    for broken in (replace(package, tensors=outside), replace(package, textures=missing)):
        assert isinstance(broken, Package)
        with pytest.raises(HeadcastError, match="left lid"):
            MeshAvatar.from_package(broken, tmp_path / "b.avatar")


def test_eyes_lie_in_the_dark_behind_shut_lids() -> None:
    mesh = lidded()
    surface, params = mesh.surface, mesh.source.params
    left, right = surface.eyes
    opened, winking = (surface.posed(params.with_expression(e)).openness for e in ({}, {"eyeBlinkLeft": 1.0}))
    assert (opened[left] == 1).all() and (winking[right] == 1).all()
    assert torch.allclose(winking[left], torch.tensor(1 - SHADED))
    skin = mesh.head.faces[mesh.head.part_faces("skin")].unique()
    assert torch.equal(opened[skin], winking[skin])
