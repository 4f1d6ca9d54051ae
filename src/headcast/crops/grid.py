"""Squares of images by sampling grids, in torch: batched, differentiable in the image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

__all__ = [
    "fit_similarity_2d",
    "sample_similarity",
    "sample_square",
    "sample_squares",
    "square_grid",
    "supersampling",
]

MOST_FINER = 8
"""Samples a pixel and side at most, where a square is larger than the crop."""


def supersampling(side: float, size: int, most: int = MOST_FINER) -> int:
    """Choose how many samples a pixel and side average a square of ``side`` pixels into ``size`` pixels."""
    return max(1, min(most, round(side / size)))


def square_grid(
    box: Float[Tensor, "n 4"],
    height: int,
    width: int,
    size: int,
    room: Tensor | float,
    shift: Tensor | None = None,
    turn: Tensor | None = None,
    mirror: Tensor | None = None,
) -> Float[Tensor, "n {size} {size} 2"]:
    """Make the sampling grid (for ``grid_sample``, align_corners False) of squares about boxes.

    Args:
        height, width: of the image, pixels. size: of the crop.
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


def sample_squares(
    image: Float[Tensor, "b c h w"], box: Float[Tensor, "b 4"], size: int, room: float, most: int = MOST_FINER
) -> Float[Tensor, "b c {size} {size}"]:
    """Resample squares about boxes, averaged where they are larger; beyond the image its edge is repeated.

    Args:
        box: x0, y0, x1, y1, pixels. room: side of the square as a multiple of the box's larger side.
        most: samples a pixel and side at most; all of a batch have those of its largest square.
    """
    h, w = image.shape[-2:]
    finer = supersampling(float((box[:, 2:] - box[:, :2]).amax()) * room, size, most)
    grid = square_grid(box, h, w, size * finer, room)
    crop = grid_sample(image, grid, padding_mode="border", align_corners=False)
    return avg_pool2d(crop, finer) if finer > 1 else crop


def sample_square(
    image: Float[Tensor, "1 c h w"], left: float, top: float, side: float, size: int
) -> Float[Tensor, "1 c {size} {size}"]:
    """Resample one upright square by its corner and side in pixels, as ``sample_squares`` does."""
    h, w = image.shape[-2:]
    finer = supersampling(side, size)
    at = (torch.arange(size * finer) + 0.5) / (size * finer) * side
    x, y = (at + left) / w * 2 - 1, (at + top) / h * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).to(image)
    found = grid_sample(image, grid[None], padding_mode="border", align_corners=False)
    return avg_pool2d(found, finer)


def fit_similarity_2d(
    points: Float[Tensor, "n 2"], to: Float[Tensor, "n 2"]
) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
    """Fit the turn, scale and shift that bring points nearest to others, by least squares.

    Returns:
        Scaled cosine and sine of the turn, and the shift after it: u = c x - s y + tu, v = s x + c y + tv.
    """
    p, q = points - points.mean(0), to - to.mean(0)
    n = p.square().sum()
    a = torch.stack([(p * q).sum(), (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()]) / n
    c, s = a.unbind()
    x, y = points.mean(0).unbind()
    return a, to.mean(0) - torch.stack([c * x - s * y, s * x + c * y])


def sample_similarity(
    image: Float[Tensor, "c h w"], turn: Float[Tensor, "2"], shift: Float[Tensor, "2"], size: int
) -> Float[Tensor, "c {size} {size}"]:
    """Resample the square that a similarity of the image gives, bilinear; 0 beyond the image.

    Args:
        turn, shift: of :func:`fit_similarity_2d`, from pixels of the image to pixels of the square, both with
            centres at whole numbers.
    """
    c, s = turn.unbind()
    matrix = torch.stack([torch.stack([c, -s]), torch.stack([s, c])])
    y, x = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    at = (torch.stack([x, y], -1).to(shift) - shift) @ torch.linalg.inv(matrix).T
    h, w = image.shape[1:]
    grid = (at + 0.5) / torch.tensor([w, h]).to(at) * 2 - 1
    return grid_sample(image[None], grid[None], align_corners=False)[0]
