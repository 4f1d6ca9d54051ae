"""Colours of region labels, for people to look at."""

from __future__ import annotations

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

__all__ = ["COLOURS", "coloured"]

COLOURS = (
    (24, 24, 28),
    (226, 174, 142),
    (202, 118, 88),
    (236, 132, 96),
    (170, 126, 104),
    (84, 46, 20),
    (222, 48, 84),
    (96, 8, 24),
    (250, 250, 240),
    (70, 150, 246),
    (128, 84, 204),
    (176, 140, 40),
    (30, 210, 190),
    (88, 104, 128),
)
"""In the order of ``synth.config.LABELS``."""

UNKNOWN = (255, 0, 255)


def coloured(label: Int[Tensor, "*n h w"] | UInt8[Tensor, "*n h w"]) -> UInt8[Tensor, "*n h w 3"]:
    """Colour a label map for display; unknown pixels are magenta."""
    table = torch.tensor([*COLOURS, UNKNOWN], dtype=torch.uint8, device=label.device)
    return table[label.long().clamp(max=len(COLOURS))]
