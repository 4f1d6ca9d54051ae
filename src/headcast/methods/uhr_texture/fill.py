"""Fill what the image leaves open: hidden by glasses or hair, turned away, or off the face (§3.4, §6)."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, pad

from headcast.head.model import HeadModel

__all__ = [
    "blend_over",
    "complete_by_symmetry",
    "mirror_grid",
    "normalize_normals",
    "pull_push",
    "soften_visibility",
]

SOFT = 0.012
"""Width of the transition to what is filled in, as a fraction of the texture's side."""
SYMMETRY = 0.9
"""Confidence in the mirrored side where it was visible and this side was not."""


def soften_visibility(visibility: Float[Tensor, "t t"]) -> Float[Tensor, "t t"]:
    """Soften the rim of the visible fraction, inwards only."""
    size = visibility.shape[0]
    k = 2 * max(1, round(SOFT * size)) + 1
    x = (visibility > 0.05).float()[None, None]
    for _ in range(2):
        # rows, then columns: at once a texel would cost k², minutes at 4096²
        x = avg_pool2d(avg_pool2d(pad(x, (k // 2,) * 4, mode="replicate"), (k, 1), 1), (1, k), 1)
    return (2 * x[0, 0] - 1).clamp(0, 1) * visibility.clamp(max=1).sqrt()


def pull_push(values: Float[Tensor, "c t t"], weight: Float[Tensor, "t t"]) -> Float[Tensor, "c t t"]:
    """Fill holes from their surroundings, ever coarser (pull-push: Gortler et al., The Lumigraph, 1996)."""
    x, w = (values * weight)[None], weight[None, None]
    if min(values.shape[-2:]) <= 2:
        total = w.sum().clamp(min=1e-6)
        return (x.sum((2, 3), keepdim=True) / total).expand_as(x)[0]
    odd = (0, values.shape[-1] % 2, 0, values.shape[-2] % 2)
    small_w = avg_pool2d(pad(w, odd), 2) * 4
    small = avg_pool2d(pad(x, odd), 2) * 4 / small_w.clamp(min=1e-6)
    coarse = pull_push(small[0], small_w[0, 0].clamp(max=1))
    up = interpolate(coarse[None], values.shape[-2:], mode="bilinear")[0]
    return values * weight + (1 - weight) * up


@cache
def _mirror(_hash: str, size: int, head: HeadModel) -> Tensor:
    from headcast.texture.texels import texels_of

    texels = texels_of(head, size)
    faces, pair = head.faces, head.mirror
    table = {tuple(sorted(f)): i for i, f in enumerate(faces.tolist())}
    uv = torch.full((size * size, 2), -1.0)
    partner = torch.full((len(faces), 3), -1, dtype=torch.long)  # uv corner of each corner's mirror image
    for i, other in enumerate(pair[faces].tolist()):
        j = table.get(tuple(sorted(other)))
        if j is not None:
            at = faces[j].tolist()
            partner[i] = torch.tensor([int(head.faces_uv[j, at.index(v)]) for v in other])
    chosen = partner[torch.from_numpy(texels.triangle)]
    found = (head.uv[chosen.clamp(min=0)] * torch.from_numpy(texels.bary)[..., None]).sum(1)
    uv[torch.from_numpy(texels.index)] = torch.where(
        (chosen >= 0).all(1, keepdim=True), found, torch.tensor(-1.0)
    )
    return uv.view(size, size, 2)


def mirror_grid(head: HeadModel, size: int) -> Float[Tensor, "t t 2"]:
    """Return for every texel of the bundled head the UV of its mirror image; -1 where there is none."""
    low = min(size, 1024)
    grid = _mirror(head.hash, low, head)
    if low == size:
        return grid
    known = (grid[..., :1] >= 0).float().permute(2, 0, 1)[None]
    wide = interpolate(grid.permute(2, 0, 1)[None], (size, size), mode="bilinear")
    whole = interpolate(known, (size, size), mode="bilinear") > 0.999
    return torch.where(whole, wide, torch.tensor(-1.0))[0].permute(1, 2, 0)


def complete_by_symmetry(
    maps: Float[Tensor, "7 t t"], visibility: Float[Tensor, "t t"], head: HeadModel
) -> tuple[Tensor, Tensor]:
    """Complete maps and visible fraction from the other side; micronormals flip their x."""
    at = mirror_grid(head, maps.shape[-1])
    known = (at[..., 0] >= 0).float()
    grid = (at * 2 - 1)[None]
    trust = grid_sample(visibility[None, None], grid, padding_mode="border", align_corners=False)[0, 0]
    fraction = (1 - visibility) * trust * known * SYMMETRY
    total = (visibility + fraction).clamp(min=1e-6)
    out = maps * (visibility / total)
    for c in range(len(maps)):  # one after the other: 4096² leave no room for all at once
        other = grid_sample(maps[None, c : c + 1], grid, padding_mode="border", align_corners=False)[0, 0]
        out[c] += (1 - other if c == 3 else other) * (fraction / total)
    return out, (visibility + fraction).clamp(max=1)


def blend_over(
    maps: Float[Tensor, "7 t t"],
    visibility: Float[Tensor, "t t"],
    predefined: Float[Tensor, "7 t t"],
    face: Float[Tensor, "t t"],
) -> Float[Tensor, "7 t t"]:
    """Blend the maps over a predefined texture whose colour is matched to the face's (§3.4).

    Albedo is compared in linear light over ``face``, where visible: one gain a channel. Between them the
    gain is interpolated smoothly (``pull_push``), so that no edge shows; what differs is the detail.
    """
    from headcast.image import linear_to_srgb, srgb_to_linear

    here = visibility * face
    total = here.sum().clamp(min=1e-6)
    step = max(1, maps.shape[-1] // 512)
    weight = avg_pool2d(here[None, None], step)[0, 0]
    sure = (weight / weight.max().clamp(min=1e-6)).clamp(max=1)
    out = predefined.clone()
    for c in range(3):  # one after the other: 4096² leave no room for all at once
        given = srgb_to_linear(predefined[c]) + 0.01
        log = ((srgb_to_linear(maps[c]) + 0.01) / given).log()
        mean = (log * here).sum() / total
        gain = _smooth_gain(maps, log, mean, here, step, weight, sure)
        out[c] = linear_to_srgb((given * gain - 0.01).clamp(0, 1)) * face + predefined[c] * (1 - face)
    usual = ((predefined[6] * here).sum() / total).clamp(min=1e-3)
    level = (maps[6] * here).sum() / total / usual if float(here.sum()) > 1 else torch.ones(())
    out[6] = torch.where(face > 0, predefined[6] * level, predefined[6]).clamp(0, 1)
    for c in range(len(out)):
        out[c] += (maps[c] - out[c]) * visibility
    normalize_normals(out[3:6])
    return out


def _smooth_gain(
    maps: Float[Tensor, "7 t t"],
    log: Tensor,
    mean: Tensor,
    here: Tensor,
    step: int,
    weight: Tensor,
    sure: Tensor,
) -> Tensor:
    """Spread a channel's gain from where it is known to everywhere."""
    small = avg_pool2d(((log - mean) * here)[None, None], step)[0]
    near = pull_push(small / weight.clamp(min=1e-4), sure)
    near = avg_pool2d(pad(near[None], (8,) * 4, mode="replicate"), 17, 1)
    return (mean + interpolate(near, maps.shape[-2:], mode="bilinear")[0, 0]).exp()


def normalize_normals(maps: Float[Tensor, "3 h w"]) -> None:
    """Normalize stored normals ((n + 1) / 2) to unit length, in place."""
    maps.mul_(2).sub_(1)
    maps.div_(maps.norm(dim=0).clamp(min=1e-6)).add_(1).div_(2)


def to_numpy(x: Tensor) -> Float[np.ndarray, "h w *c"]:
    """Convert to a NumPy array with channels last."""
    return (x.permute(1, 2, 0) if x.dim() == 3 else x).cpu().numpy()
