"""StyleGAN2's synthesis: which latent styles what, conditions, images laid over features."""

from __future__ import annotations

import pytest
import torch

from headcast.nets.stylegan2 import Synthesis


def network() -> Synthesis:
    """A narrow network of 64² images of four channels."""
    torch.manual_seed(0)
    return Synthesis(64, 4, 6, 256, 8).requires_grad_(False)


def test_levels_go_from_an_eighth_of_the_side_to_the_whole() -> None:
    net = network()
    assert net.latents == 10
    pyramid = net(torch.randn(2, 10, 6), "const")
    assert [tuple(x.shape[1:]) for x in pyramid.levels] == [
        (4, 8, 8),
        (8, 8, 8),
        (8, 16, 16),
        (8, 32, 32),
        (4, 64, 64),
        (4, 64, 64),
    ]
    short = net(torch.ones(2, 10, 6), "const", last=32)
    whole = net(torch.ones(2, 10, 6), "const")
    assert len(short.maps) == 3 and short.image.shape[-1] == 32
    assert all(torch.equal(a, b) for a, b in zip(short.maps, whole.maps, strict=False))
    with pytest.raises(ValueError, match="side"):
        Synthesis(48, 4, 6, 256, 8)


def test_each_latent_styles_its_layer_and_what_follows() -> None:
    net = network()
    ws = torch.randn(1, 10, 6)
    before = net(ws, "const")
    for k in range(10):
        other = ws.clone()
        other[:, k] += 1
        after = net(other, "const")
        # the k-th latent belongs to the block of side 4 << (k // 2): coarser features don't change
        changed = [not torch.equal(a, b) for a, b in zip(before.maps, after.maps, strict=True)]
        layer_side = 4 << ((k + 1) // 2)
        assert changed == [layer_side <= side and k < 9 for side in (8, 16, 32, 64)], k
        assert not torch.equal(before.image, after.image)


def test_conditions_change_the_last_channels_between_the_layers() -> None:
    net = network()
    ws = torch.randn(1, 10, 6)
    neutral = (torch.ones(1, 4, 16, 16), torch.zeros(1, 4, 16, 16))
    plain = net(ws, "const")
    torch.testing.assert_close(net(ws, "const", {16: neutral}).image, plain.image)
    shifted = net(ws, "const", {16: (neutral[0], neutral[1] + 1)})
    assert torch.equal(shifted.maps[0], plain.maps[0]) and not torch.allclose(shifted.maps[1], plain.maps[1])


def test_an_opaque_image_replaces_features_and_a_clear_one_nothing() -> None:
    net = network()
    ws = torch.randn(1, 10, 6)
    plain = net(ws, "const")
    sizes = [(4, 8), (8, 8), (8, 16), (8, 32)]
    over = [torch.randn(1, c, n, n) for c, n in sizes]
    clear = [torch.cat([x, torch.zeros(1, 1, *x.shape[2:])], 1) for x in over]
    opaque = [torch.cat([x, torch.ones(1, 1, *x.shape[2:])], 1) for x in over]
    torch.testing.assert_close(net(ws, "const", blends=clear).image, plain.image)
    found = net(ws, "const", blends=opaque)
    for a, b in zip([found.skip, *found.maps[:3]], over, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(found.maps[3], plain.maps[3])
