"""Training pictures varied: other backgrounds, crops about the face, other colours, worse quality.

Every choice comes from a generator on the CPU, so that a batch is the same on every device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

from headcast.priors.pictures import IGNORE, Pictures
from headcast.priors.restorer.degrade import Degradation, degrade

__all__ = ["Crops", "Framing", "cropped", "rebacked", "recoloured", "square_grid", "worsened"]


@dataclass(frozen=True)
class Framing:
    """Squares about a face box: ``room`` times its larger side, moved by up to ``shift`` of the square.

    Attributes:
        size: pixels of the crop. room: lowest and highest. turn: standard deviation of the roll, degrees.
        mirror: whether half of them are mirrored. finer: samples a pixel and side.
    """

    size: int
    room: tuple[float, float]
    shift: float = 0.08
    turn: float = 7.0
    mirror: bool = True
    finer: int = 1


@dataclass(frozen=True)
class Crops:
    """N crops.

    Attributes:
        rgb, background: display values 0..1. alpha: 0..1. label: number or ``IGNORE``.
        known: 1 inside the picture. known_alpha: whether alpha and background are known. person: number.
    """

    rgb: Float[Tensor, "n 3 s s"]
    background: Float[Tensor, "n 3 s s"]
    alpha: Float[Tensor, "n s s"]
    label: Int[Tensor, "n s s"]
    known: Float[Tensor, "n s s"]
    known_alpha: Bool[Tensor, " n"]
    person: Int[Tensor, " n"]

    @classmethod
    def joined(cls, parts: list[Crops]) -> Crops:
        """All of several."""
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)})


def uniform(dice: torch.Generator, n: int, low: float, high: float) -> Float[Tensor, " n"]:
    """N numbers."""
    return low + (high - low) * torch.rand(n, generator=dice)


def square_grid(
    box: Float[Tensor, "n 4"], height: int, width: int, size: int, room: Tensor | float,
    shift: Tensor | None = None, turn: Tensor | None = None, mirror: Tensor | None = None,
) -> Float[Tensor, "n s s 2"]:  # fmt: skip
    """Sampling grid (for ``grid_sample``, align_corners False) of squares about boxes.

    Args:
        room: side as a multiple of the box's larger side. shift: (n, 2) as a share of the square's side.
        turn: (n,) radians. mirror: (n,) -1 mirrors, 1 does not.
    """
    n, device = len(box), box.device
    middle = (box[:, :2] + box[:, 2:]) / 2
    side = (box[:, 2:] - box[:, :2]).amax(1) * room
    if shift is not None:
        middle = middle + shift.to(device) * side[:, None]
    steps = (torch.arange(size, device=device) + 0.5) / size - 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    x = x.expand(n, size, size) * (1 if mirror is None else mirror.to(device)[:, None, None])
    angle = torch.zeros(n, device=device) if turn is None else turn.to(device)
    c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
    px = middle[:, 0, None, None] + side[:, None, None] * (c * x - s * y)
    py = middle[:, 1, None, None] + side[:, None, None] * (s * x + c * y)
    return torch.stack([px / width * 2 - 1, py / height * 2 - 1], -1)


def cropped(pictures: Pictures, framing: Framing, dice: torch.Generator) -> Crops:
    """Crops drawn about the faces; beyond the picture its edge is repeated and the label is ``IGNORE``."""
    n, (h, w) = len(pictures), pictures.rgb.shape[1:3]
    device, size = pictures.rgb.device, framing.size
    room = torch.exp(uniform(dice, n, math.log(framing.room[0]), math.log(framing.room[1])))
    grid = square_grid(
        pictures.box, h, w, size * framing.finer, room.to(device),
        framing.shift * (2 * torch.rand(n, 2, generator=dice) - 1),
        math.radians(framing.turn) * torch.randn(n, generator=dice).clamp(-2.5, 2.5),
        torch.where(torch.rand(n, generator=dice) < 0.5 * framing.mirror, -1.0, 1.0),
    )  # fmt: skip
    stack = (
        torch.cat([pictures.rgb, pictures.background, pictures.alpha[..., None]], -1).permute(0, 3, 1, 2)
        / 255
    )
    drawn = grid_sample(stack, grid, padding_mode="border", align_corners=False)
    if framing.finer > 1:
        drawn = avg_pool2d(drawn, framing.finer)
        k = framing.finer // 2
        grid = grid[:, k :: framing.finer, k :: framing.finer]
    known = (grid.abs() < 1).all(-1)
    label = grid_sample(
        pictures.label[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False
    )[:, 0]
    label = torch.where(known, label.round().long(), IGNORE)
    sure = pictures.alpha.amax((1, 2)) > 0
    return Crops(drawn[:, :3], drawn[:, 3:6], drawn[:, 6], label, known.float(), sure, pictures.person)


def rebacked(crops: Crops, dice: torch.Generator, share: float = 0.6) -> Crops:
    """Some crops over another's background, a plain one, or a gradient as photographers' cloths have.

    The exchange is made in linear light (gamma 2 is near enough): c + (1 - alpha)(new - old).
    """
    n, size, device = len(crops.rgb), crops.rgb.shape[-1], crops.rgb.device
    corners = torch.rand(n, 3, 2, 2, generator=dice)
    grey = corners.mean(1, keepdim=True)
    corners = grey + (corners - grey) * uniform(dice, n, 0, 0.6)[:, None, None, None]
    even = corners.mean((2, 3), keepdim=True)
    uneven = uniform(dice, n, 0, 0.7)[:, None, None, None].square()
    cloth = interpolate(
        (even + (corners - even) * uneven).to(device), (size, size), mode="bilinear", align_corners=True
    )
    other = crops.background[torch.randperm(n, generator=dice).to(device)]
    plain, swap = ((torch.rand(n, generator=dice) < p).to(device)[:, None, None, None] for p in (0.4, share))
    new = torch.where(plain, cloth, other)
    mixed = crops.rgb.square() + (1 - crops.alpha[:, None]) * (new.square() - crops.background.square())
    known = crops.known_alpha[:, None, None, None] & swap
    return replace(
        crops,
        rgb=torch.where(known, mixed.clamp(0, 1).sqrt(), crops.rgb),
        background=torch.where(known, new, crops.background),
    )


def recoloured(
    rgb: Float[Tensor, "n 3 h w"], dice: torch.Generator, strength: float = 1.0
) -> Float[Tensor, "n 3 h w"]:
    """Other white balance, saturation, contrast, brightness and gamma; a few in grey."""
    n = len(rgb)

    def draw(spread: float, *size: int) -> Tensor:
        x = torch.randn(n, *size, generator=dice).clamp(-2.5, 2.5) * spread * strength
        return x.reshape(n, *size, *([1] * (3 - len(size)))).to(rgb)

    x = rgb * torch.exp(draw(0.12, 3))
    grey = x.mean(1, keepdim=True)
    saturation = torch.exp(draw(0.3))
    plain = (torch.rand(n, generator=dice) < 0.06).to(rgb.device)[:, None, None, None]
    x = grey + (x - grey) * torch.where(plain, 0.0, saturation)
    x = (x.clamp(min=0) + 1e-4) ** torch.exp(draw(0.25))
    middle = x.mean((1, 2, 3), keepdim=True)
    return ((x - middle) * torch.exp(draw(0.2)) + middle + draw(0.08)).clamp(0, 1)


def worsened(
    rgb: Float[Tensor, "n 3 h w"], dice: torch.Generator, ranges: Degradation, share: float
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, " n"]]:
    """A share of the pictures blurred, reduced, made noisy and compressed; and how much was lost by it.

    The loss is log10 of the mean squared difference to what came in, shifted and scaled to about -1..1.
    """
    n = len(rgb)
    seeds = torch.randint(0, 2**31, (n,), generator=dice).tolist()
    worse = (torch.rand(n, generator=dice) < share).tolist()
    out = torch.stack(
        [degrade(x, s, ranges) if bad else x for x, s, bad in zip(rgb, seeds, worse, strict=True)]
    )
    lost = ((out - rgb) ** 2).mean((1, 2, 3))
    return out, (torch.log10(lost + 1e-5) + 3.5) / 1.5
