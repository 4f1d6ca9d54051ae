"""The shade of lashes goes as the lids shut, each side by itself, and travels with the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from headcast.avatar.base import load
from headcast.avatar.export.look import textures
from headcast.avatar.lashes import Lashes
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.source import Source
from headcast.camera import Camera
from headcast.head.model import BLINKS, HeadModel
from headcast.head.params import HeadParams
from headcast.render.shading import ambient


def shaded(head: HeadModel) -> torch.Tensor:
    """Both lids in half shade."""
    share = torch.ones(len(head.neutral))
    share[head.lid_index.reshape(-1)] = 0.5
    return share


def test_open_shut_and_one_sided() -> None:
    head = HeadModel.load()
    blink = torch.tensor([0.2, 0.0])
    lashes = Lashes(shaded(head), blink)
    params = HeadParams.neutral(head.identities)
    ones = torch.ones(len(head.neutral))
    as_seen = lashes.over(head, params.with_expression({"eyeBlinkLeft": 0.2}), ones)
    assert torch.equal(as_seen, lashes.share) and bool((ones == 1).all())
    shut = lashes.over(head, params.with_expression({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}), ones)
    assert torch.allclose(shut, ones)
    wink = lashes.over(head, params.with_expression({"eyeBlinkRight": 1.0}), ones)
    assert bool((wink[head.lid_index[0]] == 0.5).all()) and bool((wink[head.lid_index[1]] == 1).all())
    half = lashes.over(head, params.with_expression({"eyeBlinkRight": 0.6}), ones)[head.lid_index[1]]
    assert bool(((half > 0.5) & (half < 1)).all())


def test_at_points_of_a_surface() -> None:
    head = HeadModel.load()
    lashes = Lashes(shaded(head), torch.zeros(2))
    shell = torch.tensor([[0, 1, 2]]) + len(head.neutral)
    faces = torch.cat([head.faces, shell])
    lid = torch.isin(head.faces, head.lid_index[0]).all(1).nonzero()[:3, 0]
    mixed = (torch.isin(head.faces, head.lid_index.reshape(-1)).sum(1) == 1).nonzero()[:1, 0]
    triangle = torch.cat([lid, mixed, torch.tensor([len(faces) - 1])])
    found = lashes.at(faces, triangle, torch.full((len(triangle), 3), 1 / 3))
    assert torch.allclose(found, torch.tensor([0.5, 0.5, 0.5, 5 / 6, 1.0]))


def test_in_pictures_and_in_files(tmp_path: Path) -> None:
    head = HeadModel.load()
    params = HeadParams.neutral(head.identities).replace(translation=torch.tensor([0.0, 0.0, -0.7]))
    source = Source(Camera.make(300, 128, 128), params, ambient())
    texture = np.full((64, 64, 3), 180, np.uint8)
    lashes = Lashes(shaded(head), params.expression[list(BLINKS)])
    with_them = MeshAvatar(head, texture, source, {"kind": "mesh"}, (), lashes)
    without = MeshAvatar(head, texture, source, {"kind": "mesh"})
    file = tmp_path / "a.avatar"
    with_them.save(file)
    opened = load(file)
    assert isinstance(opened, MeshAvatar) and opened.lashes is not None
    assert torch.equal(opened.lashes.share, lashes.share) and torch.equal(opened.lashes.blink, lashes.blink)
    with torch.no_grad():
        a, b, c = (x.render(params, source.camera).rgb for x in (with_them, without, opened))
        shut = params.with_expression({"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
        d, e = (x.render(shut, source.camera).rgb for x in (with_them, without))
    lids, bare = (textures(avatar, "lit")[0].astype(int) for avatar in (with_them, without))
    assert (lids <= bare).all() and (bare - lids).max() > 20 and (lids == bare).mean() > 0.9
    assert float((b - a).max()) > 0.1 and float((a - b).max()) < 1e-6
    assert torch.allclose(a, c, atol=1e-6) and torch.allclose(d, e, atol=1e-5)
