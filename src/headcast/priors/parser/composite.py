"""People cut out of photographs, put before other scenes: training images whose coverage is known.

Every choice comes from a generator on the CPU. Light adds up in linear colour, for which gamma 2 is near
enough; so squares of display values are mixed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, max_pool2d

from headcast.array_files import load_arrays
from headcast.errors import HeadcastError
from headcast.parsing import parsing
from headcast.priors.augment import Crops, Framing, face_coordinates, sample_crop_grids, uniform
from headcast.priors.images import IGNORE, MAX_FILE_BYTES, FaceImages, stored_files
from headcast.synth.config import LABELS

__all__ = [
    "Cutouts",
    "coarse_guides",
    "coverage_by_label",
    "crop_cutouts",
    "load_cutouts",
    "load_scenes",
    "place_before",
    "sample_scenes",
]

LOADED = 320
"""Side of the squares in memory: as fine as the crops of a training are."""
CLOTHES, HAIR = LABELS.index("clothes"), LABELS.index("hair")


@dataclass(frozen=True)
class Cutouts:
    """N people in squares of one size, as ``tools/build_mattes.py`` writes them.

    Attributes:
        rgb: colours of the person alone, without the background's. alpha: coverage, 255 is all.
        known: 255 where alpha is known. label: numbers of ``synth.config.LABELS``, or ``IGNORE``.
        box: x0, y0, x1, y1 around the 478 landmarks, pixels. size: width and height of the photo in the
            square, from its upper left; the photo's edge is repeated beyond.
    """

    rgb: UInt8[Tensor, "n h h 3"]
    alpha: UInt8[Tensor, "n h h"]
    known: UInt8[Tensor, "n h h"]
    label: UInt8[Tensor, "n h h"]
    box: Float[Tensor, "n 4"]
    size: Float[Tensor, "n 2"]

    def __len__(self) -> int:
        return len(self.rgb)


@cache
def load_cutouts(folder: str) -> Cutouts:
    """Load all cut-out people of a folder into memory.

    Raises:
        HeadcastError: there are none, or one cannot be read.
    """
    files = stored_files(folder, "mattes", "build_mattes")
    names = [f.name for f in fields(Cutouts)]
    every: dict[str, list[Tensor]] = {n: [] for n in names}
    for path in files:
        data = load_arrays(path, names, "delete it and make it again", limit=MAX_FILE_BYTES)
        with parsing(path, "not a file of a matte", "delete it and make it again"):
            for n in names:
                every[n].append(torch.from_numpy(data[n]))
    stacked = {n: torch.stack(x) for n, x in every.items()}
    return _reduced(Cutouts(**stacked | {"size": stacked["size"].float()}))


def _reduced(cutouts: Cutouts) -> Cutouts:
    """Reduce squares to ``LOADED`` pixels; a pixel is known where all that it covers is."""
    before = cutouts.rgb.shape[1]
    k = LOADED / before
    if k >= 1:
        return cutouts

    def area(x: Tensor) -> Tensor:
        return interpolate(x.float(), (LOADED, LOADED), mode="area")

    nearest = ((torch.arange(LOADED) + 0.5) / k).long()
    return Cutouts(
        rgb=torch.cat([area(x[None].permute(0, 3, 1, 2)) for x in cutouts.rgb]).permute(0, 2, 3, 1).byte(),
        alpha=area(cutouts.alpha[:, None])[:, 0].round().byte(),
        known=((area(cutouts.known[:, None])[:, 0] > 250) * 255).byte(),
        label=cutouts.label[:, nearest][:, :, nearest],
        box=cutouts.box * k,
        size=cutouts.size * k,
    )


@cache
def load_scenes(path: str) -> UInt8[Tensor, "n h h 3"]:
    """Load the scenes that ``tools/build_scenes.py`` wrote to a file.

    Raises:
        HeadcastError: the file is missing or unreadable.
    """
    if not Path(path).is_file():
        raise HeadcastError(f"{path}: no such file; make it with tools/build_scenes.py")
    data = load_arrays(Path(path), ["rgb"], "delete it and make it again", limit=MAX_FILE_BYTES)
    return torch.from_numpy(data["rgb"])


def crop_cutouts(cutouts: Cutouts, chosen: Tensor, framing: Framing, rng: torch.Generator) -> Crops:
    """Crop people about their faces, before black; ``known`` is where coverage is known.

    Sideways of the photo and above, where nothing of the person crosses its edge, coverage stays known.
    """
    n, h = len(chosen), cutouts.rgb.shape[1]
    images = FaceImages(
        rgb=cutouts.rgb[chosen],
        alpha=cutouts.alpha[chosen],
        background=cutouts.rgb[chosen],
        label=cutouts.label[chosen],
        box=cutouts.box[chosen],
        person=chosen,
    )
    grid = sample_crop_grids(images, framing, rng)
    pixel, size = (grid + 1) / 2 * h, cutouts.size[chosen][:, None, None]
    outside = (pixel - pixel.clamp(torch.zeros(2), size)).abs().amax(-1) > 0
    grid = torch.minimum(pixel, size - 0.5) / h * 2 - 1
    stack = torch.cat([images.rgb, images.alpha[..., None], cutouts.known[chosen][..., None]], -1).permute(
        0, 3, 1, 2
    )
    warped = grid_sample(stack.float(), grid, padding_mode="border", align_corners=False) / 255
    label = grid_sample(
        images.label[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False
    )[:, 0]
    alpha = warped[:, 3]
    known = (warped[:, 4] > 0.99) & ~(outside & (alpha > 0.02))
    return Crops(
        rgb=warped[:, :3] * alpha[:, None].sqrt(),
        background=torch.zeros(n, 3, *alpha.shape[1:]),
        alpha=alpha,
        label=label.round().long(),
        known=known.float(),
        known_alpha=torch.ones(n, dtype=torch.bool),
        person=chosen,
        place=face_coordinates(grid, images.box, (h, h)),
    )


def sample_scenes(
    scenes: UInt8[Tensor, "n h h 3"], rng: torch.Generator, count: int, side: int
) -> Float[Tensor, "{count} 3 {side} {side}"]:
    """Sample parts of scenes, mirrored, brighter or darker, tinted, sharp to out of focus."""
    rows = scenes[torch.randint(0, len(scenes), (count,), generator=rng)]
    x = rows.permute(0, 3, 1, 2).float() / 255
    part = uniform(rng, count, 0.35, 1.0)
    shift = (1 - part)[:, None] * (2 * torch.rand(count, 2, generator=rng) - 1)
    mirror = torch.where(torch.rand(count, generator=rng) < 0.5, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = part * mirror, part, shift
    grid = torch.nn.functional.affine_grid(theta, [count, 3, side, side], align_corners=False)
    x = grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    for i, level in enumerate(torch.randint(0, 6, (count,), generator=rng).tolist()):
        if level >= 3:  # out of focus: half of the scenes
            small = avg_pool2d(x[i : i + 1], 2 ** (level - 2))
            x[i] = interpolate(small, (side, side), mode="bicubic", align_corners=False)[0]
    gain = torch.exp(0.45 * torch.randn(count, 1, 1, 1, generator=rng).clamp(-2, 2))
    tint = torch.exp(0.1 * torch.randn(count, 3, 1, 1, generator=rng))
    return (x.clamp(0, 1) * gain * tint).clamp(0, 1)


def place_before(
    crops: Crops, scenes: Float[Tensor, "n 3 s s"], rng: torch.Generator, fraction: float = 1.0
) -> Crops:
    """Place a ``fraction`` of people before scenes, recoloured, relit and touched by the scene's light."""
    n = len(crops.rgb)
    swap = (torch.rand(n, generator=rng) < fraction)[:, None, None, None] & crops.known_alpha[
        :, None, None, None
    ]
    alpha = crops.alpha[:, None]
    person = (crops.rgb.square() - (1 - alpha) * crops.background.square()).clamp(min=0)
    person = person * person_gain(crops, rng)
    behind = _alike_colours(crops, scenes, rng).square()
    person = person + _spill(alpha, behind, rng)
    mixed = person + (1 - alpha) * behind
    return replace(
        crops,
        rgb=torch.where(swap, mixed.clamp(0, 1).sqrt(), crops.rgb),
        background=torch.where(swap, behind.sqrt(), crops.background),
    )


def person_gain(crops: Crops, rng: torch.Generator) -> Float[Tensor, "n 3 s s"]:
    """Sample factors of the person's linear colours: light from a side, hair and clothes of other colours."""
    n, s = len(crops.rgb), crops.rgb.shape[-1]
    slope = 0.5 * torch.randn(n, 2, generator=rng).clamp(-2, 2)
    y, x = torch.linspace(-1, 1, s)[:, None], torch.linspace(-1, 1, s)[None]
    plane = slope[:, 0, None, None] * x + slope[:, 1, None, None] * y
    lit = (torch.rand(n, generator=rng) < 0.6).float()[:, None, None] * plane
    overall = 0.3 * torch.randn(n, 1, 1, generator=rng).clamp(-2, 2)
    tint = 0.12 * torch.randn(n, 3, 1, 1, generator=rng)
    gain = torch.exp((lit + overall)[:, None] + tint)
    cloth = torch.rand(n, 3, 1, 1, generator=rng)
    cloth = cloth.mean(1, keepdim=True) + (cloth - cloth.mean(1, keepdim=True)) * torch.rand(
        n, 1, 1, 1, generator=rng
    )
    cloth = (cloth**2.5) * _stripes(n, s, rng)
    gain = _blend_gain(crops, CLOTHES, gain, cloth, torch.rand(n, generator=rng) < 0.75)
    hair = torch.exp(0.5 * torch.randn(n, 1, 1, 1, generator=rng) - 0.2) * torch.exp(
        0.15 * torch.randn(n, 3, 1, 1, generator=rng)
    )
    return _blend_gain(crops, HAIR, gain, hair.expand(n, 3, s, s), torch.rand(n, generator=rng) < 0.4)


def _stripes(n: int, s: int, rng: torch.Generator) -> Float[Tensor, "n 1 s s"]:
    """Return factors of stripes across clothes, of a third of them."""
    angle, pitch = 2 * math.pi * torch.rand(n, generator=rng), uniform(rng, n, 4, 30)
    y, x = torch.arange(s)[:, None].float(), torch.arange(s)[None].float()
    along = angle.cos()[:, None, None] * x + angle.sin()[:, None, None] * y
    wave = (along / pitch[:, None, None] * 2 * math.pi).sin()
    depth = uniform(rng, n, 0, 1) * (torch.rand(n, generator=rng) < 0.35)
    return torch.exp(depth[:, None, None] * (wave * 3).clamp(-1, 1))[:, None]


def _blend_gain(
    crops: Crops, label: int, gain: Tensor, new: Float[Tensor, "n 3 s s"], use: Tensor
) -> Float[Tensor, "n 3 s s"]:
    """Multiply gains on a label and around it, where nothing else is known, softly."""
    on = crops.label == label
    free = on | (crops.label == IGNORE)
    coarse = max_pool2d(avg_pool2d(on[:, None].float(), 4, ceil_mode=True), 3, 1, 1)
    near = interpolate(coarse, on.shape[-2:], mode="bilinear", align_corners=False)
    mask = (2 * near).clamp(max=1) * free[:, None] * use[:, None, None, None]
    return gain * (1 + mask * (new - 1))


def _alike_colours(
    crops: Crops, scenes: Float[Tensor, "n 3 s s"], rng: torch.Generator
) -> Float[Tensor, "n 3 s s"]:
    """Shift a sixth of the scenes to colours of hair or clothes, where the two are hard to tell apart."""
    n = len(scenes)
    label = torch.where(torch.rand(n, generator=rng) < 0.6, HAIR, CLOTHES)
    mask = ((crops.label == label[:, None, None]) & (crops.alpha > 0.9)).float()[:, None]
    area = mask.sum((2, 3), keepdim=True)
    mean = (crops.rgb * mask).sum((2, 3), keepdim=True) / area.clamp(min=1)
    shape = scenes - scenes.mean((2, 3), keepdim=True)
    strength = uniform(rng, n, 0.03, 0.4)[:, None, None, None]
    near = (mean * uniform(rng, n, 0.7, 1.5)[:, None, None, None] + strength * shape).clamp(0, 1)
    use = (torch.rand(n, generator=rng) < 1 / 6)[:, None, None, None] & (area > 50)
    return torch.where(use, near, scenes)


def _spill(alpha: Tensor, behind: Tensor, rng: torch.Generator) -> Float[Tensor, "n 3 s s"]:
    """Return the scene's light that wraps around the person's edge and that lenses spread over it."""
    n, s = len(alpha), alpha.shape[-1]
    small = avg_pool2d(torch.cat([(1 - alpha) * behind, behind], 1), 8)
    small = avg_pool2d(small, 3, 1, 1, count_include_pad=False)
    wide = interpolate(small, (s, s), mode="bilinear", align_corners=False)
    wrap = uniform(rng, n, 0, 0.35)[:, None, None, None] * (torch.rand(n, 1, 1, 1, generator=rng) < 0.5)
    veil = uniform(rng, n, 0, 0.05)[:, None, None, None] * (torch.rand(n, 1, 1, 1, generator=rng) < 0.3)
    return alpha * (wrap * wide[:, :3] + veil * wide[:, 3:])


def coarse_guides(
    alpha: Float[Tensor, "n s s"], rng: torch.Generator, fraction: float
) -> Float[Tensor, "n s s"]:
    """Make coarse mattes with the faults that another network's have, -1 to 1; 0 on the others.

    Edges lie off by a hundredth of the side and are soft; pieces are missing, others are too much.

    Args:
        fraction: of the images that have one.
    """
    n, s = len(alpha), alpha.shape[-1]
    small = avg_pool2d(_bent(alpha, rng), 4, ceil_mode=True)
    soft = interpolate(avg_pool2d(small, 3, 1, 1), (s, s), mode="bilinear", align_corners=False)
    near_edge = avg_pool2d(small, 9, 1, 4, count_include_pad=False)
    near_edge = interpolate(4 * near_edge * (1 - near_edge), (s, s), mode="bilinear", align_corners=False)
    fault = (torch.rand(n, 1, 1, 1, generator=rng) < 0.7) * _clouds(n, 1, 7, s, rng).clamp(-2, 2)
    far = (torch.rand(n, 1, 1, 1, generator=rng) < 0.1) * (_clouds(n, 1, 4, s, rng) - 1.5).clamp(min=0)
    sharp = uniform(rng, n, 7, 16)[:, None, None, None]
    odds = sharp * (soft - uniform(rng, n, 0.4, 0.6)[:, None, None, None]) + 2 * fault * near_edge + 8 * far
    use = (torch.rand(n, generator=rng) < fraction)[:, None, None]
    return torch.where(use, (odds / 2).tanh()[:, 0], 0.0)


def _clouds(n: int, count: int, cells: int, s: int, rng: torch.Generator) -> Float[Tensor, "n count s s"]:
    """Return smooth noise of about unit variance."""
    x = torch.randn(n, count, cells, cells, generator=rng)
    return interpolate(x, (s, s), mode="bicubic", align_corners=False)


def _bent(alpha: Float[Tensor, "n s s"], rng: torch.Generator) -> Float[Tensor, "n 1 s s"]:
    """Move coverage about, here this way and there that, by a hundredth of the side."""
    n, s = len(alpha), alpha.shape[-1]
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, s),) * 2, indexing="ij")
    reach = uniform(rng, n, 0, 0.015)[:, None, None, None]
    move = reach * (_clouds(n, 2, 5, s, rng) + _clouds(n, 2, 12, s, rng))
    grid = torch.stack([x, y], -1)[None] + move.permute(0, 2, 3, 1)
    return grid_sample(alpha[:, None], grid, padding_mode="border", align_corners=True)


def coverage_by_label(label: Int[Tensor, "n s s"]) -> Float[Tensor, "n s s"]:
    """Return 1 on labels of a person, 0 on the background; elsewhere by what is known around."""
    known = label != IGNORE
    person = (known & (label != LABELS.index("background"))).float()[:, None]
    background = (label == LABELS.index("background")).float()[:, None]
    small = avg_pool2d(torch.cat([person, background], 1), 4, ceil_mode=True)
    near, apart = avg_pool2d(avg_pool2d(small, 5, 1, 2), 5, 1, 2).chunk(2, 1)
    around = (near + 1e-4) / (near + apart + 2e-4)
    around = interpolate(around, label.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(known, person[:, 0], around[:, 0])
