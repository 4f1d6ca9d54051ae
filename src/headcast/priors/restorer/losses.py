"""What the restorer's output is judged by while it is trained."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["charbonnier", "gradient_loss"]

EPSILON = 1e-3


def charbonnier(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean of sqrt((a - b)² + 1e-6): an L1 norm that is smooth at zero (Charbonnier et al. 1994)."""
    return ((a - b).square() + EPSILON**2).sqrt().mean()


def gradient_loss(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean absolute difference of the differences between neighbouring pixels, along rows and columns."""
    d = a - b
    return (torch.diff(d, dim=-1).abs().mean() + torch.diff(d, dim=-2).abs().mean()) / 2
