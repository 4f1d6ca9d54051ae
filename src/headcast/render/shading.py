"""Light as spherical harmonics of order 2, and speculars (GGX) from a few directions derived from it.

The light is a (9, 3) array of *irradiance* coefficients in linear colour: the radiance's coefficients are
already multiplied by the cosine lobe's 1, 2/3 and 1/4 per band (Ramamoorthi and Hanrahan 2001, divided by
pi), so that ``shading = sh_basis(normals) @ light`` and ``colour = albedo * shading``. Shading is 1 under
white ambient light.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "SH_CONSTANTS",
    "ambient",
    "directional",
    "dominant_lights",
    "ggx_specular",
    "sh_basis",
    "sh_light_rotate",
    "shade",
]

SH_CONSTANTS = (
    0.5 / math.sqrt(math.pi),
    *(math.sqrt(3 / (4 * math.pi)),) * 3,
    math.sqrt(15 / (4 * math.pi)),
    math.sqrt(15 / (4 * math.pi)),
    math.sqrt(5 / (16 * math.pi)),
    math.sqrt(15 / (4 * math.pi)),
    math.sqrt(15 / (16 * math.pi)),
)
"""Orthonormal constants of 1, y, z, x, xy, yz, 3z²-1, xz, x²-y²."""

LOBE = (1.0, *(2 / 3,) * 3, *(1 / 4,) * 5)
LUMINANCE = (0.2126, 0.7152, 0.0722)


def sh_basis(normals: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 9"]:
    """Evaluate real orthonormal SH of unit vectors in the order 1, y, z, x, xy, yz, 3z²-1, xz, x²-y²."""
    x, y, z = normals.unbind(-1)
    basis = [torch.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y]
    return torch.stack([c * b for c, b in zip(SH_CONSTANTS, basis, strict=True)], -1)


def shade(normals: Float[Tensor, "*b 3"], light: Float[Tensor, "9 3"]) -> Float[Tensor, "*b 3"]:
    """Compute the shading of an albedo of 1 under the light (linear); never negative."""
    return (sh_basis(normals) @ light.to(normals)).clamp(min=0)


def ambient(level: float = 1.0) -> Float[Tensor, "9 3"]:
    """Return white ambient light: shading is ``level`` for every normal."""
    light = torch.zeros(9, 3)
    light[0] = level / SH_CONSTANTS[0]
    return light


def directional(direction: Float[Tensor, "3"], colour: Float[Tensor, "3"]) -> Float[Tensor, "9 3"]:
    """Return the order-2 SH of a distant lamp in ``direction`` (unit vector towards it).

    ``colour`` is the shading of a surface that faces an ideal lamp.
    """
    lobe = torch.tensor(LOBE).to(colour)
    return math.pi * (sh_basis(direction.to(colour)) * lobe)[:, None] * colour


def sh_light_rotate(light: Float[Tensor, "9 3"], rotation: Float[Tensor, "3 3"]) -> Float[Tensor, "9 3"]:
    """Rotate the light: ``shade(R n, rotated) == shade(n, light)``."""
    d = _DIRECTIONS.to(light)
    before, after = sh_basis(d @ rotation.to(light)), sh_basis(d)
    return torch.linalg.lstsq(after, before @ light).solution


def _spread_directions(n: int) -> Tensor:
    """Return ``n`` Fibonacci points on the sphere."""
    i = torch.arange(n, dtype=torch.float64)
    z = 1 - (2 * i + 1) / n
    phi = i * math.pi * (3 - math.sqrt(5))
    r = (1 - z * z).sqrt()
    return torch.stack([r * phi.cos(), r * phi.sin(), z], -1)


_DIRECTIONS = _spread_directions(32)


def dominant_lights(
    light: Float[Tensor, "9 3"], count: int = 1, spread: float = 0.25
) -> tuple[Float[Tensor, "l 3"], Float[Tensor, "l 3"]]:
    """Approximate the light by lamps for speculars: unit directions and colours (see ``directional``).

    The first band's vector, weighted by luminance, says where the light mostly comes from and how much of it
    would be a lamp's; this is shared by ``count`` lamps on a cone of ``spread`` radians about that direction.
    """
    luminance = torch.tensor(LUMINANCE).to(light)
    x, y, z = light[3], light[1], light[2]
    vectors = torch.stack([x, y, z], 0) * (1 / (SH_CONSTANTS[1] * LOBE[1] * math.pi))  # (3 axes, 3 colours)
    main = vectors @ luminance
    length = main.norm()
    axis = main / length if length > 1e-8 else torch.tensor([0.0, 0.0, 1.0]).to(light)
    colour = (axis @ vectors).clamp(min=0)
    if count == 1:
        return axis[None], colour[None]
    other = torch.eye(3).to(light)[int(axis.abs().argmin())]
    u = torch.nn.functional.normalize(torch.linalg.cross(axis, other), dim=0)
    w = torch.linalg.cross(axis, u)
    angle = torch.arange(count).to(light) * (2 * math.pi / count)
    ring = angle.cos()[:, None] * u + angle.sin()[:, None] * w
    return math.cos(spread) * axis + math.sin(spread) * ring, colour.expand(count, 3) / count


def ggx_specular(
    normal: Float[Tensor, "*b 3"],
    view: Float[Tensor, "*b 3"],
    light: Float[Tensor, "*b 3"],
    roughness: Float[Tensor, "*b"],
    f0: Float[Tensor, "*b"],
) -> Float[Tensor, "*b"]:
    """Compute reflected radiance of a lamp whose irradiance at normal incidence is pi, cosine included.

    GGX distribution with alpha = roughness², height-correlated Smith masking, Schlick's Fresnel; unit vectors
    pointing away from the surface. Multiply by the lamp's colour (see ``directional``). Zero behind the
    surface. ``f0`` below .02 fades the grazing reflection out with it, so that 0 means none.
    """
    half = torch.nn.functional.normalize(view + light, dim=-1)
    nl, nv = (normal * light).sum(-1), (normal * view).sum(-1)
    nh, vh = (normal * half).sum(-1).clamp(0, 1), (view * half).sum(-1).clamp(0, 1)
    front = (nl > 0) & (nv > 0)
    nl, nv = nl.clamp(min=1e-6), nv.clamp(min=1e-6)
    a2 = roughness.clamp(min=0.02) ** 4
    d = a2 / (math.pi * (nh * nh * (a2 - 1) + 1) ** 2)
    smith = 0.5 / (nl * (nv * nv * (1 - a2) + a2).sqrt() + nv * (nl * nl * (1 - a2) + a2).sqrt())
    fresnel = f0 + ((50 * f0).clamp(max=1) - f0) * (1 - vh) ** 5
    return torch.where(front, math.pi * d * smith * fresnel * nl, torch.zeros_like(nl))
