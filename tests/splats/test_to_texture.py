"""Changes of the Gaussians' colours reach the textures below: where they are, as far as Gaussians spread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.plain_head import head_and_photo

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.lids import Lids, Patch
from headcast.splats.to_texture import bake_colour_changes
from headcast.splats.uv_colours import gaussian_uv


@pytest.fixture(scope="module")
def avatar() -> GaussianAvatar:
    return head_and_photo()[0]


def with_albedo(avatar: GaussianAvatar, albedo: torch.Tensor) -> GaussianAvatar:
    return replace(avatar, gaussians=replace(avatar.gaussians, albedo=albedo))


def test_nothing_changes_where_no_colour_did(avatar: GaussianAvatar) -> None:
    same = bake_colour_changes(avatar, avatar)
    assert np.array_equal(same.mesh.texture, avatar.mesh.texture)


def test_a_half_that_turns_red_turns_the_texture_red(avatar: GaussianAvatar) -> None:
    index = torch.arange(len(avatar.gaussians))
    uv = gaussian_uv(avatar, avatar.head, index, 0)
    red = torch.zeros(len(index), 3)
    red[:, 0] = 0.2 * (uv[:, 0] < 0.5)
    changed = bake_colour_changes(avatar, with_albedo(avatar, avatar.gaussians.albedo + red))
    off = changed.mesh.texture.astype(int) - avatar.mesh.texture
    at = (uv.numpy() * avatar.mesh.texture.shape[0]).astype(int).clip(0, avatar.mesh.texture.shape[0] - 1)
    there = off[at[:, 1], at[:, 0]]
    left, right = uv[:, 0].numpy() < 0.47, uv[:, 0].numpy() > 0.53
    assert abs(float(there[left, 0].mean()) - 51) < 4 and float(np.abs(there[left, 1:]).max()) <= 1
    assert float(np.abs(there[right]).mean()) < 1
    assert changed.gaussians.albedo is not avatar.gaussians.albedo


def test_closed_lids_follow_where_they_are_the_same_skin(avatar: GaussianAvatar) -> None:
    texture = avatar.mesh.texture
    own = texture[10:40, 20:60].copy()
    own[12:18, 15:25] = 30  # skin that the open eye hides
    plain = texture[10:40, 70:110].copy()
    patches = (Patch(torch.tensor([20, 10]), own), Patch(torch.tensor([70, 10]), plain))
    mesh = replace(avatar.mesh, lids=Lids(patches, torch.zeros(2)))
    before = replace(avatar, mesh=mesh)
    changed = bake_colour_changes(before, with_albedo(before, before.gaussians.albedo + 0.1))
    assert changed.mesh.lids is not None
    left, right = changed.mesh.lids.patches
    assert np.array_equal(right.texture, changed.mesh.texture[10:40, 70:110])
    assert np.array_equal(left.texture[0], changed.mesh.texture[10, 20:60])
    assert int(left.texture[15, 20, 0]) < 30 + 20


def test_other_gaussians_are_refused(avatar: GaussianAvatar) -> None:
    fewer = replace(avatar, gaussians=avatar.gaussians[torch.arange(10)])
    with pytest.raises(ValueError, match="different triangles"):
        bake_colour_changes(avatar, fewer)
