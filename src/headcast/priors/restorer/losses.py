"""Losses of the restorer."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["charbonnier", "gradient_loss"]

EPSILON = 1e-3


def charbonnier(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Return the mean of sqrt((a - b)² + 1e-6): L1, smooth at zero (Charbonnier et al. 1994)."""
    return ((a - b).square() + EPSILON**2).sqrt().mean()


def gradient_loss(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Return the mean absolute difference of neighbouring pixels' differences, along rows and columns."""
    d = a - b
    return (torch.diff(d, dim=-1).abs().mean() + torch.diff(d, dim=-2).abs().mean()) / 2
