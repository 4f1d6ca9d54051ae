"""A tri-plane avatar is drawn where the camera sees the head, follows its driver and survives a file."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.bound import bound
from tests.methods.portrait4d_ball import ball_tensors

from headcast.avatar.base import Avatar
from headcast.avatar.package import read_package
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.portrait4d.avatar import TriplaneAvatar
from headcast.methods.portrait4d.crop import FRAME, crop_box
from headcast.methods.portrait4d.motion_embedding import ExpressionToMotion, MotionEncoder
from headcast.methods.portrait4d.neck_field import NeckField
from headcast.methods.portrait4d.network import TINY, Synthesizer
from headcast.methods.portrait4d.weights import Portrait4DNetworks
from headcast.render.shading import ambient
from headcast.rotation import axis_angle_to_matrix


@cache
def networks() -> Portrait4DNetworks:
    """Of random weights, with a solid ball in the middle of their cube."""
    torch.manual_seed(3)
    psi = Synthesizer(TINY).eval().requires_grad_(False)
    motion, said = MotionEncoder(TINY.motion_dim).eval(), ExpressionToMotion(TINY.motion_dim).eval()
    return Portrait4DNetworks(psi, motion.requires_grad_(False), said.requires_grad_(False))


@cache
def avatar() -> TriplaneAvatar:
    """Of a picture of noise."""
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, 0.0, -0.9]))
    g = torch.Generator().manual_seed(1)
    image = torch.rand(1, 3, TINY.side, TINY.side, generator=g) * 2 - 1
    n = networks()
    with torch.no_grad():
        appearance = n.psi.appearance(image, torch.randn(1, TINY.motion_dim, generator=g))
    source = SourceView(Camera.make(300, 120, 100), params, ambient())
    return TriplaneAvatar(bound(head, source, method="portrait4d"), appearance, n)


def drawn(params: HeadParams, camera: Camera | None = None) -> torch.Tensor:
    with torch.no_grad():
        out = avatar().render(params, avatar().source.camera if camera is None else camera)
    assert out.colour_space == "srgb" and out.rgb.shape == (*out.alpha.shape, 3)
    return torch.cat([out.rgb, out.alpha[..., None]], -1)


def test_it_is_an_avatar_and_draws_a_square_around_the_head() -> None:
    a = avatar()
    assert isinstance(a, Avatar)
    picture = drawn(a.source.params)
    assert picture.shape == (100, 120, 4) and bool(torch.isfinite(picture).all())
    left, top, side = crop_box(a.source.camera, a.source.params, a.config.centre)
    assert abs(side - FRAME * 300 / 0.87) < 0.1 * side
    alpha = picture[..., 3]
    columns = torch.nonzero(alpha.amax(0) > 0)[:, 0]
    rows = torch.nonzero(alpha.amax(1) > 0)[:, 0]
    assert columns.min() >= left - 2 and columns.max() <= left + side + 2
    assert rows.min() >= top - 2 and rows.max() <= top + side + 2


def test_expression_changes_it_and_a_moved_head_moves_it() -> None:
    params = avatar().source.params
    still = drawn(params)
    assert torch.equal(still, drawn(params))
    assert float((drawn(params.with_expression({"jawOpen": 1.0})) - still).abs().max()) > 0
    metres = 10 * 0.87 / 300  # ten pixels at the depth of the middle of the head
    moved = drawn(params.replace(translation=params.translation + torch.tensor([metres, 0.0, 0.0])))
    off = (moved[:, 10:] - still[:, :-10]).abs()[20:80, 20:80]
    assert float(off.mean()) < 0.25 * float((moved - still).abs()[20:80, 20:80].mean()) + 0.02


def test_files_keep_it_and_other_networks_are_refused(tmp_path: Path) -> None:
    a = avatar()
    a.save(tmp_path / "a.avatar")
    package = read_package(tmp_path / "a.avatar")
    again = TriplaneAvatar.from_package(package, tmp_path / "a.avatar", networks())
    assert again.info["method"] == "portrait4d"
    with torch.no_grad():
        b = again.render(a.source.params, a.source.camera)
    assert float((b.alpha - drawn(a.source.params)[..., 3]).abs().max()) < 0.05
    with pytest.raises(HeadcastError, match="of another size"):
        wrong = replace(package, meta={**package.meta, "columns": 99})
        TriplaneAvatar.from_package(wrong, tmp_path / "a.avatar", networks())


def test_a_world_with_its_origin_elsewhere_lies_there() -> None:
    """A solid ball in the middle of Ψ's cube appears at the configuration's origin, its surface too."""
    origin = (0.01, -0.045, -0.03)
    config = replace(TINY, origin=origin, centre=(0.01, -0.03, -0.01))
    psi = Synthesizer(config).eval().requires_grad_(False)
    psi.load_state_dict({k: v.float() for k, v in ball_tensors().items() if not k.startswith("_")})
    a = replace(avatar(), networks=replace(networks(), psi=psi))
    params = a.source.params.replace(rotation=torch.tensor([0.0, 0.5, 0.0]))
    camera = Camera.make(300, 160, 160)
    with torch.no_grad():
        alpha = a.render(params, camera).alpha
    y, x = torch.meshgrid(torch.arange(160) + 0.5, torch.arange(160) + 0.5, indexing="ij")
    middle = torch.stack([(x * alpha).sum(), (y * alpha).sum()]) / alpha.sum()
    at = axis_angle_to_matrix(params.rotation) @ torch.tensor(origin) + params.translation
    assert float((middle - camera.project(at[None])[0]).norm()) < 1.5
    points, _, _ = a.isosurface(params)
    assert np.abs((points.min(0) + points.max(0)) / 2 - origin).max() < 0.01


def test_the_neck_bends_about_the_same_joint_wherever_the_origin_is() -> None:
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(neck=torch.tensor([0.3, 0.2, 0.0]))[(None,)]
    shift = (0.0, -0.03, -0.02)
    points = (torch.rand(1, 200, 3, generator=torch.Generator().manual_seed(0)) - 0.5) * 0.4
    units = TINY.units_per_metre
    here = NeckField(head, params, TINY.cube_side, units)(points)
    moved = torch.tensor(shift) * units
    there = NeckField(head, params, TINY.cube_side, units, shift)(points - moved) + moved
    assert float((here - points).norm(dim=-1).mean()) > 0.03
    assert float((here - there).norm(dim=-1).mean()) < 0.01  # grids sample it elsewhere
