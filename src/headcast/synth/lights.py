"""The light on a synthetic head: an environment, a soft key lamp that casts shadows, two small fill lamps."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from headcast.render.shading import SH_CONSTANTS, sh_basis
from headcast.synth.config import Split
from headcast.synth.rng import CounterRng

__all__ = ["HELD_OUT_LIGHTS", "Lamps", "Light", "draw_lights", "held_out_light", "sky_irradiance"]

SECTORS = 12
HELD_OUT_LIGHTS = (2, 9)
"""Twelfths of the circle around the head (0 starts at the subject's front, counted to the subject's left)
from which only the test split's key lamps shine."""

TEMPERATURES = (
    (1.0, 0.72, 0.45),
    (1.0, 0.84, 0.66),
    (1.0, 0.95, 0.88),
    (0.98, 0.99, 1.0),
    (0.84, 0.92, 1.0),
    (0.7, 0.84, 1.0),
)


@dataclass(frozen=True)
class Lamps:
    """Lamps of M points: see ``Light``."""

    key: Float[Tensor, "m 3"]
    key_colour: Float[Tensor, "m 3"]
    key_size: Float[Tensor, " m"]
    fill: Float[Tensor, "m 2 3"]
    fill_colour: Float[Tensor, "m 2 3"]


@dataclass(frozen=True)
class Light:
    """Light of N scenes, linear colours, world frame.

    Attributes:
        sky (N, 9, 3): irradiance harmonics of everything but the lamps (see ``render.shading``).
        key (N, 3): towards the key lamp; key_colour (N, 3); key_size (N,): its angular radius, radians.
        fill (N, 2, 3), fill_colour (N, 2, 3): lamps without shadows.
        exposure (N,): factor on everything; it and a white balance are applied to the colours already.
    """

    sky: Float[Tensor, "n 9 3"]
    key: Float[Tensor, "n 3"]
    key_colour: Float[Tensor, "n 3"]
    key_size: Float[Tensor, " n"]
    fill: Float[Tensor, "n 2 3"]
    fill_colour: Float[Tensor, "n 2 3"]
    exposure: Float[Tensor, " n"]

    def __getitem__(self, index: slice | Tensor) -> Light:
        """Return the light of some scenes."""
        return Light(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def lamps(self, index: Tensor) -> Lamps:
        """Return the lamps of each of many points."""
        return Lamps(*(getattr(self, f.name)[index] for f in fields(Lamps)))


def from_angles(azimuth: Tensor, height: Tensor) -> Float[Tensor, "... 3"]:
    """Return unit vectors; azimuth from the front (+Z) towards the subject's left (+X)."""
    return torch.stack([azimuth.sin() * height.cos(), height.sin(), azimuth.cos() * height.cos()], -1)


def held_out_light(key: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
    """Return whether the key lamp stands where only the test split has it."""
    sector = (torch.atan2(key[:, 0], key[:, 2]) % (2 * math.pi) / (2 * math.pi / SECTORS)).long()
    return torch.isin(sector.clamp(max=SECTORS - 1), torch.tensor(HELD_OUT_LIGHTS, device=key.device))


def draw_lights(split: Split, rng: CounterRng, tone: Float[Tensor, " n"]) -> Light:
    """Sample light for faces of a given typology angle (photographers expose dark faces a little longer)."""
    key = draw_key(split, rng)
    warm = torch.tensor(TEMPERATURES, device=rng.device)
    tint = [warm[rng.choice(f"tint {i}", (0.08, 0.2, 0.3, 0.24, 0.12, 0.06))] for i in range(3)]
    contrast = rng.uniform("contrast") ** 1.5
    key_colour = tint[0] * (0.25 + 0.95 * contrast)[:, None]
    fill_azimuth = rng.uniform("fill azimuth", 2, low=-math.pi, high=math.pi)
    strength = 0.3 * rng.uniform("fill", 2) ** 1.5
    fill_colour = torch.stack([tint[1], tint[2]], 1) * strength[..., None]
    sky = draw_sky(rng, tint[1]) * (0.85 - 0.62 * contrast)[:, None, None]
    exposure, balance = camera_settings(rng, face_irradiance(sky, key, key_colour), tone)
    gain = exposure[:, None] * balance
    return Light(
        sky=sky * gain[:, None],
        key=key,
        key_colour=key_colour * gain,
        key_size=rng.uniform("key size", low=0.02, high=0.3),
        fill=from_angles(fill_azimuth, rng.uniform("fill height", 2, low=-0.2, high=0.9)),
        fill_colour=fill_colour * gain[:, None],
        exposure=exposure,
    )


def draw_key(split: Split, rng: CounterRng) -> Float[Tensor, "n 3"]:
    """Sample directions of key lamps that a split may have, mostly before the face."""
    allowed = [k for k in range(SECTORS) if (k in HELD_OUT_LIGHTS) == (split == "test")]
    front = torch.tensor([1.0 if k in (0, 1, 2, 9, 10, 11) else 0.35 for k in allowed])
    sector = torch.tensor(allowed, device=rng.device)[rng.choice("key sector", tuple(front.tolist()))]
    azimuth = (sector + rng.uniform("key azimuth", low=0.001, high=0.999)) * (2 * math.pi / SECTORS)
    return from_angles(azimuth, rng.uniform("key height", low=-0.1, high=1.15))


def face_irradiance(
    sky: Float[Tensor, "n 9 3"], key: Float[Tensor, "n 3"], key_colour: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """Return the irradiance of a face: half the mean, half the maximum over three frontal normals."""
    faces = normalize(
        torch.tensor([[0.0, 0.0, 1.0], [0.5, 0.1, 0.85], [-0.5, 0.1, 0.85]], device=sky.device), dim=-1
    )
    received = (
        sky_irradiance(sky, faces.expand(len(sky), 3, 3))
        + (key @ faces.T).clamp(min=0)[..., None] * (key_colour[:, None])
    )
    return 0.5 * received.mean(1) + 0.5 * received.amax(1)


def camera_settings(
    rng: CounterRng, received: Float[Tensor, "n 3"], tone: Float[Tensor, " n"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
    """Sample exposure, and a white balance that takes back half or more of the light's colour."""
    level = (
        (received * torch.tensor([0.2126, 0.7152, 0.0722], device=received.device)).sum(-1).clamp(min=0.12)
    )
    degree = rng.uniform("white balance", low=0.5, high=0.95)[:, None]
    balance = (received / level[:, None]).clamp(min=0.05) ** -degree
    wanted = torch.exp(0.18 * rng.normal("exposure", clip=2.0)) * (1 + 0.5 * ((10 - tone) / 60).clamp(0, 1))
    return wanted / level, balance


def draw_sky(rng: CounterRng, tint: Tensor) -> Float[Tensor, "n 9 3"]:
    """Sample the sky: uniform white plus a dome, a floor's reflection and a wall or window, each coloured."""
    n, device = len(rng.rows), rng.device
    sky = torch.zeros(n, 9, 3, device=device)
    sky[:, 0] = 0.55 / SH_CONSTANTS[0] * tint
    up = torch.tensor([0.0, 1.0, 0.0], device=device).expand(n, 3)
    side = from_angles(
        rng.uniform("wall", low=-math.pi, high=math.pi), rng.uniform("wall height", low=-0.3, high=0.8)
    )
    lobe = torch.tensor([1.0, *(2 / 3,) * 3, *(1 / 4,) * 5], device=device) * math.pi
    for direction, name, gain in ((up, "dome", 0.5), (-up, "floor", 0.25), (side, "wall", 0.8)):
        colour = tint * torch.exp(0.18 * rng.normal("hue " + name, 3)) * gain * rng.uniform(name)[:, None]
        sky = sky + (sh_basis(direction) * lobe)[..., None] * colour[:, None]
    return sky


def sky_irradiance(sky: Float[Tensor, "n 9 3"], normal: Float[Tensor, "n m 3"]) -> Float[Tensor, "n m 3"]:
    """Return what an albedo of 1 reflects under the sky, per scene; never negative."""
    return (sh_basis(normal) @ sky).clamp(min=0)
