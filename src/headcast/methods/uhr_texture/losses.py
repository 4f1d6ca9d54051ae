"""L1 and Laplacian losses over the pixels of skin (§3.3, §3.4)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from headcast.methods.uhr_texture.network import UNITS

__all__ = ["KERNEL", "l1_loss", "laplacian", "laplacian_loss"]

KERNEL = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
"""K of §3.3."""


def laplacian(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c i j"]:
    """Convolve every channel with ``KERNEL``; the result is two pixels smaller."""
    c = x.shape[1]
    kernel = torch.tensor(KERNEL, dtype=x.dtype, device=x.device).expand(c, 1, 3, 3)
    return conv2d(x, kernel, groups=c)


def masked_mean(x: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]) -> Float[Tensor, ""]:
    """Average over channels (seven: in ``UNITS``) and the mask's pixels; 0 where it is empty."""
    if x.shape[1] == len(UNITS):
        x = x / torch.tensor(UNITS, device=x.device).view(1, -1, 1, 1)
    return (x * mask).sum() / (mask.sum() * x.shape[1]).clamp(min=1)


def l1_loss(
    prediction: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, ""]:
    """Return the mean absolute difference where ``mask`` is 1."""
    return masked_mean((prediction - target).abs(), mask)


def laplacian_loss(
    prediction: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], mask: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, ""]:
    """Return E|K * P - K * T| (§3.3) where the kernel touches the mask's pixels alone."""
    inside = 1 - max_pool2d(1 - mask, 3, 1)
    return masked_mean((laplacian(prediction) - laplacian(target)).abs(), inside)
