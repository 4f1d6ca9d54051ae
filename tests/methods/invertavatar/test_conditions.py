"""Neural textures over the static plane: holes, crops, rasterisation at every scale."""

from __future__ import annotations

import torch

from headcast.methods.invertavatar.paper.conditions import (
    crop_plane,
    fill_holes,
    paste_into_plane,
    rasterize_textures,
)


def ring(side: int = 256) -> torch.Tensor:
    """A mask of a face with two holes: a mouth and, further down, one below it."""
    mask = torch.zeros(1, 1, side, side)
    s = side // 16
    mask[..., 2 * s : 14 * s, 4 * s : 12 * s] = 1
    mask[..., 8 * s : 9 * s, 7 * s : 9 * s] = 0  # above row 87 of 256
    mask[..., 3 * s : 4 * s, 7 * s : 9 * s] = 0  # below it (rows go up with y)
    return mask


def test_holes_are_what_the_corner_does_not_reach() -> None:
    mask = ring(64)
    filled = fill_holes(mask)
    assert float((filled - mask).sum()) == 2 * 4 * 8
    # a spiral: every pixel of its inside is connected with the outside, round many corners
    maze = torch.tensor([[0, 1, 1, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]])
    maze = maze[None, None].float()
    assert torch.equal(fill_holes(maze), maze)
    maze[0, 0, 2, 3] = 1
    assert int((fill_holes(maze) - maze).sum()) == 3
    # diagonal neighbours are not connected
    corner = torch.tensor([[0.0, 1.0], [1.0, 0.0]])[None, None]
    assert float(fill_holes(corner)[0, 0, 1, 1]) == 1
    both = torch.cat([mask, torch.zeros_like(mask)])
    torch.testing.assert_close(fill_holes(both), torch.cat([filled, torch.zeros_like(mask)]))


def test_what_is_pasted_lies_where_it_was_cut() -> None:
    torch.manual_seed(0)
    plane = torch.nn.functional.interpolate(torch.randn(1, 2, 16, 16), (256, 256), mode="bicubic")
    back = paste_into_plane(crop_plane(plane), 256)
    inside = (..., slice(60, 180), slice(68, 188))
    error, shifted = ((plane - other)[inside].abs().mean() for other in (back, back.roll((1, 1), (2, 3))))
    assert float(error) < 0.01 and float(shifted) > 4 * float(error)
    assert float(back[:, :, :57].abs().max()) == 0 and float(back[..., 192:].abs().max()) == 0


def test_textures_lie_over_the_static_plane_and_only_the_upper_mouth_is_closed() -> None:
    mask = ring()
    y, x = torch.meshgrid(torch.linspace(-1, 1, 256), torch.linspace(-1, 1, 256), indexing="ij")
    condition = torch.cat([torch.stack([x, y], -1)[None], mask.permute(0, 2, 3, 1)], -1)
    textures = [torch.full((1, 3, n, n), 2.0) for n in (128, 256)]
    statics = [torch.full((1, 9, n, n), -1.0) for n in (128, 256)]
    for n, found in zip((128, 256), rasterize_textures(textures, statics, condition), strict=True):
        assert found.shape == (1, 4, n, n)
        at = n // 16
        assert float(found[0, 0, 5 * at, 5 * at]) == 2 and float(found[0, 3, 5 * at, 5 * at]) == 1
        assert float(found[0, 0, 0, 0]) == -1 and float(found[0, 3, 0, 0]) == 0
        middle = at // 2
        mouth, below = 8 * at + middle, 3 * at + middle
        # in the mouth the static features stand, opaque; the lower hole stays open
        assert float(found[0, 0, mouth, n // 2]) == -1 and float(found[0, 3, mouth, n // 2]) == 1
        assert float(found[0, 3, below, n // 2]) == 0
