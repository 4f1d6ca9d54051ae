"""The UV prior: untrained it is the input; what it changes is bounded and stays inside what it covers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.superhead.heads import patterned

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.rig import frames_of
from headcast.methods.superhead.anchors import AnchorSet
from headcast.methods.superhead.prior import InversionTarget
from headcast.methods.superhead.rigged_render import Rigged, kept_gaussians
from headcast.methods.superhead.uv_prior import LOG_RANGE, SCALE_RANGE, UVPrior
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
    assert prior.network.net.out.bias is not None
    with torch.no_grad():
        prior.network.net.out.bias.add_(0.1)
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
    at_border = prior.border == 0
    assert bool(at_border.any()) and bool((prior.border == 1).any())
    assert torch.equal(far.log_scale[at_border], prior.start.log_scale[at_border])


def test_every_latent_moves_the_head(prior: UVPrior) -> None:
    prior.gaussians().albedo.sum().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in prior.latent())


def test_the_mesh_follows(avatar: GaussianAvatar, prior: UVPrior) -> None:
    with torch.no_grad():
        prior.maps[0][:, :3] += 2.0
    done = prior.finish(avatar)
    covered = np.zeros(512 * 512, bool)
    covered[prior.texels[prior.border == 1].numpy()] = True
    covered = covered.reshape(512, 512)
    before, after = (x.mesh.texture.astype(float).mean(-1) for x in (avatar, done))
    assert (after - before)[covered].mean() > 10
    assert np.abs(after - before)[~covered].mean() < 3
