"""Loading of the trained encoders, and face crops for them."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.crops.grid import sample_squares
from headcast.errors import HeadcastError
from headcast.priors.encoder.network import SIDE, Encoder
from headcast.weights import load_tensors, weights_path

__all__ = ["Which", "available", "face_crops", "load_encoder"]

Which = Literal["losses", "evaluator"]
ROOM = 1.35
"""Side of the square that is encoded, in larger sides of the box around the 478 landmarks."""


def available(which: Which) -> bool:
    """Return whether these weights are in the package."""
    return weights_path(f"encoder-{which}").is_file()


def load_encoder(which: str, device: torch.device | str = "cpu") -> Encoder:
    """Load an encoder in evaluation mode with frozen weights; gradients go through it to the image.

    Args:
        which: ``losses`` for training, ``evaluator`` for measuring only: what an evaluator measures must not
            have been trained against it.

    Raises:
        HeadcastError: no such encoder.
    """
    return _load_cached(which, str(device))


@cache
def _load_cached(which: str, device: str) -> Encoder:
    """Load an encoder once per process and device."""
    if which not in ("losses", "evaluator"):
        raise HeadcastError(f"encoder '{which}': there are 'losses' and 'evaluator'")
    tensors, _, _ = load_tensors(f"encoder-{which}")
    with torch.random.fork_rng(devices=[]):  # a caller's random numbers don't depend on who came first
        encoder = Encoder()
    encoder.load_state_dict({k: v.float() for k, v in tensors.items()})
    return encoder.to(device).eval().requires_grad_(False)


def face_crops(
    rgb: Float[Tensor, "b 3 h w"], box: Float[Tensor, "b 4"], size: int = SIDE
) -> Float[Tensor, "b 3 {size} {size}"]:
    """Crop squares about faces as the encoder knows them, differentiable; edges are repeated.

    Args:
        box: x0, y0, x1, y1 around the 478 landmarks, pixels.
    """
    return sample_squares(rgb, box, size, ROOM)
