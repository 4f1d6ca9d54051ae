"""Adversarial losses: non-saturating (Goodfellow et al. 2014) with the R1 penalty (Mescheder et al. 2018);
hinge (Lim & Ye 2017) for discriminators that score patches at several scales."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu, softplus

__all__ = [
    "discriminator_loss",
    "generator_loss",
    "hinge_discriminator_loss",
    "hinge_generator_loss",
    "r1_penalty",
]


def generator_loss(fake: Float[Tensor, "b 1"]) -> Float[Tensor, ""]:
    """Compute the generator's non-saturating loss from the discriminator's logits of generated images."""
    return softplus(-fake).mean()


def discriminator_loss(real: Float[Tensor, "r 1"], fake: Float[Tensor, "f 1"]) -> Float[Tensor, ""]:
    """Compute the discriminator's logistic loss from its logits of real and of generated images."""
    return softplus(-real).mean() + softplus(fake).mean()


def hinge_generator_loss(fake: Sequence[Float[Tensor, "b 1 _ _"]]) -> Float[Tensor, ""]:
    """Compute the generator's hinge loss from the scores of generated patches, one map for each scale."""
    return -torch.stack([x.mean() for x in fake]).mean()


def hinge_discriminator_loss(
    real: Sequence[Float[Tensor, "b 1 _ _"]], fake: Sequence[Float[Tensor, "b 1 _ _"]]
) -> Float[Tensor, ""]:
    """Compute the discriminator's hinge loss from the scores of real and of generated patches."""
    terms = [relu(1 - r).mean() + relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def r1_penalty(
    discriminator: Callable[..., Float[Tensor, "b 1"]], *real: Float[Tensor, "b _ _ _"]
) -> Float[Tensor, ""]:
    """Compute R1: the mean squared gradient of the logits by real images; always in single precision.

    Args:
        discriminator: takes the images in this order. real: one batch of images for each of its arguments.
    """
    inputs = [x.detach().float().requires_grad_() for x in real]
    device = inputs[0].device
    with torch.enable_grad(), torch.autocast(device.type, enabled=False):
        gradients = torch.autograd.grad(discriminator(*inputs).sum(), inputs, create_graph=True)
    return sum((g.square().sum((1, 2, 3)).mean() for g in gradients), torch.zeros([], device=device))
