"""Corrective rules for expression weights that must not simply be added."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.head.names import EXPRESSION_INDEX as E

__all__ = ["combine"]

CLOSES = 0.86
"""The mouthClose weight that closes a full jawOpen."""
TONGUE_OPENS = 0.4
"""Minimum jawOpen at tongueOut = 1."""


def combine(expression: Float[Tensor, "*b 52"]) -> Float[Tensor, "*b 52"]:
    """Return the weights to be applied to the linear shapes.

    - A closing lid takes over from looks, wide and squint, whose sum would carry it past the other lid.
    - ``mouthClose`` undoes ``jawOpen``: it never exceeds it, and is scaled so that equal weights just close.
    - ``tongueOut`` opens the jaw far enough to let the tongue pass.
    """
    e = list(expression.unbind(-1))
    for side in ("Left", "Right"):
        open_ = 1 - e[E[f"eyeBlink{side}"]].clamp(0, 1)
        for name in ("eyeLookDown", "eyeLookUp", "eyeSquint", "eyeWide"):
            e[E[name + side]] = e[E[name + side]] * open_
    e[E["jawOpen"]] = torch.maximum(e[E["jawOpen"]], TONGUE_OPENS * e[E["tongueOut"]])
    e[E["mouthClose"]] = CLOSES * torch.minimum(e[E["mouthClose"]], e[E["jawOpen"]])
    return torch.stack(e, -1)
