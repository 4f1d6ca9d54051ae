"""Parameters of a head: identity, expression, pose and gaze, batched over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS, check_names

__all__ = ["GAZE_LIMITS", "HeadParams", "expression_vector", "eye_look_from_gaze", "gaze_from_eye_look"]

GAZE_LIMITS = {"In": 0.52, "Out": 0.52, "Up": 0.44, "Down": 0.52}
"""Rotation of an eyeball (radians) at eyeLook* = 1."""


@dataclass(frozen=True)
class HeadParams:
    """Identity, expression, pose and gaze of a head; any leading batch dimensions, equal for all fields.

    Attributes:
        identity: coefficients of the head model's identity basis, distributed as N(0, 1).
        expression: 52 weights in the order of ``EXPRESSIONS``, nominally in 0..1.
        rotation: world_from_head axis-angle, radians.
        translation: position of the head frame's origin in the world, metres.
        neck: axis-angle of the head relative to the shoulders, radians, bent over the neck and head joints.
        jaw: axis-angle of the jaw joint, radians. Zero by default: ``jawOpen`` and its like move the jaw.
        gaze: (left, right) x (yaw, pitch) of the eyeballs in the head frame, radians; positive yaw looks to
            the subject's left, positive pitch up. None: the ``eyeLook*`` weights say; given, it replaces
            them.
    """

    identity: Float[Tensor, "*b i"]
    expression: Float[Tensor, "*b 52"]
    rotation: Float[Tensor, "*b 3"]
    translation: Float[Tensor, "*b 3"]
    neck: Float[Tensor, "*b 3"]
    jaw: Float[Tensor, "*b 3"]
    gaze: Float[Tensor, "*b 2 2"] | None = None

    @staticmethod
    def neutral(identities: int, batch: tuple[int, ...] = (), **like: Any) -> HeadParams:
        """Return the mean head at rest at the origin. ``like``: device and dtype, as for ``torch.zeros``."""
        z3 = torch.zeros(*batch, 3, **like)
        return HeadParams(
            identity=torch.zeros(*batch, identities, **like),
            expression=torch.zeros(*batch, len(EXPRESSIONS), **like),
            rotation=z3,
            translation=z3.clone(),
            neck=z3.clone(),
            jaw=z3.clone(),
        )

    @property
    def batch(self) -> tuple[int, ...]:
        """Return the leading batch dimensions."""
        return tuple(self.expression.shape[:-1])

    def replace(self, **changes: Tensor | None) -> HeadParams:
        """Return a copy with some fields replaced."""
        return replace(self, **changes)

    def with_expression(self, weights: Mapping[str, float]) -> HeadParams:
        """Return a copy in which the named weights are set, for every batch entry."""
        e = self.expression.clone()
        check_names(weights, "expression")
        for name, w in weights.items():
            e[..., EXPRESSION_INDEX[name]] = w
        return self.replace(expression=e)

    def __getitem__(self, index: int | slice | tuple) -> HeadParams:
        """Index the leading batch dimensions of every field."""
        return self._each(lambda x: x[index])

    def to(self, *args: Any) -> HeadParams:
        """Apply ``Tensor.to`` to every field."""
        return self._each(lambda x: x.to(*args))

    def _each(self, change: Callable[[Tensor], Tensor]) -> HeadParams:
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        values: dict[str, Any] = {k: None if v is None else change(v) for k, v in given.items()}
        return HeadParams(**values)

    @staticmethod
    def stack(items: list[HeadParams]) -> HeadParams:
        """Stack frames along a new leading dimension. Gaze must be given in all or in none."""
        values: dict[str, Any] = {}
        for f in fields(HeadParams):
            each = [getattr(p, f.name) for p in items]
            values[f.name] = None if each[0] is None else torch.stack(each)
        return HeadParams(**values)


def expression_vector(weights: Mapping[str, float]) -> Float[Tensor, "52"]:
    """Build the 52 weights from a mapping by name; others are zero."""
    check_names(weights, "expression")
    v = torch.zeros(len(EXPRESSIONS))
    for name, w in weights.items():
        v[EXPRESSION_INDEX[name]] = w
    return v


def gaze_from_eye_look(expression: Float[Tensor, "*b 52"]) -> Float[Tensor, "*b 2 2"]:
    """Return the eyeball rotation (see ``HeadParams.gaze``) of the ``eyeLook*`` weights."""

    def w(name: str) -> Tensor:
        return expression[..., EXPRESSION_INDEX[name]]

    def one(side: str, out_sign: float) -> Tensor:
        outward = w(f"eyeLookOut{side}") * GAZE_LIMITS["Out"] - w(f"eyeLookIn{side}") * GAZE_LIMITS["In"]
        pitch = w(f"eyeLookUp{side}") * GAZE_LIMITS["Up"] - w(f"eyeLookDown{side}") * GAZE_LIMITS["Down"]
        return torch.stack([out_sign * outward, pitch], -1)

    return torch.stack([one("Left", 1.0), one("Right", -1.0)], -2)


def eye_look_from_gaze(
    expression: Float[Tensor, "*b 52"], gaze: Float[Tensor, "*b 2 2"]
) -> Float[Tensor, "*b 52"]:
    """Return the expression with its ``eyeLook*`` weights set from an explicit gaze: lids follow the eyes."""
    e = expression.clone()
    for s, (side, out_sign) in enumerate((("Left", 1.0), ("Right", -1.0))):
        out, pitch = out_sign * gaze[..., s, 0], gaze[..., s, 1]
        for name, value in (("Out", out), ("In", -out), ("Up", pitch), ("Down", -pitch)):
            e[..., EXPRESSION_INDEX[f"eyeLook{name}{side}"]] = value.clamp(min=0) / GAZE_LIMITS[name]
    return e
