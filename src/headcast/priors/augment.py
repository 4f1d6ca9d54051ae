"""Augmentation of training images: backgrounds, crops about the face, colours, quality.

Every choice comes from a generator on the CPU, so that a batch is the same on every device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

from headcast.crops.grid import square_grid
from headcast.priors.images import IGNORE, FaceImages
from headcast.priors.restorer.degrade import Degradation, degrade

__all__ = [
    "Crops",
    "Framing",
    "crop_faces",
    "degrade_some",
    "jitter_colour",
    "mask_to_face",
    "replace_background",
    "shade_sideways",
]


@dataclass(frozen=True)
class Framing:
    """Squares about a face box: ``room`` times its larger side, moved by up to ``shift`` of the square.

    Attributes:
        size: pixels of the crop. room: lowest and highest. turn: standard deviation of the roll, degrees.
        mirror: whether half of them are mirrored. finer: samples a pixel and side.
        yaw: standard deviation of a seeming turn of the head, sideways and (by 0.6 of it) up, degrees.
    """

    size: int
    room: tuple[float, float]
    shift: float = 0.08
    turn: float = 7.0
    mirror: bool = True
    finer: int = 1
    yaw: float = 0.0


@dataclass(frozen=True)
class Crops:
    """N square crops about faces.

    Attributes:
        rgb, background: display values 0..1. alpha: 0..1. label: number or ``IGNORE``.
        known: 1 inside the image. known_alpha: whether alpha and background are known. person: number.
        place: where each pixel lies, from the middle of the face box, in its larger sides.
    """

    rgb: Float[Tensor, "n 3 s s"]
    background: Float[Tensor, "n 3 s s"]
    alpha: Float[Tensor, "n s s"]
    label: Int[Tensor, "n s s"]
    known: Float[Tensor, "n s s"]
    known_alpha: Bool[Tensor, " n"]
    person: Int[Tensor, " n"]
    place: Float[Tensor, "n s s 2"]

    @classmethod
    def joined(cls, parts: list[Crops]) -> Crops:
        """Concatenate several batches of crops."""
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)})


def uniform(rng: torch.Generator, n: int, low: float, high: float) -> Float[Tensor, " n"]:
    """Sample N numbers in low..high on the CPU."""
    return low + (high - low) * torch.rand(n, generator=rng)


def sample_crop_grids(images: FaceImages, framing: Framing, rng: torch.Generator) -> Float[Tensor, "n s s 2"]:
    """Sample the grids of random squares about the faces: size, shift, roll, mirroring, seeming turn."""
    n, (h, w) = len(images), images.rgb.shape[1:3]
    room = torch.exp(uniform(rng, n, math.log(framing.room[0]), math.log(framing.room[1])))
    grid = square_grid(
        images.box,
        h,
        w,
        framing.size * framing.finer,
        room.to(images.rgb.device),
        framing.shift * (2 * torch.rand(n, 2, generator=rng) - 1),
        math.radians(framing.turn) * torch.randn(n, generator=rng).clamp(-2.5, 2.5),
        torch.where(torch.rand(n, generator=rng) < 0.5 * framing.mirror, -1.0, 1.0),
    )
    if framing.yaw:
        degrees = torch.randn(n, 2, generator=rng).clamp(-2, 2) * torch.tensor(
            [framing.yaw, 0.6 * framing.yaw]
        )
        grid = warp_as_turned(grid, images.box, (h, w), torch.deg2rad(degrees).to(images.rgb.device))
    return grid


def crop_faces(images: FaceImages, framing: Framing, rng: torch.Generator) -> Crops:
    """Crop about the faces; beyond the image its edge is repeated and the label is ``IGNORE``."""
    h, w = images.rgb.shape[1:3]
    grid = sample_crop_grids(images, framing, rng)
    stack = torch.cat([images.rgb, images.background, images.alpha[..., None]], -1).permute(0, 3, 1, 2) / 255
    warped = grid_sample(stack, grid, padding_mode="border", align_corners=False)
    if framing.finer > 1:
        warped = avg_pool2d(warped, framing.finer)
        k = framing.finer // 2
        grid = grid[:, k :: framing.finer, k :: framing.finer]
    known = (grid.abs() < 1).all(-1)
    label = grid_sample(
        images.label[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False
    )[:, 0]
    label = torch.where(known, label.round().long(), IGNORE)
    sure = images.alpha.amax((1, 2)) > 0
    place = face_coordinates(grid, images.box, (h, w))
    return Crops(
        rgb=warped[:, :3],
        background=warped[:, 3:6],
        alpha=warped[:, 6],
        label=label,
        known=known.float(),
        known_alpha=sure,
        person=images.person,
        place=place,
    )


def face_coordinates(
    grid: Float[Tensor, "n s s 2"], box: Float[Tensor, "n 4"], size: tuple[int, int]
) -> Float[Tensor, "n s s 2"]:
    """Return sampling positions relative to the face box: from its middle, in its larger sides, y down."""
    pixels = (grid + 1) / 2 * torch.tensor([size[1], size[0]], device=grid.device)
    middle, side = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]).amax(1)
    return (pixels - middle[:, None, None]) / side[:, None, None, None]


def warp_as_turned(
    grid: Float[Tensor, "n s s 2"],
    box: Float[Tensor, "n 4"],
    size: tuple[int, int],
    angle: Float[Tensor, "n 2"],
) -> Float[Tensor, "n s s 2"]:
    """Warp a sampling grid as if the head were turned: what is nearer to the camera moves more.

    The depth is generic: a rounded face with a nose. Up to 20° nothing folds over.

    Args:
        angle: sideways and up, radians.
    """
    x, y = face_coordinates(grid, box, size).unbind(-1)
    face = 0.45 * torch.exp(-((x / 0.42) ** 2) - (y / 0.52) ** 2)
    nose = 0.1 * torch.exp(-((x / 0.09) ** 2) - ((y - 0.05) / 0.13) ** 2)
    moved = (face + nose - 0.35)[..., None] * angle.tan()[:, None, None]
    side = (box[:, 2:] - box[:, :2]).amax(1)[:, None, None, None]
    return grid + moved * side * 2 / torch.tensor([size[1], size[0]], device=grid.device)


def mask_to_face(crops: Crops, rng: torch.Generator, fraction: float) -> Crops:
    """Replace all but an oval about the face by another crop's blurred colours, in a ``fraction`` of crops.

    So that hair, clothes and background cannot be all that identity rests on. Labels there are ``IGNORE``.
    """
    n, device = len(crops.rgb), crops.rgb.device
    axes = torch.stack([uniform(rng, n, 0.38, 0.6), uniform(rng, n, 0.46, 0.7)], 1).to(device)
    far = (crops.place / axes[:, None, None]).norm(dim=-1)
    chosen = (torch.rand(n, generator=rng) < fraction).to(device)[:, None, None]
    cover = ((far - 1) / 0.12).clamp(0, 1) * chosen
    other = crops.rgb[torch.randperm(n, generator=rng).to(device)]
    other = interpolate(avg_pool2d(other, other.shape[-1] // 4), other.shape[-2:], mode="bilinear")
    rgb = crops.rgb + cover[:, None] * (other - crops.rgb)
    return replace(crops, rgb=rgb, label=torch.where(cover > 0.5, IGNORE, crops.label))


def shade_sideways(
    rgb: Float[Tensor, "n 3 h w"], rng: torch.Generator, strength: float
) -> Float[Tensor, "n 3 h w"]:
    """Brighten one side and darken the other, as another lamp does: display values times exp(a plane).

    Args:
        strength: standard deviation of the exponent at the edge of the image, in each direction.
    """
    n, h, w = len(rgb), rgb.shape[-2], rgb.shape[-1]
    slope = (torch.randn(n, 2, generator=rng).clamp(-2, 2) * strength).to(rgb)
    y, x = (torch.linspace(-1, 1, k, device=rgb.device) for k in (h, w))
    plane = slope[:, 0, None, None] * x + slope[:, 1, None, None] * y[:, None]
    return (rgb * plane[:, None].exp()).clamp(0, 1)


def replace_background(crops: Crops, rng: torch.Generator, fraction: float = 0.6) -> Crops:
    """Replace some backgrounds by another crop's, a plain one, or a gradient as of photographers' cloths.

    The exchange is made in linear light (gamma 2 is near enough): c + (1 - alpha)(new - old).
    """
    n, size, device = len(crops.rgb), crops.rgb.shape[-1], crops.rgb.device
    cloth = _random_cloths(rng, n, device, size)
    other = crops.background[torch.randperm(n, generator=rng).to(device)]
    plain, swap = (
        (torch.rand(n, generator=rng) < p).to(device)[:, None, None, None] for p in (0.4, fraction)
    )
    new = torch.where(plain, cloth, other)
    mixed = crops.rgb.square() + (1 - crops.alpha[:, None]) * (new.square() - crops.background.square())
    known = crops.known_alpha[:, None, None, None] & swap
    return replace(
        crops,
        rgb=torch.where(known, mixed.clamp(0, 1).sqrt(), crops.rgb),
        background=torch.where(known, new, crops.background),
    )


def _random_cloths(rng: torch.Generator, n: int, device: torch.device, size: int) -> Tensor:
    """Return plain colours and gradients as of photographers' cloths."""
    corners = torch.rand(n, 3, 2, 2, generator=rng)
    grey = corners.mean(1, keepdim=True)
    corners = grey + (corners - grey) * uniform(rng, n, 0, 0.6)[:, None, None, None]
    even = corners.mean((2, 3), keepdim=True)
    uneven = uniform(rng, n, 0, 0.7)[:, None, None, None].square()
    return interpolate(
        (even + (corners - even) * uneven).to(device), (size, size), mode="bilinear", align_corners=True
    )


def jitter_colour(
    rgb: Float[Tensor, "n 3 h w"], rng: torch.Generator, strength: float = 1.0
) -> Float[Tensor, "n 3 h w"]:
    """Jitter white balance, saturation, contrast, brightness and gamma; turn a few grey."""
    n = len(rgb)

    def draw(spread: float, *size: int) -> Tensor:
        x = torch.randn(n, *size, generator=rng).clamp(-2.5, 2.5) * spread * strength
        return x.reshape(n, *size, *([1] * (3 - len(size)))).to(rgb)

    x = rgb * torch.exp(draw(0.12, 3))
    grey = x.mean(1, keepdim=True)
    saturation = torch.exp(draw(0.3))
    plain = (torch.rand(n, generator=rng) < 0.06).to(rgb.device)[:, None, None, None]
    x = grey + (x - grey) * torch.where(plain, 0.0, saturation)
    x = (x.clamp(min=0) + 1e-4) ** torch.exp(draw(0.25))
    middle = x.mean((1, 2, 3), keepdim=True)
    return ((x - middle) * torch.exp(draw(0.2)) + middle + draw(0.08)).clamp(0, 1)


def degrade_some(
    rgb: Float[Tensor, "n 3 h w"], rng: torch.Generator, ranges: Degradation, fraction: float
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, " n"]]:
    """Degrade a ``fraction`` of the images (blur, size, noise, JPEG); also return how much was lost by it.

    The loss is log10 of the mean squared difference to what came in, shifted and scaled to about -1..1.
    """
    n = len(rgb)
    seeds = torch.randint(0, 2**31, (n,), generator=rng).tolist()
    worse = (torch.rand(n, generator=rng) < fraction).tolist()
    out = torch.stack(
        [degrade(x, s, ranges) if bad else x for x, s, bad in zip(rgb, seeds, worse, strict=True)]
    )
    lost = ((out - rgb) ** 2).mean((1, 2, 3))
    return out, (torch.log10(lost + 1e-5) + 3.5) / 1.5
