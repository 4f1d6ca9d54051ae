"""What is known about every texel of the atlas before any person is sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate as resize

from headcast.head.model import HeadModel
from headcast.render.batch import rasterize_batch
from headcast.synth.bust import HEAD, STRIP, TORSO, Bust
from headcast.synth.config import LABELS
from headcast.synth.rng import CounterRng

__all__ = ["Atlas", "make_atlas"]

GUTTER = 6
LABEL_OF_REGION = {
    "face": "skin",
    "lips": "lips",
    "lids": "skin",
    "nose": "nose",
    "brows": "skin",
    "ears": "ears",
    "scalp": "skin",
    "neck": "neck",
    "shoulders": "neck",
    "sclera": "eyes",
    "iris": "eyes",
    "pupil": "eyes",
    "cornea": "eyes",
    "teeth": "teeth",
    "gums": "mouth",
    "tongue": "mouth",
    "mouth": "mouth",
}


@dataclass(frozen=True)
class Atlas:
    """Maps of H x W texels, H = 1.25 W (layout: see ``synth.bust``).

    Attributes:
        size: W. position (H, W, 3): on the neutral bust, metres. inside (H, W): where anything lies.
        label (H, W): number among ``LABELS``.
        region: soft masks by name, (H, W): the head's regions and the skin's and clothes' parts.
        scale (H, W, 2): metres per texel along u and v.
        noise (N, H, W): standard normal noises from coarse to fine; spots (2, H, W): freckles, age spots.
        eye (H, W, 2): on eyeballs the angle from the optical axis over the iris's and the angle around it.
        points: the 68 landmarks of the neutral head.
    """

    size: int
    position: Tensor
    inside: Tensor
    label: Tensor
    region: dict[str, Tensor]
    scale: Tensor
    noise: Tensor
    spots: Tensor
    eye: Tensor
    points: Tensor


class AtlasTexels(NamedTuple):
    """What of the bust lies at every texel.

    Attributes:
        triangle (H, W): -1 where nothing is. bary (H, W, 3): weights of its corners.
        inside (H, W). corner (H, W, 3): vertices of the triangle. kind (H, W): ``Bust.kind``.
    """

    triangle: Tensor
    bary: Tensor
    inside: Tensor
    corner: Tensor
    kind: Tensor


def make_atlas(head: HeadModel, bust: Bust, size: int) -> Atlas:
    """Bake the maps for textures ``size`` texels wide."""
    device = head.neutral.device
    texels = rasterize_atlas(bust, size)
    neutral = torch.cat([head.neutral, bust.torso, torch.zeros(bust.glasses_count, 3, device=device)])
    position = (neutral[texels.corner] * texels.bary[..., None]).sum(-2) * texels.inside[..., None]
    names = head.region_names
    beyond = torch.full((len(neutral) - len(head.region),), len(names), device=device)
    region_of_corner = torch.cat([head.region, beyond])[texels.corner]
    part = head.part[texels.triangle.clamp(min=0, max=len(head.part) - 1)]
    region = region_masks(head, texels, region_of_corner, part, size)
    noise, spots = noise_octaves(size, len(position), device)
    return Atlas(
        size=size,
        position=position,
        inside=texels.inside,
        label=texel_labels(names, texels.bary, region_of_corner, region["frame"]),
        region=region,
        scale=texel_scale(position),
        noise=noise,
        spots=spots,
        eye=eye_angles(head, position, part, texels.kind),
        points=head.landmarks(head.neutral, 68),
    )


def rasterize_atlas(bust: Bust, size: int) -> AtlasTexels:
    """Rasterize the bust's texture coordinates."""
    height, device = int(size * (1 + STRIP)), bust.uv.device
    pixels = bust.uv * torch.tensor([size, height], device=device)
    pixels = torch.cat([pixels, torch.ones_like(bust.uv[:, :1])], 1)
    fragments = rasterize_batch(pixels.double()[None], bust.faces_uv, size, height, near=0.5)
    triangle, bary = pad_charts(fragments.triangle[0].long(), fragments.barycentric[0])
    face = triangle.clamp(min=0)
    return AtlasTexels(triangle, bary, triangle >= 0, bust.faces[face], bust.kind[face])


def region_masks(
    head: HeadModel, texels: AtlasTexels, region_of_corner: Tensor, part: Tensor, size: int
) -> dict[str, Float[Tensor, "h w"]]:
    """Return soft masks of the head's regions, of torso, glasses' frame and skin."""
    bary, inside = texels.bary, texels.inside
    on_head = texels.kind == HEAD
    region = {
        n: ((region_of_corner == i) * bary).sum(-1) * inside * on_head
        for i, n in enumerate(head.region_names)
    }
    region["torso"] = ((texels.kind == TORSO) & inside).float()
    region["frame"] = torch.zeros_like(region["torso"])
    region["frame"][size:, -size // 16 :] = 1
    region["skin"] = ((part == head.part_names.index("skin")) & on_head & inside).float()
    return region


def texel_labels(
    names: Sequence[str], bary: Tensor, region_of_corner: Tensor, frame: Tensor
) -> UInt8[Tensor, "h w"]:
    """Return the label of the region of the nearest vertex, clothes and glasses where no head is."""
    nearest = region_of_corner.gather(-1, bary.argmax(-1, keepdim=True))[..., 0]
    numbers = [LABELS.index(LABEL_OF_REGION[n]) for n in names] + [LABELS.index("clothes")]
    label = torch.tensor(numbers, device=bary.device)[nearest]
    label[frame > 0] = LABELS.index("glasses")
    return label.to(torch.uint8)


def pad_charts(triangle: Tensor, bary: Tensor) -> tuple[Tensor, Tensor]:
    """Dilate charts by ``GUTTER`` texels, so that lookups at their edges find the edge's colour."""
    for step in range(GUTTER):
        shifts = ((0, 1), (0, -1), (1, 0), (-1, 0)) if step % 2 == 0 else ((1, 1), (-1, -1), (1, -1), (-1, 1))
        for dy, dx in shifts:
            t, b = triangle.roll((dy, dx), (0, 1)), bary.roll((dy, dx), (0, 1))
            take = (triangle < 0) & (t >= 0)
            triangle, bary = torch.where(take, t, triangle), torch.where(take[..., None], b, bary)
    return triangle, bary


def texel_scale(position: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w 2"]:
    """Return metres from texel to texel along u and v (a cap leaves out seams)."""
    du = (position.roll(-1, 1) - position.roll(1, 1)).norm(dim=-1) / 2
    dv = (position.roll(-1, 0) - position.roll(1, 0)).norm(dim=-1) / 2
    return torch.stack([du, dv], -1).clamp(2e-5, 4e-3)


def eye_angles(head: HeadModel, position: Tensor, part: Tensor, kind: Tensor) -> Float[Tensor, "h w 2"]:
    """Return the angle from the optical axis as a multiple of the iris's, and the angle around the axis."""
    out = torch.full((*position.shape[:2], 2), 9.0, device=position.device)
    iris = head.region_mask("iris")
    for j, name in ((4, "eyeLeft"), (5, "eyeRight")):
        ray = torch.nn.functional.normalize(position - head.joint_neutral[j], dim=-1)
        v = torch.nn.functional.normalize(head.neutral[iris] - head.joint_neutral[j], dim=-1)
        side = v[(v[:, 2] > 0.5) & ((head.neutral[iris, 0] > 0) == (j == 4))]
        limit = side[:, 2].clamp(-1, 1).acos().max()
        polar = ray[..., 2].clamp(-1, 1).acos() / limit
        around = torch.atan2(ray[..., 1], ray[..., 0])
        here = (part == head.part_names.index(name)) & (kind == 0)
        out = torch.where(here[..., None], torch.stack([polar, around], -1), out)
    return out


def noise_octaves(size: int, height: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return octaves of tiling noise, each half as coarse as the last, and two fields of spots."""
    octaves = []
    for k in range(6):
        cells = min(8 * 2**k, size)
        grid = white_noise(f"octave {k}", cells, device)
        wide = resize(
            torch.nn.functional.pad(grid[None, None], (2, 2, 2, 2), "circular"),
            scale_factor=size / cells,
            mode="bicubic",
        )
        edge = 2 * size // cells
        tile = wide[0, 0, edge : edge + size, edge : edge + size]
        octaves.append((tile - tile.mean()) / tile.std())
    octaves.append(white_noise("finest", size, device))
    spots = torch.stack(
        [
            spot_field(size, n, r, name, device)
            for n, r, name in ((2600, 0.0016, "freckles"), (170, 0.0042, "age"))
        ]
    )
    tiles = torch.cat([torch.stack(octaves), spots])
    tiles = torch.cat([tiles, tiles[:, : height - size]], 1)
    return tiles[:-2], tiles[-2:]


def white_noise(name: str, cells: int, device: torch.device) -> Tensor:
    """Return standard normal white noise by name."""
    rows = np.arange(cells, dtype=np.int64)[:, None]
    return CounterRng(rows, 0, device).normal("noise " + name, cells)


def spot_field(size: int, count: int, radius: float, name: str, device: torch.device) -> Tensor:
    """Return blobs at random places, the radius a fraction of the tile's side, heights 0..1."""
    rng = CounterRng(np.zeros((1, 1), np.int64), 0, device)
    centre, r = rng.uniform("spots " + name, count, 2)[0] * size, rng.uniform("size " + name, count)[0]
    strength = rng.uniform("strength " + name, count)[0]
    r = (radius * size * (0.45 + 1.1 * r * r)).clamp(min=0.45)
    return highest_spots(size, centre, r, strength)


def highest_spots(
    size: int, centre: Float[Tensor, "k 2"], radius: Float[Tensor, " k"], strength: Float[Tensor, " k"]
) -> Float[Tensor, "h h"]:
    """Return the highest of Gaussian blobs at each texel of a tile that repeats; texels."""
    device = centre.device
    reach = int(2.5 * float(radius.max())) + 1
    offsets = torch.arange(-reach, reach + 1, device=device)
    oy, ox = (o[None] for o in torch.meshgrid(offsets, offsets, indexing="ij"))
    cell = centre.floor()
    x0, y0 = (centre - cell)[:, :1, None], (centre - cell)[:, 1:, None]
    distance2 = (ox + 0.5 - x0) ** 2 + (oy + 0.5 - y0) ** 2
    value = strength[:, None, None] * torch.exp(-distance2 / (radius[:, None, None] ** 2))
    row, column = ((o + cell[:, k, None, None].long()) % size for o, k in ((oy, 1), (ox, 0)))
    field = torch.zeros(size * size, device=device)
    field.scatter_reduce_(0, (row * size + column).reshape(-1), value.reshape(-1), "amax")
    return field.view(size, size)
