"""Degraded avatars: blurred colours, everything else as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.superhead.heads import patterned

from headcast import api
from headcast.avatar.gaussian import GaussianAvatar
from headcast.errors import HeadcastError
from headcast.metrics.sharpness import relative_sharpness
from headcast.splats.degrade import DEGRADED, degrade_avatar
from headcast.splats.uv_colours import uv_colours


@pytest.fixture(scope="module")
def sharp() -> GaussianAvatar:
    return patterned()


def test_detail_goes_and_shape_stays(sharp: GaussianAvatar) -> None:
    images = []
    for factor in (1.0, 4.0):
        with torch.no_grad():
            poor = degrade_avatar(sharp, factor)
        images.append(api.render(poor, size=(256, 256)))
        for name in ("triangle", "position", "quaternion", "log_scale", "opacity"):
            assert torch.equal(getattr(poor.gaussians, name), getattr(sharp.gaussians, name))
        assert poor.provenance.extra[DEGRADED] == factor
    first = api.render(sharp, size=(256, 256))
    solid = first[..., 3] == 255
    mild, strong = (relative_sharpness(first[..., :3], x[..., :3], solid) for x in images)
    assert strong < 0.5 * mild <= 0.5 * 1.02
    assert abs(first[..., :3][solid].mean() - images[1][..., :3][solid].mean()) < 1.5
    assert np.array_equal(first[..., 3], images[1][..., 3])
    texture = degrade_avatar(sharp, 4.0).mesh.texture
    assert texture[..., 0].std() < 0.6 * sharp.mesh.texture[..., 0].std()


def test_twice_degraded_is_told(sharp: GaussianAvatar) -> None:
    assert degrade_avatar(degrade_avatar(sharp, 2.0), 2.0).provenance.extra[DEGRADED] == 4.0


def test_meshes_and_senseless_factors_are_refused(sharp: GaussianAvatar) -> None:
    with pytest.raises(HeadcastError, match="takes avatars of Gaussians, this is a mesh"):
        api.degrade(sharp.mesh)
    with pytest.raises(HeadcastError, match="--factor"):
        api.degrade(sharp, float("nan"))


def test_colours_of_points_come_back_at_their_places() -> None:
    rng = np.random.default_rng(0)
    uv = torch.from_numpy(rng.uniform(0.1, 0.9, (4000, 2))).float()
    albedo = torch.stack([uv[:, 0], uv[:, 1], torch.full((4000,), 0.5)], 1)
    found = uv_colours(uv, albedo, torch.ones(4000), 64)
    y, x = np.mgrid[10:54, 10:54]
    expected = np.stack([(x + 0.5) / 64, (y + 0.5) / 64, np.full(x.shape, 0.5)], -1)
    assert np.abs(found.albedo[10:54, 10:54] - expected).mean() < 0.01
    assert found.evidence.sum() == pytest.approx(4000, rel=1e-4)
    assert np.isfinite(found.albedo).all()
