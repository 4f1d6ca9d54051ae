"""Shells: they move with the joints, are drawn with the head, and come back from a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.bound import bound

from headcast.avatar.base import load_avatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.package import read_package, write_package
from headcast.avatar.shell import GAP, Shell, pack_textures
from headcast.avatar.source import SourceView
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.model import JOINTS, HeadModel
from headcast.head.params import HeadParams
from headcast.render.shading import ambient


def plate(alpha: int = 255, joint: str = "head") -> Shell:
    """A red square before the face."""
    s = 0.08
    rest = torch.tensor([[-s, s, 0.2], [s, s, 0.2], [s, -s, 0.2], [-s, -s, 0.2]])
    faces = torch.tensor([[0, 3, 2], [0, 2, 1]])
    uv = torch.tensor([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])
    weights = torch.zeros(4, len(JOINTS))
    weights[:, JOINTS.index(joint)] = 1
    texture = np.zeros((16, 24, 4), np.uint8)
    texture[..., 0], texture[..., 3] = 255, alpha
    return Shell(
        name="plate", rest=rest, faces=faces, uv=uv, faces_uv=faces, skin_weights=weights, texture=texture
    )


def avatar(*shells: Shell) -> MeshAvatar:
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, 0.0, -1.0]))
    source = SourceView(Camera.make(300, 96, 96), params, ambient())
    return MeshAvatar(bound=bound(head, source), texture=np.full((64, 64, 3), 128, np.uint8), shells=shells)


def middle(a: MeshAvatar) -> torch.Tensor:
    out = a.render(a.source.params, a.source.camera)
    assert bool((out.alpha[38:58, 38:58] == 1).all())
    return out.rgb[48, 48]


def test_a_shell_hides_the_head_as_far_as_it_covers() -> None:
    bare, hidden, half = middle(avatar()), middle(avatar(plate())), middle(avatar(plate(128)))
    assert torch.allclose(bare, torch.full((3,), 128 / 255), atol=0.01)
    assert torch.allclose(hidden, torch.tensor([1.0, 0.0, 0.0]), atol=0.01)
    assert torch.allclose(half, (bare + hidden) / 2, atol=0.02)


def test_a_shell_turns_with_its_joint() -> None:
    a = avatar()
    p = a.source.params.replace(neck=torch.tensor([0.0, 0.6, 0.0]))
    still, turned = plate(joint="root").posed(a.head, p), plate().posed(a.head, p)
    assert torch.allclose(still, plate().rest + p.translation)
    joints = a.head.joints(p.identity)
    assert (turned - still).norm(dim=-1).min() > 0.05
    assert torch.allclose((turned[0] - turned[1]).norm(), (still[0] - still[1]).norm())
    assert joints.shape == (len(JOINTS), 3)


def test_carried_points_agree_with_the_head_itself() -> None:
    head = HeadModel.load()
    g = torch.Generator().manual_seed(0)
    p = HeadParams.neutral(head.identities).replace(
        neck=torch.tensor([0.1, 0.5, -0.1]),
        rotation=torch.randn(3, generator=g),
        translation=torch.randn(3, generator=g),
        identity=torch.randn(head.identities, generator=g),
    )
    scalp = head.region_mask("scalp")
    expected = head(p)[scalp]
    carried = head.skin_points(head.shape(p.identity), head.skin_weights, p)[scalp]
    assert torch.allclose(carried, expected, atol=1e-6)


def test_textures_below_each_other() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (8, 8, 3), np.uint8), rng.integers(0, 256, (4, 6, 4), np.uint8)
    whole, places = pack_textures([a, b])
    tall = 12 + 4 * GAP
    assert whole.shape == (tall, 8, 4) and (whole[GAP : GAP + 8, :, :3] == a).all()
    assert (whole[GAP : GAP + 8, :, 3] == 255).all() and (whole[3 * GAP + 8 : tall - GAP, :6] == b).all()
    assert (whole[2 * GAP + 8 : 3 * GAP + 8, :6] == b[0]).all()  # nothing of the other picture above it
    uv = torch.tensor([2.5 / 6, 1.5 / 4])
    at = (uv * places[1, :2] + places[1, 2:]) * torch.tensor([8, tall])
    assert torch.allclose(at, torch.tensor([2.5, 3 * GAP + 9.5]))


def test_round_trip(tmp_path: Path) -> None:
    a = avatar(plate(200))
    a.save(tmp_path / "a.avatar")
    b = load_avatar(tmp_path / "a.avatar")
    assert isinstance(b, MeshAvatar)
    (s,), (t,) = a.shells, b.shells
    assert s.name == t.name and torch.equal(s.rest, t.rest) and torch.equal(s.faces, t.faces)
    assert (s.texture == t.texture).all() and torch.equal(s.skin_weights, t.skin_weights)


@pytest.mark.parametrize("change", ["faces", "uv", "texture", "weights"])
def test_damaged_shells_are_refused(tmp_path: Path, change: str) -> None:
    avatar(plate()).save(tmp_path / "a.avatar")
    p = read_package(tmp_path / "a.avatar")
    tensors, textures = dict(p.tensors), dict(p.textures)
    if change == "faces":
        tensors["shell.plate.faces"] = tensors["shell.plate.faces"] + 7
    elif change == "uv":
        del tensors["shell.plate.uv"]
    elif change == "texture":
        textures["shell-plate"] = textures["shell-plate"][..., :3]
    else:
        tensors["shell.plate.skin_weights"] = tensors["shell.plate.skin_weights"] * 3
    write_package(tmp_path / "b.avatar", replace(p, tensors=tensors, textures=textures))
    with pytest.raises(HeadcastError, match=r"b\.avatar"):
        load_avatar(tmp_path / "b.avatar")
