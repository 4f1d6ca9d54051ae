"""What optimisation changed in the Gaussians' look reaches the texture below, where a view shows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.plain_head import head_and_photo

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.lids import Lids, Patch
from headcast.methods.ohpavatars.to_texture import bake_changes
from headcast.view import source_view


@pytest.fixture(scope="module")
def avatar() -> GaussianAvatar:
    return head_and_photo()[0]


@pytest.fixture(scope="module")
def redder(avatar: GaussianAvatar) -> GaussianAvatar:
    """The same head, all of its Gaussians redder, the green and blue of each a noise."""
    rng = torch.Generator().manual_seed(0)
    albedo = avatar.gaussians.albedo + 0.02 * torch.randn(len(avatar.gaussians), 3, generator=rng)
    albedo[:, 0] = avatar.gaussians.albedo[:, 0] + 0.1
    return replace(avatar, gaussians=replace(avatar.gaussians, albedo=albedo))


def test_nothing_changes_where_no_colour_did(avatar: GaussianAvatar) -> None:
    same = bake_changes(avatar, avatar)
    assert np.array_equal(same.mesh.texture, avatar.mesh.texture)


@torch.no_grad()
def test_the_mesh_comes_nearer_to_the_optimised_gaussians(
    avatar: GaussianAvatar, redder: GaussianAvatar
) -> None:
    baked = bake_changes(avatar, redder)
    view = source_view(avatar)
    wanted, old, new = (x.render(view.params, view.camera) for x in (redder, avatar.mesh, baked.mesh))
    inside = (wanted.alpha > 0.99) & (old.alpha > 0.99)
    errors = [float((wanted.rgb - x.rgb)[inside].abs()[:, 0].mean()) for x in (old, new)]
    assert errors[1] < 0.35 * errors[0]
    changed = np.abs(baked.mesh.texture.astype(int) - avatar.mesh.texture).max(-1) > 0
    assert 0.1 < changed.mean() < 0.9  # the back of the head is in no view
    assert baked.gaussians is redder.gaussians


def test_closed_lids_follow_where_they_are_the_same_skin(
    avatar: GaussianAvatar, redder: GaussianAvatar
) -> None:
    texture = avatar.mesh.texture
    own = texture[40:70, 50:90].copy()
    own[12:18, 15:25] = 30  # skin that the open eye hides
    plain = texture[40:70, 50:90].copy()
    corner = torch.tensor([50, 40])
    mesh = replace(avatar.mesh, lids=Lids((Patch(corner, own), Patch(corner, plain)), torch.zeros(2)))
    baked = bake_changes(replace(avatar, mesh=mesh), replace(redder, mesh=mesh))
    assert baked.mesh.lids is not None
    left, right = baked.mesh.lids.patches
    assert np.array_equal(right.texture, baked.mesh.texture[40:70, 50:90])
    assert (left.texture[12:18, 15:25] == 30).all()


def test_other_gaussians_are_refused(avatar: GaussianAvatar) -> None:
    fewer = replace(avatar, gaussians=avatar.gaussians[torch.arange(10)])
    with pytest.raises(ValueError, match="different triangles"):
        bake_changes(avatar, fewer)
