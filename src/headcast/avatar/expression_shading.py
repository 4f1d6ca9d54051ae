"""How expressions change the light on the skin: folds of a smile, between the resolution of mesh and texture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.avatar.entries import damaged
from headcast.avatar.source import check_tensor
from headcast.head.params import HeadParams

__all__ = ["MAX_LOG_CHANGE", "ExpressionShading", "shading_from"]

MAX_FIELDS = 16
MAX_LOG_CHANGE = 1.0  # of the light at a vertex, by all fields together


@dataclass(frozen=True)
class ExpressionShading:
    """Factors on the light at the head's vertices that come with expressions.

    Attributes:
        fields: (K, V) logarithms of the factor at full strength.
        drivers: (K, 52) weights of the expressions whose sum, cut to 0..1, is a field's strength.
        source: (52,) expression of the photo, which shows its own folds already.
    """

    fields: Float[Tensor, "k v"]
    drivers: Float[Tensor, "k 52"]
    source: Float[Tensor, "52"]

    def strength(self, params: HeadParams) -> Float[Tensor, "k"]:
        """Return each field's strength in a pose (unbatched), less than in the photo below 0."""
        expression = params.expression.detach().float().cpu()
        return (self.drivers @ expression).clamp(0, 1) - self.source_strength

    @cached_property
    def source_strength(self) -> Float[Tensor, "k"]:
        """Return each field's strength in the photo, 0..1."""
        return (self.drivers @ self.source.float()).clamp(0, 1)

    def factor(self, params: HeadParams) -> Float[Tensor, "v"] | None:
        """Return the factor on the light at every vertex in a pose (unbatched); None: the photo's own."""
        strength = self.strength(params)
        if not bool(strength.any()):
            return None
        return (strength @ self.fields).clamp(-MAX_LOG_CHANGE, MAX_LOG_CHANGE).exp()

    def tensors(self) -> dict[str, Tensor]:
        """Return the named tensors to be stored; ``source`` is the source view's own."""
        return {"shading.fields": self.fields.half(), "shading.drivers": self.drivers}


def shading_from(
    tensors: Mapping[str, Tensor], vertices: int, source: Float[Tensor, "52"], path: Path
) -> ExpressionShading | None:
    """Read and check a stored shading; None: the file holds none.

    Raises:
        HeadcastError: something is missing, or of a wrong shape.
    """
    if "shading.fields" not in tensors:
        return None
    count = tensors["shading.fields"].shape[0] if tensors["shading.fields"].ndim else 0
    if not 1 <= count <= MAX_FIELDS:
        raise damaged(path, f"{count} fields of shading")
    fields = check_tensor(tensors, "shading.fields", (count, vertices), path)
    drivers = check_tensor(tensors, "shading.drivers", (count, source.shape[0]), path)
    return ExpressionShading(fields.float(), drivers.float(), source)
