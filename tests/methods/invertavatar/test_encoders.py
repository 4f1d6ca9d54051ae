"""E_latent, E_tex and E_tri: shapes, states that are carried, memory that doesn't grow."""

from __future__ import annotations

import pytest
import torch

from headcast.methods.invertavatar.paper.config import PAPER, TINY
from headcast.methods.invertavatar.paper.encoders import LatentEncoder, TextureEncoder, TriplaneEncoder


@pytest.fixture(scope="module", autouse=True)
def no_gradients() -> None:
    """These tests only look forward."""
    torch.manual_seed(0)


@torch.no_grad()
def test_e_latent_makes_one_latent_a_layer_whatever_the_images_side() -> None:
    encoder = LatentEncoder(TINY).eval()
    image = torch.randn(2, 3, TINY.side, TINY.side)
    ws = encoder(image)
    assert ws.shape == (2, TINY.latents, TINY.style)
    large = torch.nn.functional.interpolate(image, scale_factor=2, mode="nearest")
    torch.testing.assert_close(encoder(large), ws)
    # latents add to the first one
    for p in encoder.styles[0].parameters():
        p.mul_(0)
    torch.testing.assert_close(encoder(image)[:, 1:], (ws - ws[:, :1])[:, 1:], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_offsets_have_the_shapes_of_the_textures_levels() -> None:
    network = TextureEncoder(TINY).eval()
    offsets, state = network(torch.randn(2, 3, 7, TINY.side, TINY.side))
    n = TINY.side
    shapes = [(TINY.plane_channels, n // 8)] + [(TINY.channels(n // k), n // k) for k in (8, 4, 2)]
    assert [tuple(x.shape) for x in offsets] == [(2, c, s, s) for c, s in shapes]
    assert [x.shape[-1] for x in state] == [n // 16, n // 8, n // 4, n // 2]


@torch.no_grad()
def test_modulations_are_of_half_the_channels_of_five_blocks() -> None:
    network = TriplaneEncoder(TINY).eval()
    modulation, _ = network(torch.randn(1, 2, 6, TINY.side, TINY.side))
    assert list(modulation) == [TINY.side >> k for k in (4, 3, 2, 1, 0)]
    for side, (scale, shift) in modulation.items():
        assert scale.shape == shift.shape == (1, TINY.channels(side) // 2, side, side)


@torch.no_grad()
def test_memory_counts_and_does_not_grow() -> None:
    network = TextureEncoder(TINY).eval()
    frames = torch.randn(1, 6, 7, TINY.side, TINY.side)
    state = None
    sizes = set()
    for t in range(6):
        offsets, state = network(frames[:, t : t + 1], state)
        sizes.add(sum(h.numel() for h in state))
    assert len(sizes) == 1
    alone, _ = network(frames[:, 5:])
    assert not torch.allclose(alone[0], offsets[0])
    # the one-shot network has no states to carry
    single = TextureEncoder(TINY, recurrent=False)
    assert not any("conv_gru" in name for name, _ in single.named_parameters())


def test_the_papers_size() -> None:
    with torch.device("meta"):
        one, two, three = LatentEncoder(PAPER), TextureEncoder(PAPER), TriplaneEncoder(PAPER)
        ws = one.eval()(torch.empty(1, 3, 512, 512))
        offsets, state = two.eval()(torch.empty(1, 1, 7, 256, 256))
        modulation, _ = three.eval()(torch.empty(1, 1, 6, 512, 512))
    assert ws.shape == (1, 14, 512)
    assert [tuple(x.shape[1:]) for x in offsets] == [
        (32, 32, 32),
        (512, 32, 32),
        (512, 64, 64),
        (256, 128, 128),
    ]
    assert [tuple(h.shape[1:]) for h in state] == [
        (512, 16, 16),
        (384, 32, 32),
        (256, 64, 64),
        (96, 128, 128),
    ]
    assert {k: v[0].shape[1] for k, v in modulation.items()} == {16: 256, 32: 256, 64: 256, 128: 128, 256: 64}
