"""What is known about every texel of the atlas before any person is sampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate as resize

from headcast.head.model import HeadModel
from headcast.interpolation import smoothstep
from headcast.render.batch import rasterize_batch
from headcast.synth.bust import STRIP, Bust
from headcast.synth.config import LABELS
from headcast.synth.rng import CounterRng

__all__ = ["Atlas", "make_atlas", "ramp"]

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


def ramp(low: float | Tensor, high: float | Tensor, x: Tensor) -> Tensor:
    """Return 0 below ``low``, 1 above ``high`` and a smoothstep between."""
    return smoothstep(x, low, high)


def make_atlas(head: HeadModel, bust: Bust, size: int) -> Atlas:
    """Bake the maps for textures ``size`` texels wide."""
    device = head.neutral.device
    height = int(size * (1 + STRIP))
    pixels = torch.cat(
        [bust.uv * torch.tensor([size, height], device=device), torch.ones_like(bust.uv[:, :1])], 1
    )
    fragments = rasterize_batch(pixels.double()[None], bust.faces_uv, size, height, near=0.5)
    triangle, bary = pad_charts(fragments.triangle[0].long(), fragments.barycentric[0])
    inside = triangle >= 0
    face, t = bust.faces[triangle.clamp(min=0)], bust.kind[triangle.clamp(min=0)]
    neutral = torch.cat([head.neutral, bust.torso, torch.zeros(bust.glasses_count, 3, device=device)])
    position = (neutral[face] * bary[..., None]).sum(-2) * inside[..., None]
    names = head.region_names
    region_of = torch.cat(
        [head.region, torch.full((len(neutral) - len(head.region),), len(names), device=device)]
    )
    corner = region_of[face]
    region = {n: ((corner == i) * bary).sum(-1) * inside * (t == 0) for i, n in enumerate(names)}
    region["torso"] = ((t == 1) & inside).float()
    region["frame"] = torch.zeros_like(region["torso"])
    region["frame"][size:, -size // 16 :] = 1
    part = head.part[triangle.clamp(min=0, max=len(head.part) - 1)]
    skin = (part == head.part_names.index("skin")) & (t == 0) & inside
    region["skin"] = skin.float()
    nearest = corner.gather(-1, bary.argmax(-1, keepdim=True))[..., 0]
    table = [LABELS.index(LABEL_OF_REGION[n]) for n in names] + [LABELS.index("clothes")]
    label = torch.tensor(table, device=device)[nearest]
    label[region["frame"] > 0] = LABELS.index("glasses")
    noise, spots = noise_octaves(size, height, device)
    return Atlas(
        size,
        position,
        inside,
        label.to(torch.uint8),
        region,
        texel_scale(position),
        noise,
        spots,
        eye_angles(head, position, part, t),
        head.landmarks(head.neutral, 68),
    )


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
    at, r = rng.uniform("spots " + name, count, 2)[0], rng.uniform("size " + name, count)[0]
    strength = rng.uniform("strength " + name, count)[0]
    r = (radius * size * (0.45 + 1.1 * r * r)).clamp(min=0.45)
    reach = int(2.5 * float(r.max())) + 1
    offsets = torch.arange(-reach, reach + 1, device=device)
    oy, ox = torch.meshgrid(offsets, offsets, indexing="ij")
    xy = at * size
    cell = xy.floor()
    field = torch.zeros(size * size, device=device)
    d2 = (ox[None] + 0.5 - (xy - cell)[:, :1, None]) ** 2 + (oy[None] + 0.5 - (xy - cell)[:, 1:, None]) ** 2
    value = strength[:, None, None] * torch.exp(-d2 / (r[:, None, None] ** 2))
    index = ((oy[None] + cell[:, 1:, None].long()) % size) * size + (
        ox[None] + cell[:, :1, None].long()
    ) % size
    field.scatter_reduce_(0, index.reshape(-1), value.reshape(-1), "amax")
    return field.view(size, size)
