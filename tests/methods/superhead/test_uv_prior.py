"""The UV prior: it starts between texture and Gaussians; what it changes is bounded and inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.superhead.heads import patterned

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.rig import frames_of
from headcast.methods.superhead.anchors import AnchorSet
from headcast.methods.superhead.prior import InversionTarget
from headcast.methods.superhead.rigged_render import Rigged, kept_gaussians
from headcast.methods.superhead.uv_maps import covered_texels
from headcast.methods.superhead.uv_prior import LOG_RANGE, OWN, SCALE_RANGE, UVPrior, border_map, own_weight
from headcast.render.uv import rasterize_uv
from headcast.view import front_view


def started(avatar: GaussianAvatar) -> UVPrior:
    """A prior that starts from the avatar."""
    prior = UVPrior(avatar.head)
    surface = avatar.mesh.surface
    with torch.no_grad():
        frames = frames_of(surface.posed(avatar.source.params).vertices, surface.faces)
        prior.invert_init(InversionTarget(avatar, AnchorSet((), avatar.source.params), frames))
    return prior


@pytest.fixture(scope="module")
def avatar() -> GaussianAvatar:
    return patterned()


@pytest.fixture()
def prior(avatar: GaussianAvatar) -> UVPrior:
    return started(avatar)


def test_untrained_it_is_the_input(avatar: GaussianAvatar, prior: UVPrior) -> None:
    with torch.no_grad():
        made = Rigged.bind(avatar, prior.gaussians(), kept_gaussians(avatar, prior.covered)).avatar
        view = front_view(avatar, (256, 256))
        a, b = (x.render(view.params, view.camera) for x in (avatar, made))
    solid = (a.alpha > 0.97) & (b.alpha > 0.97)
    assert float((a.alpha - b.alpha).abs().mean()) < 0.006, "the silhouette stays"
    assert float((a.rgb - b.rgb)[solid].square().mean()) < 10**-3.3, "33 dB: the resampling alone"
    flat = (a.rgb[solid] - a.rgb[solid].mean(0)).square().mean()
    assert float((a.rgb - b.rgb)[solid].square().mean()) < 0.35 * float(flat), "the pattern itself is kept"


def test_the_tuned_network_starts_without_effect(prior: UVPrior) -> None:
    with torch.no_grad():
        before = prior.gaussians()
        prior.begin_tuning()
        after = prior.gaussians()
    assert torch.equal(before.albedo, after.albedo)
    assert prior.locality(torch.Generator().manual_seed(0)).item() == 0.0


def test_locality_grows_with_the_networks_change(prior: UVPrior) -> None:
    prior.begin_tuning()
    assert prior.network.out.bias is not None
    with torch.no_grad():
        prior.network.out.bias.add_(0.1)
    loss = prior.locality(torch.Generator().manual_seed(0))
    assert float(loss) == pytest.approx(0.01, rel=1e-4)


def test_residuals_are_bounded_and_zero_at_the_border(prior: UVPrior) -> None:
    with torch.no_grad():
        for m in prior.maps:
            m.fill_(1e3)
        far = prior.gaussians()
    gain = far.albedo.log() - prior.start.albedo.clamp(min=0.02).log()
    assert float(gain.max()) <= LOG_RANGE + 1e-3
    assert float((far.log_scale - prior.start.log_scale).max()) <= SCALE_RANGE + 1e-4
    at_border = prior.border[:, 0] == 0
    assert bool(at_border.any()) and bool((prior.border == 1).any())
    assert torch.equal(far.log_scale[at_border], prior.start.log_scale[at_border])


def test_every_latent_moves_the_head(prior: UVPrior) -> None:
    prior.gaussians().albedo.sum().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in prior.latent())


def test_the_mesh_follows(avatar: GaussianAvatar, prior: UVPrior) -> None:
    with torch.no_grad():
        prior.maps[0][:, :3] += 2.0
    done = prior.finish(avatar)
    texels = covered_texels(avatar.head, prior.covered)
    inside = torch.zeros(512 * 512, dtype=torch.bool)
    inside[texels] = True
    covered = (inside & (border_map(avatar.head, texels, prior.covered).flatten() == 1)).numpy()
    covered = covered.reshape(512, 512)
    charts = rasterize_uv(avatar.head.uv, avatar.head.faces_uv, 512).triangle.numpy().reshape(512, 512) >= 0
    elsewhere = charts & ~inside.numpy().reshape(512, 512)
    before, after = (x.mesh.texture.astype(float).mean(-1) for x in (avatar, done))
    assert (after - before)[covered].mean() > 10
    assert np.abs(after - before)[elsewhere].mean() < 3


def test_the_start_is_the_mean_of_texture_and_gaussians(avatar: GaussianAvatar) -> None:
    """Noise of the Gaussians, which the texture does not have, shrinks by the weight of their own colour."""
    noise = torch.randn(avatar.gaussians.albedo.shape, generator=torch.Generator().manual_seed(0)) * 0.03
    noisy = GaussianAvatar(
        avatar.mesh, replace(avatar.gaussians, albedo=(avatar.gaussians.albedo + noise).clamp(0, 1))
    )
    clean, rough = started(avatar), started(noisy)
    inside = clean.border[:, 0] == 1
    index = torch.nonzero(clean.covered[avatar.gaussians.triangle.clamp(max=len(clean.covered) - 1)])[:, 0]
    assert len(index) == len(clean.start)
    left = (rough.start.albedo - clean.start.albedo)[inside].std()
    assert float(left) == pytest.approx(own_weight(avatar) * 0.03, rel=0.05)


def test_gaussians_of_sharp_photos_stay(avatar: GaussianAvatar) -> None:
    def with_photo(scale: float) -> GaussianAvatar:
        source = replace(avatar.source, camera=avatar.source.camera.scaled(scale))
        return GaussianAvatar(
            replace(avatar.mesh, bound=replace(avatar.mesh.bound, source=source)), avatar.gaussians
        )

    assert own_weight(with_photo(4.0)) == 1.0
    assert own_weight(with_photo(0.5)) == OWN


def test_without_a_texture_of_its_own_the_gaussians_stay(avatar: GaussianAvatar) -> None:
    grey = replace(avatar.mesh, texture=np.full((64, 64, 3), 128, np.uint8))
    prior = started(GaussianAvatar(grey, avatar.gaussians))
    index = torch.nonzero(prior.covered[avatar.gaussians.triangle.clamp(max=len(prior.covered) - 1)])[:, 0]
    assert torch.equal(prior.start.albedo, avatar.gaussians.albedo[index])
    assert float(prior.base.std()) > 0.02, "the network sees the Gaussians' colours"
