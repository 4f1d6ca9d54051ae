"""Static fields of the face that people are painted with: where it blushes, folds, and grows hair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.synth.atlas import Atlas, ramp
from headcast.synth.rng import CounterRng

__all__ = ["FOLDS", "Fields", "make_fields"]

FOLDS = ("forehead", "forehead2", "crow", "nasolabial", "glabella", "under_eye", "marionette", "neck")
BROWS = 6
WIDE = 21
"""Texels of the widest box filter at textures of 1024."""


@dataclass(frozen=True)
class Fields:
    """Maps (H, W) in 0..1 over an atlas.

    Attributes:
        face: where the skin model was learned; blush, nose, eyelids, under_eye: soft spots.
        beard, moustache, chin: where facial hair grows; scalp: where hair does, soft at its line.
        fold (8, H, W): depth of the folds of ``FOLDS``, 0..1. pores: how porous.
        brow (6, H, W): coverage by the hairs of six brows.
    """

    face: Tensor
    blush: Tensor
    nose: Tensor
    lid: Tensor
    under_eye: Tensor
    beard: Tensor
    moustache: Tensor
    chin: Tensor
    scalp: Tensor
    fold: Tensor
    pores: Tensor
    brow: Tensor


def make_fields(atlas: Atlas) -> Fields:
    """Compute all fields of an atlas."""
    p, at, r = atlas.position, atlas.points, atlas.region
    x, y = p[..., 0].abs(), p[..., 1]
    skin = r["skin"]
    spot = _spots(p, skin)
    face = soften(sum(r[n] for n in ("face", "nose", "lids", "brows", "lips")) * skin, atlas.size // 48)
    eyes = (at[36:42].mean(0), at[42:48].mean(0))
    below = torch.tensor([0.0, -0.013, 0.0], device=p.device)
    cheek = torch.tensor([0.012, -0.036, -0.004], device=p.device)
    flip = torch.tensor([-1.0, 1.0, 1.0], device=p.device)
    base, mouth, chin_y = at[33, 1], at[48:68].mean(0), at[8, 1]
    lips = soften(r["lips"], max(1, atlas.size // 340))
    line = base - 0.004 - 0.006 * ramp(0.02, 0.034, x) + 0.052 * ramp(0.056, 0.07, x)
    lower = ramp(line + 0.004, line - 0.004, y) * ramp(
        chin_y - 0.04, chin_y - 0.012, y + 0.35 * (0.1 - p[..., 2]).clamp(min=0)
    )
    beard = lower * (r["face"] * skin) * (1 - lips) * ramp(-0.01, 0.012, p[..., 2] + 0.006)
    moustache = beard * ramp(mouth[1] - 0.002, mouth[1] + 0.003, y) * ramp(0.036, 0.027, x)
    chin = beard * ramp(0.034, 0.022, x)
    return Fields(
        face,
        spot(eyes[1] + cheek, 0.017) + spot(eyes[0] + cheek * flip, 0.017),
        spot(at[30], 0.014),
        soften(r["lids"], atlas.size // 200),
        spot(eyes[0] + below, 0.011) + spot(eyes[1] + below, 0.011),
        beard,
        moustache,
        chin,
        soften(r["scalp"], atlas.size // 96),
        folds(atlas),
        (
            0.35
            + 0.65
            * (spot(at[30], 0.03) + spot(eyes[1] + cheek, 0.03) + spot(eyes[0] + cheek * flip, 0.03)).clamp(
                max=1
            )
        )
        * skin,
        brows(atlas),
    )


def _spots(p: Tensor, skin: Tensor) -> Callable[[Tensor, float], Tensor]:
    def spot(center: Tensor, radius: float) -> Tensor:
        return torch.exp(-((p - center) ** 2).sum(-1) / (2 * radius**2)) * skin

    return spot


def soften(mask: Float[Tensor, "h w"], radius: int) -> Float[Tensor, "h w"]:
    """Apply two box filters of ``radius`` texels."""
    m, k = mask[None, None], 2 * max(radius, 1) + 1
    # large ones a direction after the other; those of usual textures stay as they were, bit for bit
    kernels = [(k, 1), (1, k)] if radius > WIDE else [(k, k)]
    for _ in range(2):
        m = torch.nn.functional.pad(m, (k // 2,) * 4, "replicate")
        for kernel in kernels:
            m = torch.nn.functional.avg_pool2d(m, kernel, 1)
    return m[0, 0]


def folds(atlas: Atlas) -> Float[Tensor, "8 h w"]:
    """Return depths of wrinkles from curves on the neutral face."""
    p, at, skin = atlas.position, atlas.points, atlas.region["skin"]
    xs, x, y = p[..., 0], p[..., 0].abs(), p[..., 1]
    front = ramp(0.03, 0.06, p[..., 2])
    out = []
    brow = at[17:27, 1].max()
    for k in range(2):
        total = torch.zeros_like(x)
        for j in range(4 - k):
            level = brow + 0.013 + 0.0105 * j + 0.004 * k
            wave = 0.0022 * torch.sin(xs * (90 + 23 * j + 31 * k) + 2 * j + k) - 2.2 * xs**2
            total = torch.maximum(total, valley(y - level - wave, 0.0012) * ramp(0.05, 0.028 - 0.003 * j, x))
        out.append(total * front)
    corner = at[45].clone()
    corner[0] = corner[0].abs() + 0.004
    dx, dy = x - corner[0], y - corner[1]
    reach, angle = (dx * dx + dy * dy).sqrt(), torch.atan2(dy, dx)
    rays = valley(torch.sin(angle * 6.5 + 0.4) * reach * 0.14, 0.0007)
    out.append(rays * ramp(0.004, 0.008, reach) * ramp(0.026, 0.014, reach) * ramp(1.15, 0.8, angle.abs()))
    wing, lip = at[35], at[54]
    t = ((wing[1] - y) / (wing[1] - lip[1] + 0.006)).clamp(-0.3, 1.3)
    curve = wing[0].abs() + 0.004 + (lip[0].abs() + 0.006 - wing[0].abs()) * t.clamp(0) ** 0.8
    out.append(valley(x - curve, 0.0022) * ramp(-0.25, 0.05, t) * ramp(1.3, 0.85, t) * front)
    out.append(
        valley(x - 0.0055, 0.0011)
        * ramp(at[27, 1] - 0.004, at[27, 1] + 0.006, y)
        * ramp(brow + 0.012, brow, y)
        * front
    )
    eye = at[42:48].mean(0)
    arc = eye[1] - 0.0155 + 9.0 * (x - eye[0]) ** 2
    out.append(valley(y - arc, 0.0018) * ramp(0.019, 0.012, (x - eye[0]).abs()) * front)
    side = lip[0].abs() + 0.002
    out.append(
        valley(x - side - 0.25 * (lip[1] - y), 0.0015)
        * ramp(lip[1] + 0.001, lip[1] - 0.006, y)
        * ramp(lip[1] - 0.026, lip[1] - 0.015, y)
        * front
    )
    rings = torch.maximum(
        valley(y - at[8, 1] + 0.042 + 0.25 * x, 0.0014), valley(y - at[8, 1] + 0.056 + 0.2 * x, 0.0014)
    )
    out.append(rings * atlas.region["neck"] * ramp(0.06, 0.03, x))
    return torch.stack(out) * skin


def valley(distance: Tensor, width: float) -> Tensor:
    """Return 1 on a curve, falling off over ``width`` metres."""
    return torch.exp(-((distance / width) ** 2))


def brows(atlas: Atlas) -> Float[Tensor, "6 h w"]:
    """Return coverage by brow hairs: six designs, left and right."""
    out = torch.zeros(BROWS, *atlas.position.shape[:2], device=atlas.position.device)
    near = atlas.region["skin"] > 0
    p, at = atlas.position, atlas.points
    y0, y1 = at[17:27, 1].min() - 0.012, at[17:27, 1].max() + 0.016
    rows = (
        near & (p[..., 2] > 0.02) & (p[..., 1] > y0) & (p[..., 1] < y1) & (p[..., 0].abs() < 0.075)
    ).nonzero()
    xy = p[rows[:, 0], rows[:, 1], :2]
    texel = atlas.scale[rows[:, 0], rows[:, 1]].mean(-1).clamp(max=0.004)
    rows_of = torch.arange(BROWS).numpy()[:, None]
    rng = CounterRng(rows_of, 1, p.device)
    for style in range(BROWS):
        clear = torch.ones(len(xy), device=p.device)
        for side, spine in (("left", at[22:27]), ("right", at[17:22].flip(0))):
            clear *= brow_side(rng, style, side, spine[:, :2], xy, texel)
        out[style, rows[:, 0], rows[:, 1]] = 1 - clear
    return out


def brow_side(rng: CounterRng, style: int, side: str, spine: Tensor, xy: Tensor, texel: Tensor) -> Tensor:
    """Return how much skin one brow leaves uncovered at points of the face (plane of x and y)."""
    hairs = 230
    u, v, w = (rng.uniform(f"brow {n} {side}", hairs)[style] for n in ("along", "across", "turn"))
    thick = 0.0034 + 0.0011 * (style % 3)
    t = u * (len(spine) - 1)
    i = t.long().clamp(max=len(spine) - 2)
    root = spine[i] + (spine[i + 1] - spine[i]) * (t - i)[:, None]
    out = spine[-1, 0].sign()
    profile = ramp(-0.12, 0.25, u) * (1 - 0.8 * ramp(0.45, 1.0, u))
    below = 0.0036  # the landmarks run along the upper edge
    root = root + torch.stack([torch.zeros_like(u), (2 * v - 1) * thick * profile - below], -1)
    bend = 1.25 * (1 - u) ** 1.6 - 0.35 * u - (v - 0.5) * 1.1 + 0.3 * (w - 0.5)
    length = (0.0055 + 0.003 * w) * (0.75 + 0.5 * profile)
    tip = root + length[:, None] * torch.stack([out * bend.cos(), bend.sin()], -1)
    clear = torch.ones(len(xy), device=xy.device)
    width = 0.00023 * (1 + 0.25 * (style // 3))
    for a, b in zip(root.split(32), tip.split(32), strict=True):
        d = b - a
        s = (((xy[:, None] - a) * d).sum(-1) / (d * d).sum(-1)).clamp(0, 1)
        gap = (xy[:, None] - a - s[..., None] * d).norm(dim=-1)
        wide = width * (1 - 0.75 * s)
        cover = ((wide + 0.5 * texel[:, None] - gap) / texel[:, None]).clamp(0, 1) * (
            2 * wide / texel[:, None]
        ).clamp(max=1)
        clear *= (1 - cover).prod(1)
    return clear
