"""Do borders of patches show? Gradients and fine energy there over those elsewhere, by patches or whole."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.evaluate.report import Row
from headcast.methods.uhr_texture.light import coarse_of, delit_image, skin_mean
from headcast.methods.uhr_texture.patches import refine_in_patches
from headcast.methods.uhr_texture.protocols.skin_images import PARTS, SKIN, inputs_of
from headcast.methods.uhr_texture.weights import SkinNetworks
from headcast.metrics.figure import Figure

__all__ = ["seam_figures", "seam_ratios", "seam_sums"]

KINDS = ("gradient", "fine energy")
PLACES = ("border", "between")
SHAPE = (len(PARTS), 3, len(KINDS), 2, 2)
"""Map; border, between or everywhere; kind; with patches or without; sum and count."""
WIDTH = 8
"""Pixels on both sides of a border in which fine energy is summed."""


def seam_figures(patch: int) -> list[Figure]:
    """Describe the figures of ``seam_ratios``."""
    note = f"patches of {patch} px over the whole image at once, each over elsewhere: 1 is no seam"
    floor = "; between borders: the noise floor"
    return [
        Figure(
            key=_key(part, kind, place),
            title=f"{part}, {kind} {'at borders' if place == 'border' else place}",
            unit="",
            better="neither",
            mask="skin",
            note=note + (floor if place == "between" else ""),
        )
        for part in PARTS
        for kind in KINDS
        for place in PLACES
    ]


def _key(part: str, kind: str, place: str) -> str:
    return f"{part}_{kind.split()[0]}_{place}"


def seam_sums(maps: Float[Tensor, "16 h w"], networks: SkinNetworks, patch: int) -> Row:
    """Sum gradients and fine energy of stage 2's maps at borders and elsewhere, made by patches and whole."""
    n, side = maps.shape[-1], networks.config.side
    rgb, prior, trust, shading = inputs_of(maps, side)
    delit = delit_image(rgb, shading)
    guide = networks.gde(rgb, prior, delit, skin_mean(delit, prior, trust)).clamp(0, 1)
    coarse = coarse_of(rgb, prior, guide, shading)[0]
    both_ways = [refine_in_patches(networks.hfdr, maps[:3], coarse, size) for size in (patch, n)]
    out = torch.zeros(SHAPE)
    for turned in (False, True):
        mask = maps[15:] > SKIN
        for k, found in enumerate(both_ways):
            x, m = (found.transpose(1, 2), mask.transpose(1, 2)) if turned else (found, mask)
            _add_rows(out[..., k, :], x, m[0], patch)
    return {f"sum_{i}": v for i, v in enumerate(out.flatten().tolist())}


def _add_rows(out: Float[Tensor, "3 3 2 2"], x: Tensor, mask: Tensor, patch: int) -> None:
    """Add what stands across rows at multiples of ``patch``, half-way between them, and everywhere."""
    n = x.shape[1]
    both = mask[1:] & mask[:-1]
    inner = both[1:] & both[:-1]
    step = (x[:, 1:] - x[:, :-1]).abs()
    fine = (2 * x[:, 1:-1] - x[:, 2:] - x[:, :-2]).abs()
    places = [(w, s + w * patch // 2) for s in range(patch, n, patch) for w in (0, 1)]
    for i, (a, b) in enumerate(PARTS.values()):
        for where, at in places:
            if at + WIDTH < n:
                near = slice(at - WIDTH, at + WIDTH - 2)
                _add(out[i, where, 0], step[a:b, at - 1 : at], both[at - 1 : at])
                _add(out[i, where, 1], fine[a:b, near], inner[near])
        _add(out[i, 2, 0], step[a:b], both)
        _add(out[i, 2, 1], fine[a:b], inner)


def _add(to: Float[Tensor, "2"], x: Tensor, mask: Tensor) -> None:
    """Add sum and count over a mask."""
    to += torch.stack([(x.mean(0) * mask).sum(), mask.sum()])


def seam_ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Divide what stands at borders by what stands elsewhere, with patches by without, over all images."""
    size = torch.Size(SHAPE).numel()
    total = torch.tensor([[r[f"sum_{i}"] for i in range(size)] for r in rows], dtype=torch.float64).sum(0)
    mean = total.view(SHAPE)[..., 0] / total.view(SHAPE)[..., 1].clamp(min=1)
    ratio = mean[:, :2] / mean[:, 2:]  # map, border or between, kind, with or without
    return {
        _key(part, kind, place): float(ratio[i, w, e, 0] / ratio[i, w, e, 1])
        for i, part in enumerate(PARTS)
        for e, kind in enumerate(KINDS)
        for w, place in enumerate(PLACES)
    }
