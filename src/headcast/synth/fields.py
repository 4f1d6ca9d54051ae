"""Static fields of the face that people are painted with: where it blushes, folds, and grows hair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.interpolation import smoothstep
from headcast.synth.atlas import Atlas
from headcast.synth.rng import CounterRng

__all__ = ["FOLDS", "Fields", "make_fields"]

FOLDS = ("forehead", "forehead2", "crow", "nasolabial", "glabella", "under_eye", "marionette", "neck")
BROWS, BROW_HAIRS = 6, 230
"""Designs of brows, and hairs of each brow."""
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


class HairAreas(NamedTuple):
    """Where facial hair grows, (H, W) each, 0..1."""

    beard: Tensor
    moustache: Tensor
    chin: Tensor


def make_fields(atlas: Atlas) -> Fields:
    """Compute all fields of an atlas."""
    p, at, r = atlas.position, atlas.points, atlas.region
    skin = r["skin"]
    spot = _spots(p, skin)
    face = soften(sum(r[n] for n in ("face", "nose", "lids", "brows", "lips")) * skin, atlas.size // 48)
    eyes = (at[36:42].mean(0), at[42:48].mean(0))
    below = torch.tensor([0.0, -0.013, 0.0], device=p.device)
    left, right = cheek_centres(eyes)
    porous = (spot(at[30], 0.03) + spot(left, 0.03) + spot(right, 0.03)).clamp(max=1)
    hair = facial_hair_areas(atlas)
    return Fields(
        face=face,
        blush=spot(left, 0.017) + spot(right, 0.017),
        nose=spot(at[30], 0.014),
        lid=soften(r["lids"], atlas.size // 200),
        under_eye=spot(eyes[0] + below, 0.011) + spot(eyes[1] + below, 0.011),
        beard=hair.beard,
        moustache=hair.moustache,
        chin=hair.chin,
        scalp=soften(r["scalp"], atlas.size // 96),
        fold=folds(atlas),
        pores=(0.35 + 0.65 * porous) * skin,
        brow=brows(atlas),
    )


def cheek_centres(eyes: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the middles of the subject's left and right cheek; ``eyes``: of the right and left eye."""
    cheek = torch.tensor([0.012, -0.036, -0.004], device=eyes[0].device)
    flip = torch.tensor([-1.0, 1.0, 1.0], device=cheek.device)
    return eyes[1] + cheek, eyes[0] + cheek * flip


def facial_hair_areas(atlas: Atlas) -> HairAreas:
    """Find where beards grow: below a line from the nose over the cheeks to the ears, above the throat."""
    p, at, r = atlas.position, atlas.points, atlas.region
    x, y = p[..., 0].abs(), p[..., 1]
    base, mouth, chin_y = at[33, 1], at[48:68].mean(0), at[8, 1]
    lips = soften(r["lips"], max(1, atlas.size // 340))
    line = base - 0.004 - 0.006 * smoothstep(x, 0.02, 0.034) + 0.052 * smoothstep(x, 0.056, 0.07)
    throat = y + 0.35 * (0.1 - p[..., 2]).clamp(min=0)
    lower = smoothstep(y, line + 0.004, line - 0.004) * smoothstep(throat, chin_y - 0.04, chin_y - 0.012)
    beard = lower * (r["face"] * r["skin"]) * (1 - lips) * smoothstep(p[..., 2] + 0.006, -0.01, 0.012)
    moustache = beard * smoothstep(y, mouth[1] - 0.002, mouth[1] + 0.003) * smoothstep(x, 0.036, 0.027)
    return HairAreas(beard, moustache, chin=beard * smoothstep(x, 0.034, 0.022))


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


class FaceTexels(NamedTuple):
    """Neutral face by texel, metres, (H, W) each: where folds are drawn.

    Attributes:
        side: x, positive on the subject's left. x: distance from the middle. y: height.
        front: 0..1, 1 on the front of the face. points: the 68 landmarks.
    """

    side: Tensor
    x: Tensor
    y: Tensor
    front: Tensor
    points: Tensor


def folds(atlas: Atlas) -> Float[Tensor, "8 h w"]:
    """Return depths of wrinkles from curves on the neutral face, in the order of ``FOLDS``."""
    p = atlas.position
    face = FaceTexels(p[..., 0], p[..., 0].abs(), p[..., 1], smoothstep(p[..., 2], 0.03, 0.06), atlas.points)
    depths = [
        forehead_lines(face, 0),
        forehead_lines(face, 1),
        crow_feet(face),
        nasolabial_fold(face),
        glabella_line(face),
        under_eye_fold(face),
        marionette_line(face),
        neck_rings(face, atlas.region["neck"]),
    ]
    return torch.stack(depths) * atlas.region["skin"]


def brow_height(face: FaceTexels) -> Tensor:
    """Return y of the brows' highest landmark."""
    return face.points[17:27, 1].max()


def forehead_lines(face: FaceTexels, variant: int) -> Float[Tensor, "h w"]:
    """Return wavy level lines above the brows; the second variant has one less, a little higher."""
    total = torch.zeros_like(face.x)
    for j in range(4 - variant):
        level = brow_height(face) + 0.013 + 0.0105 * j + 0.004 * variant
        ripple = torch.sin(face.side * (90 + 23 * j + 31 * variant) + 2 * j + variant)
        wave = 0.0022 * ripple - 2.2 * face.side**2
        line = valley(face.y - level - wave, 0.0012) * smoothstep(face.x, 0.05, 0.028 - 0.003 * j)
        total = torch.maximum(total, line)
    return total * face.front


def crow_feet(face: FaceTexels) -> Float[Tensor, "h w"]:
    """Return rays outwards from the eyes' outer corners."""
    corner = face.points[45].clone()
    corner[0] = corner[0].abs() + 0.004
    dx, dy = face.x - corner[0], face.y - corner[1]
    reach, angle = (dx * dx + dy * dy).sqrt(), torch.atan2(dy, dx)
    rays = valley(torch.sin(angle * 6.5 + 0.4) * reach * 0.14, 0.0007)
    return (
        rays
        * smoothstep(reach, 0.004, 0.008)
        * smoothstep(reach, 0.026, 0.014)
        * smoothstep(angle.abs(), 1.15, 0.8)
    )


def nasolabial_fold(face: FaceTexels) -> Float[Tensor, "h w"]:
    """Return the fold from the nose's wing to beside the mouth's corner."""
    wing, lip = face.points[35], face.points[54]
    t = ((wing[1] - face.y) / (wing[1] - lip[1] + 0.006)).clamp(-0.3, 1.3)
    curve = wing[0].abs() + 0.004 + (lip[0].abs() + 0.006 - wing[0].abs()) * t.clamp(0) ** 0.8
    return valley(face.x - curve, 0.0022) * smoothstep(t, -0.25, 0.05) * smoothstep(t, 1.3, 0.85) * face.front


def glabella_line(face: FaceTexels) -> Float[Tensor, "h w"]:
    """Return the upright lines between the brows."""
    root, brow = face.points[27, 1], brow_height(face)
    return (
        valley(face.x - 0.0055, 0.0011)
        * smoothstep(face.y, root - 0.004, root + 0.006)
        * smoothstep(face.y, brow + 0.012, brow)
        * face.front
    )


def under_eye_fold(face: FaceTexels) -> Float[Tensor, "h w"]:
    """Return the arcs below the eyes."""
    eye = face.points[42:48].mean(0)
    arc = eye[1] - 0.0155 + 9.0 * (face.x - eye[0]) ** 2
    return valley(face.y - arc, 0.0018) * smoothstep((face.x - eye[0]).abs(), 0.019, 0.012) * face.front


def marionette_line(face: FaceTexels) -> Float[Tensor, "h w"]:
    """Return the lines from the mouth's corners down."""
    lip = face.points[54]
    side = lip[0].abs() + 0.002
    return (
        valley(face.x - side - 0.25 * (lip[1] - face.y), 0.0015)
        * smoothstep(face.y, lip[1] + 0.001, lip[1] - 0.006)
        * smoothstep(face.y, lip[1] - 0.026, lip[1] - 0.015)
        * face.front
    )


def neck_rings(face: FaceTexels, neck: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Return two rings around the neck."""
    below_chin = face.y - face.points[8, 1]
    upper = valley(below_chin + 0.042 + 0.25 * face.x, 0.0014)
    lower = valley(below_chin + 0.056 + 0.2 * face.x, 0.0014)
    return torch.maximum(upper, lower) * neck * smoothstep(face.x, 0.06, 0.03)


def valley(distance: Tensor, width: float) -> Tensor:
    """Return 1 on a curve, falling off over ``width`` metres."""
    return torch.exp(-((distance / width) ** 2))


def brow_texels(atlas: Atlas) -> Int[Tensor, "n 2"]:
    """Return rows and columns of the texels around both brows."""
    p, at = atlas.position, atlas.points
    near = atlas.region["skin"] > 0
    low, high = at[17:27, 1].min() - 0.012, at[17:27, 1].max() + 0.016
    band = (p[..., 1] > low) & (p[..., 1] < high) & (p[..., 0].abs() < 0.075)
    return (near & (p[..., 2] > 0.02) & band).nonzero()


def brows(atlas: Atlas) -> Float[Tensor, "6 h w"]:
    """Return coverage by brow hairs: six designs, left and right."""
    p, at = atlas.position, atlas.points
    out = torch.zeros(BROWS, *p.shape[:2], device=p.device)
    row, column = brow_texels(atlas).unbind(1)
    xy = p[row, column, :2]
    texel = atlas.scale[row, column].mean(-1).clamp(max=0.004)
    rng = CounterRng(torch.arange(BROWS).numpy()[:, None], 1, p.device)
    for style in range(BROWS):
        clear = torch.ones(len(xy), device=p.device)
        for side, spine in (("left", at[22:27]), ("right", at[17:22].flip(0))):
            roots, tips = brow_hairs(rng, style, side, spine[:, :2])
            width = 0.00023 * (1 + 0.25 * (style // 3))
            clear *= uncovered_by_hairs(roots, tips, width, xy, texel)
        out[style, row, column] = 1 - clear
    return out


def brow_hairs(
    rng: CounterRng, style: int, side: str, spine: Float[Tensor, "k 2"]
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 2"]]:
    """Return roots and tips of one brow's hairs, metres, in the face's plane of x and y.

    Args:
        spine: landmarks of the brow's upper edge, from the nose outwards.
    """
    u, v, w = (rng.uniform(f"brow {n} {side}", BROW_HAIRS)[style] for n in ("along", "across", "turn"))
    thick = 0.0034 + 0.0011 * (style % 3)
    t = u * (len(spine) - 1)
    i = t.long().clamp(max=len(spine) - 2)
    root = spine[i] + (spine[i + 1] - spine[i]) * (t - i)[:, None]
    outward = spine[-1, 0].sign()
    profile = smoothstep(u, -0.12, 0.25) * (1 - 0.8 * smoothstep(u, 0.45, 1.0))
    below = 0.0036  # the landmarks run along the upper edge
    root = root + torch.stack([torch.zeros_like(u), (2 * v - 1) * thick * profile - below], -1)
    bend = 1.25 * (1 - u) ** 1.6 - 0.35 * u - (v - 0.5) * 1.1 + 0.3 * (w - 0.5)
    length = (0.0055 + 0.003 * w) * (0.75 + 0.5 * profile)
    return root, root + length[:, None] * torch.stack([outward * bend.cos(), bend.sin()], -1)


def uncovered_by_hairs(
    roots: Float[Tensor, "n 2"],
    tips: Float[Tensor, "n 2"],
    width: float,
    points: Float[Tensor, "m 2"],
    texel: Float[Tensor, " m"],
) -> Float[Tensor, " m"]:
    """Return how much of each texel hairs leave uncovered.

    Args:
        width: of a hair at its root, metres; it tapers.
        points: the texels' centres; texel: their sides, metres.
    """
    clear = torch.ones(len(points), device=points.device)
    for a, b in zip(roots.split(32), tips.split(32), strict=True):
        d = b - a
        s = (((points[:, None] - a) * d).sum(-1) / (d * d).sum(-1)).clamp(0, 1)
        gap = (points[:, None] - a - s[..., None] * d).norm(dim=-1)
        wide = width * (1 - 0.75 * s)
        across = ((wide + 0.5 * texel[:, None] - gap) / texel[:, None]).clamp(0, 1)
        cover = across * (2 * wide / texel[:, None]).clamp(max=1)
        clear *= (1 - cover).prod(1)
    return clear
