"""SPADE blocks and spectral norm: against their formulas, and in use while training."""

from __future__ import annotations

import copy

import torch

from headcast.nets.patch_discriminator import PatchDiscriminator
from headcast.nets.spade import Spade, SpadeResBlock, SpectralConv2d


def test_the_weight_is_divided_by_its_largest_singular_value() -> None:
    torch.manual_seed(0)
    conv = SpectralConv2d(5, 7)
    for _ in range(60):  # power iterations
        conv.weight()
    conv.eval()
    sigma = torch.linalg.svdvals(conv.weight_orig.flatten(1))[0]
    assert torch.allclose(conv.weight(), conv.weight_orig / sigma, rtol=1e-4)
    u = conv.weight_u.clone()
    conv(torch.rand(1, 5, 4, 4))
    assert torch.equal(conv.weight_u, u)


def test_two_uses_before_one_gradient() -> None:
    torch.manual_seed(0)
    conv = SpectralConv2d(3, 4)
    x = torch.rand(2, 3, 6, 6)
    (conv(x) - conv(x.flip(0))).square().sum().backward()
    assert conv.weight_orig.grad is not None and conv.weight_orig.grad.isfinite().all()
    copy.deepcopy(conv)


@torch.no_grad()
def test_a_condition_scales_and_shifts_place_by_place() -> None:
    torch.manual_seed(0)
    spade = Spade(3, 2, hidden=4)
    for conv in (spade.mlp_gamma, spade.mlp_beta):
        conv.weight.zero_()
    spade.mlp_gamma.bias.fill_(1.0)
    spade.mlp_beta.bias.fill_(0.5)
    out = spade(torch.rand(1, 3, 8, 8) * 9, torch.rand(1, 2, 4, 4))
    assert torch.allclose(out.mean((2, 3)), torch.tensor(0.5), atol=1e-5)
    assert torch.allclose(out.std((2, 3), unbiased=False), torch.tensor(2.0), atol=1e-2)
    torch.nn.init.normal_(spade.mlp_beta.weight)
    condition = torch.rand(1, 2, 4, 4)
    changed = condition.clone()
    changed[..., 0, 0] += 1
    x = torch.rand(1, 3, 8, 8)
    change = (spade(x, changed) - spade(x, condition)).abs().amax(1)[0]
    assert change[:2, :2].min() > 0 and change[5:, 5:].max() == 0


@torch.no_grad()
def test_residual_block_keeps_or_changes_the_width() -> None:
    torch.manual_seed(0)
    condition = torch.rand(2, 3, 4, 4)
    same, other = SpadeResBlock(6, 6, 3, 4), SpadeResBlock(6, 4, 3, 4)
    assert same.conv_s is None and other.conv_s is not None and other.conv_s.bias is None
    x = torch.rand(2, 6, 8, 8)
    assert other(x, condition).shape == (2, 4, 8, 8)
    assert same.conv_1.bias is not None
    before = same.eval()(x, condition)
    same.conv_1.bias.add_(3)
    assert torch.allclose(same(x, condition) - before, torch.tensor(3.0), atol=1e-5)


def test_patches_are_scored_at_every_scale() -> None:
    torch.manual_seed(0)
    net = PatchDiscriminator(scales=2, width=4, most=8, layers=3)
    image = torch.rand(2, 3, 64, 64, requires_grad=True)
    fine, coarse = net(image)
    assert len(fine.features) == 3 and fine.scores.shape[1] == 1
    assert fine.scores.shape[-1] > coarse.scores.shape[-1] > 1
    fine.scores[0, 0, 0, 0].backward()
    assert image.grad is not None
    # the corner's score depends on its own surroundings, apart from the norms' statistics of this image
    assert image.grad[0, :, :8, :8].abs().sum() > 0 and image.grad[1].abs().max() == 0
