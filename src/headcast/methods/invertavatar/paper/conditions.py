"""Rasterise neural textures into the frontal plane, at every scale, over the static tri-plane (Fig. 11).

A mesh condition is an image of (b, s, s, 3): where the frontal orthographic view of the face mesh samples the
texture, x and y in -1..1, and 1 where there is mesh. Its rows go up with the world's y, as the planes' do; it
covers ``CROP`` of the plane.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

__all__ = [
    "CROP",
    "MeshCondition",
    "crop_plane",
    "fill_holes",
    "paste_into_plane",
    "rasterize_textures",
    "resize",
]

MeshCondition = Float[Tensor, "b s s 3"]
CROP = ((57 / 256, 185 / 256), (64 / 256, 192 / 256))
"""Rows and columns of the frontal plane that the condition covers, fractions of its side."""
LOWEST_MOUTH_ROW = 87 / 256
"""Of the condition's rows: holes below (chin and neck) stay open in the textures' masks."""


def resize(x: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c s s"]:
    """Resize to ``side``², bilinear and free of aliasing."""
    if x.shape[-1] == side:
        return x
    return interpolate(x, (side, side), mode="bilinear", align_corners=False, antialias=True)


def crop_slices(side: int) -> tuple[slice, slice]:
    """Return rows and columns of the crop in a plane of ``side``²."""
    (top, bottom), (left, right) = CROP
    return slice(round(top * side), round(bottom * side)), slice(round(left * side), round(right * side))


def crop_plane(plane: Float[Tensor, "b c s s"]) -> Float[Tensor, "b c s s"]:
    """Cut out what the condition covers, enlarged to the plane's own side."""
    rows, columns = crop_slices(plane.shape[-1])
    return resize(plane[..., rows, columns], plane.shape[-1])


def paste_into_plane(x: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c s s"]:
    """Reduce an image to the crop's size and lay it into a plane of zeros."""
    rows, columns = crop_slices(side)
    out = x.new_zeros(*x.shape[:2], side, side)
    out[..., rows, columns] = resize(x, rows.stop - rows.start)
    return out


def rasterize_textures(
    textures: list[Tensor], statics: list[Tensor], condition: MeshCondition
) -> list[Tensor]:
    """Blend textures, sampled through the mesh, over the static plane at each scale.

    Args:
        textures: (b, c, n, n) neural textures of some levels. statics: the static features of these levels,
            of which the first c channels are the frontal plane's.

    Returns:
        (b, c + 1, n, n) a level; the last channel is the opacity, the upper part of the mouth included.
    """
    grid, mask = condition[..., :2], condition[..., 2:].permute(0, 3, 1, 2)
    mouth = fill_holes(mask) - mask
    mouth[:, :, : round(LOWEST_MOUTH_ROW * mask.shape[-1])] = 0
    out = []
    for texture, static in zip(textures, statics, strict=True):
        n, c = texture.shape[-1], texture.shape[1]
        posed = grid_sample(texture, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        small = resize(mask, n)
        blended = resize(posed, n) * small + crop_plane(static[:, :c]) * (1 - small)
        out.append(torch.cat([blended, resize(mask + mouth, n)], 1))
    return out


def fill_holes(mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Set to 1 what is 0 and not connected with the corner at row 0, column 0 (four neighbours)."""
    free = mask[:, 0] == 0
    reached = torch.zeros_like(free)
    reached[:, 0, 0] = free[:, 0, 0]
    while True:
        more = spread_along_rows(reached, free)
        more = spread_along_rows(more.transpose(1, 2), free.transpose(1, 2)).transpose(1, 2)
        if torch.equal(more, reached):
            break
        reached = more
    return torch.where((free & ~reached)[:, None], 1.0, mask)


def spread_along_rows(reached: Bool[Tensor, "b h w"], free: Bool[Tensor, "b h w"]) -> Bool[Tensor, "b h w"]:
    """Reach every free run of a row of which one pixel is reached."""
    run = torch.cumsum(~free, -1)  # pixels between two blocked ones have one number
    hit = torch.zeros(*free.shape[:2], free.shape[2] + 1, device=free.device)
    hit = hit.scatter_reduce(-1, run, (reached & free).float(), "amax")
    return free & (hit.gather(-1, run) > 0)
