"""Inference of the trained parser on images of any size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample

from headcast.crops.grid import sample_squares
from headcast.device import one_thread
from headcast.image import to_network_input
from headcast.priors.parser.network import FaceParser
from headcast.weights import load_tensors, weights_path

__all__ = ["Parsed", "available", "load_parser", "parse_face", "room_within"]

ROOMS = (1.8, 3.8)
"""Least and greatest side of the parsed square in larger sides of the box around the 478 landmarks."""

FINER = 2.0
"""Side of the parsed square over that of the training's, whose faces filled more of their squares."""

MAX_SAMPLES_PER_PIXEL = 16
"""Samples a pixel and side at most, for faces in large photos."""

RIM = 0.04
"""Fraction of the square's side over which its weight fades out towards its border."""


@dataclass(frozen=True)
class Parsed:
    """Parsed maps of one face in one image, of the image's size.

    Attributes:
        probability: of each label of ``synth.config.LABELS``, 0 outside of the square.
        alpha: coverage by the person 0..1, 0 outside of the square.
        weight: 1 inside of the square, 0 outside, soft at its border; below it, what lies at its lower edge
            goes on.
    """

    probability: Float[Tensor, "k h w"]
    alpha: Float[Tensor, "h w"]
    weight: Float[Tensor, "h w"]

    @property
    def label(self) -> Int[Tensor, "h w"]:
        """Return the most probable label at each pixel, background outside of the square."""
        return self.probability.argmax(0)


def available() -> bool:
    """Return whether the weights are in the package."""
    return weights_path("parser").is_file()


def load_parser(device: torch.device | str = "cpu") -> FaceParser:
    """Load the bundled parser in evaluation mode; see ``parse_face`` for whole images.

    Raises:
        HeadcastError: the weights are not there.
    """
    return _load_cached(str(device))


@cache
def _load_cached(device: str) -> FaceParser:
    """Load the parser once per process and device."""
    tensors, _, _ = load_tensors("parser")
    parser = FaceParser()
    parser.load_state_dict({k: v.float() for k, v in tensors.items()})
    return parser.to(device).eval().requires_grad_(False)


def room_within(box: tuple[float, float, float, float], width: int, height: int) -> float:
    """Choose the side of the square, in larger sides of the box: what an image shows, within ``ROOMS``."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    reach = max(x, width - x, y, height - y)
    return min(max(2 * reach / max(box[2] - box[0], box[3] - box[1], 1e-6), ROOMS[0]), ROOMS[1])


@torch.no_grad()
def parse_face(
    rgb: UInt8[Tensor, "h w 3"],
    box: tuple[float, float, float, float],
    parser: FaceParser | None = None,
    room: float | None = None,
    guide: Float[Tensor, "h w"] | None = None,
) -> Parsed:
    """Parse labels and coverage of the square about a face.

    Args:
        box: x0, y0, x1, y1 around the 478 landmarks, pixels.
        parser: the bundled one by default, on the image's device.
        room: side of the square in larger sides of the box; None: see ``room_within``.
        guide: coarse coverage 0..1 of the image by the person, to be guided by.
    """
    parser = parser or load_parser(rgb.device)
    h, w = rgb.shape[:2]
    room = room or room_within(box, w, h)
    where = torch.tensor([box], dtype=torch.float32, device=rgb.device)
    side = float((where[0, 2:] - where[0, :2]).max()) * room
    pixels = round(FINER * float(parser.side))
    crop = sample_squares(to_network_input(rgb, rgb.device), where, pixels, room, MAX_SAMPLES_PER_PIXEL)
    coarse = None
    if guide is not None:
        signed = (2 * guide - 1)[None, None].to(crop)
        coarse = sample_squares(signed, where, pixels, room, MAX_SAMPLES_PER_PIXEL)[:, 0]
    with one_thread():  # the same bits for any number of threads
        probability, alpha = parser.parse(crop, coarse)
    back = _square_grid(rgb, where, w, h, side)
    above = torch.stack([back[0, ..., 0].abs(), -back[0, ..., 1]], -1).amax(-1)
    weight = ((1 - above) / (2 * RIM)).clamp(0, 1)
    maps = grid_sample(
        torch.cat([probability, alpha[:, None]], 1), back, padding_mode="border", align_corners=False
    )[0]
    maps = maps * (weight > 0)
    return Parsed(maps[:-1], maps[-1], weight)


def _square_grid(rgb: UInt8[Tensor, "h w 3"], where: Tensor, w: int, h: int, side: float) -> Tensor:
    """Return each pixel's place in the square, -1..1 within."""
    middle = (where[0, :2] + where[0, 2:]) / 2
    x, y = (torch.arange(n, device=rgb.device) + 0.5 for n in (w, h))
    u, v = (x - middle[0]) / side * 2, (y - middle[1]) / side * 2
    return torch.stack([u[None, :].expand(h, w), v[:, None].expand(h, w)], -1)[None]
