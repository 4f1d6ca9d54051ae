"""The light on a smiling face: the learned field of folds and bulges, bound to one person."""

from __future__ import annotations

import json

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.avatar.expression_shading import ExpressionShading
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS
from headcast.head.skin import uv_key
from headcast.weights import load_tensors, weights_path

__all__ = ["smile_shading"]


def smile_shading(head: HeadModel, source: Float[Tensor, "52"]) -> ExpressionShading | None:
    """Return the average person's fields of a smile, left and right; None: not learned for this head.

    Args:
        source: expression in the photo.
    """
    if not weights_path("smile").is_file():
        return None
    tensors, metadata, _ = load_tensors("smile")
    if json.loads(metadata["smile"])["uv"] != uv_key(head):
        return None
    left, drivers = tensors["field"].float(), tensors["drivers"].float()
    return ExpressionShading(
        fields=torch.stack([left, left[head.mirror]]),
        drivers=torch.stack([drivers, drivers[mirrored_expressions()]]),
        source=source,
    )


def mirrored_expressions() -> list[int]:
    """Return for every expression the index of the other side's."""
    swapped = {"Left": "Right", "Right": "Left"}
    return [
        EXPRESSION_INDEX[name.removesuffix(side) + swapped[side]]
        if (side := next((s for s in swapped if name.endswith(s)), None)) and len(name) > len(side) + 1
        and name.removesuffix(side) + swapped[side] in EXPRESSION_INDEX
        else k
        for k, name in enumerate(EXPRESSIONS)
    ]
