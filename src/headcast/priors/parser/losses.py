"""Losses of the parser: labels and coverage where they are known."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, cross_entropy

from headcast.priors.images import IGNORE

__all__ = ["alpha_loss", "dice_loss", "downsample_labels", "label_loss"]

RARE = {
    "brows": 3.0,
    "lips": 3.0,
    "mouth": 4.0,
    "teeth": 4.0,
    "eyes": 4.0,
    "ears": 2.0,
    "facial_hair": 1.5,
    "glasses": 4.0,
    "nose": 1.5,
}
"""How much more a pixel of small regions counts."""


def downsample_labels(label: Int[Tensor, "n h w"]) -> Int[Tensor, "n i j"]:
    """Downsample labels to half the side: the upper left of each four pixels.

    That is half a pixel off, which mirroring half of the training images evens out.
    """
    return label[:, ::2, ::2]


def label_loss(
    logits: Float[Tensor, "n k i j"], label: Int[Tensor, "n i j"], weight: Float[Tensor, " k"]
) -> Float[Tensor, ""]:
    """Return cross entropy where labels are known, 0 if nowhere."""
    known = label != IGNORE
    if not bool(known.any()):
        return logits.sum() * 0
    return cross_entropy(logits, torch.where(known, label, -100), weight=weight)


def dice_loss(logits: Float[Tensor, "n k i j"], label: Int[Tensor, "n i j"]) -> Float[Tensor, ""]:
    """Return 1 - soft overlap of every class present in the batch (Milletari et al. 2016)."""
    p = logits.softmax(1)
    known = (label != IGNORE)[:, None].float()
    truth = torch.nn.functional.one_hot(label.clamp(max=logits.shape[1] - 1), logits.shape[1])
    truth = truth.permute(0, 3, 1, 2) * known
    p = p * known
    both, sizes = (p * truth).sum((0, 2, 3)), (p + truth).sum((0, 2, 3))
    there = truth.sum((0, 2, 3)) > 0
    if not bool(there.any()):
        return logits.sum() * 0
    return (1 - (2 * both + 1) / (sizes + 1))[there].mean()


def alpha_loss(
    logits: Float[Tensor, "n h w"], alpha: Float[Tensor, "n h w"], known: Bool[Tensor, "n h w"]
) -> Float[Tensor, ""]:
    """Return the absolute error of coverage and of its gradient, edges ten times, where it is known.

    It is 0 where nothing is known.
    """
    wide = avg_pool2d(alpha[:, None], 13, 1, 6, count_include_pad=False)[:, 0]
    weight = (1 + 9 * (4 * wide * (1 - wide)).clamp(0, 1)) * known
    off = logits.sigmoid() - alpha
    loss = (off.abs() * weight).sum() / weight.sum().clamp(min=1)
    for axis in (1, 2):
        n = off.shape[axis] - 1
        both = weight.narrow(axis, 1, n) * known.narrow(axis, 0, n)
        loss = loss + (off.diff(dim=axis).abs() * both).sum() / both.sum().clamp(min=1)
    return loss
