"""Lookups: texel centres, edges, gradients, halvings."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headcast.render.texture import Pyramid, mip_levels, sample_texture

MODES = ("bilinear", "bicubic")


def centres(height: int, width: int) -> torch.Tensor:
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij"
    )
    return torch.stack([x, y], -1)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(MODES))
def test_texel_centres_give_the_texels(height: int, width: int, mode: str) -> None:
    texture = torch.rand(height, width, 3)
    torch.testing.assert_close(
        sample_texture(texture, centres(height, width), mode=mode), texture, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_ramp_stays_a_ramp_and_outside_is_the_edge(mode: str) -> None:
    texture = torch.arange(8.0)[None, :, None].expand(8, 8, 1)
    uv = torch.tensor([[0.3, 0.5], [0.55, 0.1], [-3.0, 0.5], [4.0, 2.0]])
    expected = torch.tensor([[0.3 * 8 - 0.5], [0.55 * 8 - 0.5], [0.0], [7.0]])
    torch.testing.assert_close(sample_texture(texture, uv, mode=mode), expected)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_in_texture_and_uv(mode: str) -> None:
    texture = torch.rand(5, 6, 2, dtype=torch.double, requires_grad=True)
    uv = (torch.rand(7, 2, dtype=torch.double) * 1.2 - 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda t, x: sample_texture(t, x, mode=mode), (texture, uv))


def test_halvings_keep_the_mean_and_level_blends() -> None:
    texture = torch.rand(64, 32, 3)
    levels = mip_levels(texture)
    assert [tuple(x.shape[:2]) for x in levels] == [(32, 16), (16, 8)]
    for level in levels:
        torch.testing.assert_close(level.mean((0, 1)), texture.mean((0, 1)))
    uv = torch.rand(9, 2)
    lod = torch.tensor([0, 0.25, 0.5, 1, 1.5, 2, 7, 0, 1])
    out = sample_texture(texture, uv, levels=levels, lod=lod)
    each = torch.stack([sample_texture(x, uv) for x in (texture, *levels)])
    for i, t in enumerate(lod.clamp(max=2)):
        low = min(int(t), 1)
        torch.testing.assert_close(out[i], each[low, i].lerp(each[low + 1, i], t - low))


def test_odd_sides_halve_and_pack() -> None:
    pyramid = Pyramid.make(torch.rand(37, 51, 3))
    texels, table = pyramid.packed
    assert pyramid.size == (51, 37)
    assert table[:2].tolist() == [[0, 51, 37], [51 * 37, 26, 19]]
    assert len(texels) == sum(x.shape[0] * x.shape[1] for x in pyramid.levels) and (texels[:, 3] == 1).all()
    torch.testing.assert_close(torch.from_numpy(texels[: 51 * 37, :3]).reshape(37, 51, 3), pyramid.levels[0])
