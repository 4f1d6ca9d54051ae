"""Channel-split spatial feature transform (Wang et al. 2021, GFPGAN): conditions scale and shift features."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Condition", "modulate_last_channels"]

Condition = tuple[Float[Tensor, "b _ _ _"], Float[Tensor, "b _ _ _"]]
"""Scale and shift of the last channels of a feature map."""


def modulate_last_channels(x: Float[Tensor, "b c h w"], condition: Condition) -> Float[Tensor, "b c h w"]:
    """Scale and shift as many of the last channels as the condition has; the first ones stay as they are."""
    scale, shift = condition
    same, changed = x.split([x.shape[1] - scale.shape[1], scale.shape[1]], 1)
    return torch.cat([same, changed * scale + shift], 1)
