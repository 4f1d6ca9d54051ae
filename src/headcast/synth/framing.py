"""Camera distributions as data: the statistics of a framing, and how a name becomes one.

Methods declare framings of their own; ``find_framing("package.module:NAME")`` reads one without this package
knowing it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from headcast import registry
from headcast.errors import HeadcastError
from headcast.synth.rng import CounterRng

__all__ = [
    "EG3D",
    "FRAMINGS",
    "FRONT",
    "PORTRAIT",
    "CameraFraming",
    "ClippedNormal",
    "Constant",
    "Distribution",
    "SquaredUniform",
    "Uniform",
    "find_framing",
    "framing_names",
]

EG3D_SCALE = 3.1
"""Units a metre when EG3D's field of view at its radius is to show as much as an FFHQ crop."""


@dataclass(frozen=True)
class Constant:
    """A distribution with always the same value."""

    value: float

    def draw(self, rng: CounterRng, name: str, *size: int) -> Float[Tensor, "n *size"]:
        """Return a tensor filled with the value."""
        return torch.full((len(rng.rows), *size), self.value, device=rng.device)


@dataclass(frozen=True)
class Uniform:
    """Uniform distribution between ``low`` and ``high``."""

    low: float
    high: float

    def draw(self, rng: CounterRng, name: str, *size: int) -> Float[Tensor, "n *size"]:
        """Sample (N, ``size``) values, keyed by ``name``."""
        return rng.uniform(name, *size, low=self.low, high=self.high)


@dataclass(frozen=True)
class SquaredUniform:
    """``low`` plus ``span`` times the square of a uniform number in 0..1: mostly small values."""

    low: float
    span: float

    def draw(self, rng: CounterRng, name: str, *size: int) -> Float[Tensor, "n *size"]:
        """Sample (N, ``size``) values, keyed by ``name``."""
        return self.low + self.span * rng.uniform(name, *size) ** 2


@dataclass(frozen=True)
class ClippedNormal:
    """Normal about 0, cut at ``clip`` deviations; a deviation for each component, or one for all."""

    deviation: float | tuple[float, ...]
    clip: float = 4.0

    def draw(self, rng: CounterRng, name: str, *size: int) -> Float[Tensor, "n *size"]:
        """Sample (N, ``size``) values, keyed by ``name``."""
        n = rng.normal(name, *size, clip=self.clip)
        if isinstance(self.deviation, tuple):
            return n * torch.tensor(self.deviation, device=rng.device)
        return self.deviation * n


Distribution: TypeAlias = Constant | Uniform | SquaredUniform | ClippedNormal


@dataclass(frozen=True)
class CameraFraming:
    """Distributions of cameras on a sphere about a point of the head; see ``synth.views`` for signs.

    Attributes:
        name: its name in image folders and messages.
        yaw, pitch, roll: radians.
        at: what cameras look at, relative to the middle of the head, units (three components).
        radius: distance to that point, units; not looked at where ``fraction`` is given.
        units_per_metre: of ``at`` and ``radius``.
        fov: field of view, degrees.
        fraction: of the image's height that a head of 25 cm fills; it gives the radius.
    """

    name: str
    yaw: Distribution = Constant(0.0)
    pitch: Distribution = Constant(0.0)
    roll: Distribution = Constant(0.0)
    at: Distribution = Constant(0.0)
    radius: Distribution = Constant(1.0)
    units_per_metre: float = 1.0
    fov: Distribution = Constant(20.0)
    fraction: Distribution | None = None

    def draw_fov(self, rng: CounterRng) -> Float[Tensor, " n"]:
        """Sample the fields of view, radians."""
        if isinstance(self.fov, Constant):  # converted in double precision
            return Constant(math.radians(self.fov.value)).draw(rng, "fov")
        return torch.deg2rad(self.fov.draw(rng, "fov"))

    def draw_radius(self, rng: CounterRng, fov: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Sample distances to the target, metres."""
        if self.fraction is None:
            return self.radius.draw(rng, "radius") / self.units_per_metre
        fraction = self.fraction.draw(rng, "share")
        return 0.25 / (fraction * 2 * torch.tan(fov / 2)) + 0.05


PORTRAIT = CameraFraming(
    "portrait",
    yaw=ClippedNormal(0.42, 3.0),
    pitch=ClippedNormal(0.16, 2.5),
    roll=ClippedNormal(0.087, 2.5),
    at=ClippedNormal((0.014, 0.014, 0.0), 2.0),
    fov=SquaredUniform(12, 33),
    fraction=Uniform(0.45, 0.85),
)
"""Photographs: fields of view 12°..45°, the head filling 45..85 % of the height, yaw N(0, 24°), pitch
N(0, 9°), roll N(0, 5°), off centre."""

EG3D = CameraFraming(
    "eg3d",
    yaw=ClippedNormal(0.3, 2.6),
    pitch=ClippedNormal(0.155, 2.6),
    roll=ClippedNormal(0.02),
    at=ClippedNormal(0.004),
    radius=Constant(2.7 / EG3D_SCALE),
    fov=Constant(18.837),
)
"""Field of view 18.837°, radius 2.7 units, yaw N(0, .3), pitch N(0, .155) rad, as EG3D and its descendants
see FFHQ."""

FRONT = CameraFraming("front", radius=Constant(0.92), fov=Constant(20.0))
"""20°, straight ahead."""

FRAMINGS: dict[str, CameraFraming] = {f.name: f for f in (PORTRAIT, EG3D, FRONT)}
"""Those that belong to no method; methods declare their own."""


def framing_names() -> tuple[str, ...]:
    """Return the names of all framings, those that methods declare among them."""
    return (*FRAMINGS, *registry.collect("framings"))


def find_framing(framing: str | CameraFraming) -> CameraFraming:
    """Return a framing by name, of the place ``package.module:NAME``, or as it is.

    Raises:
        HeadcastError: there is none.
    """
    if isinstance(framing, CameraFraming):
        return framing
    if framing in FRAMINGS:
        return FRAMINGS[framing]
    module, _, name = registry.collect("framings").get(framing, framing).partition(":")
    found = getattr(import_module(module), name, None) if name else None
    if not isinstance(found, CameraFraming):
        names = ", ".join(framing_names())
        raise HeadcastError(f"synth: framing '{framing}' is unknown; use {names}, or package.module:NAME")
    return found
