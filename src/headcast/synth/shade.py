"""The colour of surface points under a scene's light. Arrays are flat lists of M points; linear colour."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from headcast.render.shading import ggx_specular
from headcast.synth.hair_shells import BEARD, CURLS, LASH, STYLE, cut_height, strand_coordinates
from headcast.synth.lights import Lamps

__all__ = [
    "ShadingPoints",
    "Shadows",
    "fetch",
    "grazing_reflectance",
    "hair_alpha",
    "perturb_normals",
    "reflect_lamps",
    "shade_strands",
    "shade_surface",
    "strands",
]

WRAP = (0.24, 0.1, 0.06)
"""How far past the terminator red, green and blue light bleeds through skin."""

TAPS = 8
"""Comparisons with the shadow map for each point."""
BIAS = 0.004
"""Metres that points at grazing light are moved off their own surface."""

STRAND_LOBES = ((-0.08, 60.0), (0.12, 16.0))
"""Shift along the normal and exponent of the white highlight and of the tinted one."""


class Shadows:
    """Shadow maps: depth from each scene's key lamp."""

    def __init__(
        self, depth: Float[Tensor, "s h h"], K: Float[Tensor, "3 3"], cam_from_world: Float[Tensor, "s 4 4"]
    ) -> None:
        self.depth, self.K, self.pose = depth, K, cam_from_world

    def light(
        self,
        scene: Int[Tensor, " m"],
        points: Float[Tensor, "m 3"],
        normals: Float[Tensor, "m 3"],
        key: Float[Tensor, "m 3"],
        size: Float[Tensor, " m"],
        smooth: bool = False,
    ) -> Float[Tensor, " m"]:
        """Return the fraction of the key lamp that reaches points: ``TAPS`` comparisons over its penumbra.

        Args:
            smooth: each tap weighs the four texels about it, so that close views show no squares.
        """
        slope = (1 - (normals * key).sum(-1).clamp(0, 1)).sqrt()
        p = points + normals * (0.0015 + BIAS * slope)[:, None]
        T = self.pose[scene]
        q = (T[:, :3, :3] @ p[..., None])[..., 0] + T[:, :3, 3]
        uv = q[:, :2] / q[:, 2:] * self.K[0, 0] + self.K[0, 2]
        radius = 0.9 + size * 0.022 * self.K[0, 0] / q[:, 2]
        lit = torch.zeros_like(radius)
        for k in range(TAPS):
            r, a = ((k + 0.5) / TAPS) ** 0.5, 2.4 * k
            dx, dy = r * torch.tensor(a).cos().item(), r * torch.tensor(a).sin().item()
            tap = torch.stack([uv[:, 0] + radius * dx, uv[:, 1] + radius * dy])
            self._add_tap(lit, scene, tap, q[:, 2], smooth)
        return lit / TAPS

    def _add_tap(
        self,
        lit: Float[Tensor, " m"],
        scene: Int[Tensor, " m"],
        tap: Float[Tensor, "2 m"],
        depth: Float[Tensor, " m"],
        smooth: bool,
    ) -> None:
        """Add to ``lit``, in place, what one tap (pixels of the map) sees of the lamp."""
        side = self.depth.shape[-1]
        flat, base = self.depth.reshape(-1), scene * side * side
        low = (tap - 0.5).floor() if smooth else tap
        part = tap - 0.5 - low
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)) if smooth else ((0, 0),):
            x, y = (low[0] + i).long().clamp(0, side - 1), (low[1] + j).long().clamp(0, side - 1)
            nearest = flat.index_select(0, base + y * side + x)
            open_ = ((nearest == 0) | (depth < nearest + 0.001)).float()
            if smooth:
                open_ = open_ * (part[0] if i else 1 - part[0]) * (part[1] if j else 1 - part[1])
            lit += open_


def fetch(
    textures: Float[Tensor, "p h w c"], owner: Int[Tensor, " m"], uv: Float[Tensor, "m 2"], wrap: bool = False
) -> Float[Tensor, "m c"]:
    """Sample bilinearly, each in its owner's texture; edges repeat outwards, or the texture tiles."""
    _, h, w, c = textures.shape
    x, y = uv[:, 0] * w - 0.5, uv[:, 1] * h - 0.5
    x0, y0 = x.floor(), y.floor()
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    left, right = neighbours(x0.long(), w, wrap)
    upper, lower = neighbours(y0.long(), h, wrap)
    flat = textures.reshape(-1, c)
    base = owner * (h * w)
    above, below = base + upper * w, base + lower * w
    top = torch.lerp(flat.index_select(0, above + left), flat.index_select(0, above + right), fx)
    bottom = torch.lerp(flat.index_select(0, below + left), flat.index_select(0, below + right), fx)
    return torch.lerp(top, bottom, fy)


def neighbours(
    index: Int[Tensor, " m"], size: int, wrap: bool
) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
    """Return an index and the next one inside 0..size - 1: round the edge (``wrap``), or the last."""
    if wrap:
        return index % size, (index + 1) % size
    return index.clamp(0, size - 1), (index + 1).clamp(0, size - 1)


def perturb_normals(
    normal: Float[Tensor, "m 3"], tangent: Float[Tensor, "m 3"], micro: Float[Tensor, "m 2"]
) -> Float[Tensor, "m 3"]:
    """Apply the tangent-space micro normal to world normals (+x along u, +y against v)."""
    t = normalize(tangent - (tangent * normal).sum(-1, keepdim=True) * normal, dim=-1)
    b = torch.linalg.cross(normal, t)
    z = (1 - (micro * micro).sum(-1, keepdim=True)).clamp(min=0).sqrt()
    return normalize(t * micro[:, :1] + b * micro[:, 1:] + normal * z, dim=-1)


@dataclass(frozen=True)
class ShadingPoints:
    """M points of the bust to shade.

    Attributes:
        normal: with pores and wrinkles; smooth: without them. view: towards the camera. All unit, world.
        openness, shadow: fractions of the surroundings and of the key lamp that reach the point.
        specular: reflectance at normal incidence relative to 0.04; rough: perceptual roughness.
        flesh: 0..1, how far light bleeds below the surface.
    """

    albedo: Float[Tensor, "m 3"]
    normal: Float[Tensor, "m 3"]
    smooth: Float[Tensor, "m 3"]
    view: Float[Tensor, "m 3"]
    openness: Float[Tensor, " m"]
    shadow: Float[Tensor, " m"]
    specular: Float[Tensor, " m"]
    rough: Float[Tensor, " m"]
    flesh: Float[Tensor, " m"]

    @property
    def f0(self) -> Float[Tensor, " m"]:
        """Return the reflectance at normal incidence."""
        return 0.04 * self.specular

    @property
    def wrap(self) -> Float[Tensor, "m 3"]:
        """Return how far past the terminator each colour of light reaches."""
        return torch.tensor(WRAP, device=self.albedo.device) * self.flesh[:, None]


def shade_surface(light: Lamps, sky: Float[Tensor, "m 3"], surface: ShadingPoints) -> Float[Tensor, "m 3"]:
    """Shade diffuse light with subsurface bleeding and highlights of lamps and sky.

    ``light``: that of each point. ``sky``: irradiance of the sky at its normal.
    """
    normal, openness, wrap = surface.normal, surface.openness, surface.wrap
    nl = (normal * light.key).sum(-1, keepdim=True)
    key = ((nl + wrap) / (1 + wrap)).clamp(min=0) * light.key_colour
    soft = surface.shadow[:, None] ** (1 - 0.5 * wrap)
    total = sky * openness[:, None] + key * soft
    for i in range(2):
        lamp = light.fill[:, i]
        total = total + ((normal * lamp).sum(-1).clamp(min=0) * openness)[:, None] * light.fill_colour[:, i]
    reflected = reflect_lamps(light, surface)
    reflected = reflected + sky * (0.6 * openness * grazing_reflectance(surface))[:, None]
    return surface.albedo * total + reflected


def reflect_lamps(light: Lamps, surface: ShadingPoints) -> Float[Tensor, "m 3"]:
    """Return the specular reflections of the key lamp and of the fill lamps."""
    normal, view, f0 = surface.normal, surface.view, surface.f0
    rough = (surface.rough + 0.5 * light.key_size).clamp(max=1)
    key = ggx_specular(normal, view, light.key, rough, f0) * surface.shadow
    out = key[:, None] * light.key_colour
    for i in range(2):
        fill = ggx_specular(normal, view, light.fill[:, i], surface.rough + 0.06, f0) * surface.openness
        out = out + fill[:, None] * light.fill_colour[:, i]
    return out


def grazing_reflectance(surface: ShadingPoints) -> Float[Tensor, " m"]:
    """Return the reflectance of the surroundings, which grows towards grazing views (Schlick's Fresnel)."""
    grazing = (1 - (surface.normal * surface.view).sum(-1).clamp(0, 1)) ** 5
    return surface.f0 + (1 - surface.rough).clamp(min=0) * grazing * 0.35 * (surface.specular > 0)


def strands(
    noise: Float[Tensor, "h w 3"], rest: Float[Tensor, "m 3"], short: Bool[Tensor, " m"]
) -> Float[Tensor, "m 2"]:
    """Return fine and coarse strand patterns at rest positions, 0..1: along the flow; dots if short."""
    turn, along = strand_coordinates(rest)
    clump = torch.sin(turn * 37.7 + 9 * along) * 0.006
    uv = torch.stack([(turn + clump) * 3, along * 0.9], -1)
    dots = torch.stack([turn * 2.5, along * 6.0], -1)
    zero = torch.zeros(len(uv), dtype=torch.long, device=uv.device)
    stretched = uv * torch.tensor([0.21, 0.6], device=uv.device)
    fine, coarse, dot = (
        fetch(noise[None, ..., k : k + 1], zero, at, wrap=True)[:, 0]
        for k, at in enumerate((uv, stretched, dots))
    )
    return torch.stack([torch.where(short, dot, fine), torch.where(short, dot, coarse)], -1)


def hair_alpha(
    pattern: Float[Tensor, "m 2"],
    rest: Float[Tensor, "m 3"],
    cut: Float[Tensor, "m 2"],
    cover: Float[Tensor, " m"],
    level: Float[Tensor, " m"],
    kind: Int[Tensor, " m"],
) -> Float[Tensor, " m"]:
    """Return the opacity of hair layers: full inside, ragged at rims, sparse outside, 0 past the cut."""
    s = 0.6 * pattern[:, 0] + 0.4 * pattern[:, 1]
    inner = 1.45 * cover - 0.25
    outer = 0.62 * cover - 0.12
    fill = torch.where(level < 0.5, inner, outer)
    fill = torch.where(kind == BEARD, cover * (0.95 - 0.45 * level) - 0.05, fill)
    alpha = ((fill - s) / 0.16 + 0.5).clamp(0, 1)
    end = cut_height(rest, cut)
    left = ((rest[:, 1] - end + 0.022 * (s - 0.5)) / 0.006 + 0.5).clamp(0, 1)
    alpha = torch.where((kind == STYLE) | (kind == CURLS), alpha * left, alpha)
    lash = ((pattern[:, 0] - 0.35) * 4).clamp(0, 1) * cover**0.6
    return torch.where(
        kind == LASH, lash * 0.85, torch.where((kind == STYLE) | (kind == CURLS), alpha, alpha * 0.9)
    )


def shade_strands(
    light: Lamps,
    colour: Float[Tensor, "m 3"],
    normal: Float[Tensor, "m 3"],
    flow: Float[Tensor, "m 3"],
    view: Float[Tensor, "m 3"],
    sky: Float[Tensor, "m 3"],
    deep: Float[Tensor, " m"],
    shadow: Float[Tensor, " m"],
) -> Float[Tensor, "m 3"]:
    """Shade strands: Kajiya and Kay (1989), with two shifted highlights (Marschner et al. 2003)."""
    total = sky * deep[:, None]
    shine = torch.zeros_like(colour)
    for k in range(3):
        lamp = light.key if k == 0 else light.fill[:, k - 1]
        tint = light.key_colour if k == 0 else light.fill_colour[:, k - 1]
        visible = shadow if k == 0 else deep
        tangential = (flow * lamp).sum(-1)
        face = ((normal * lamp).sum(-1) * 0.75 + 0.25).clamp(min=0)
        sine = (1 - tangential * tangential).clamp(min=0).sqrt()
        total = total + (face * (0.45 + 0.55 * sine) * visible)[:, None] * tint
        half = normalize(lamp + view, dim=-1)
        white, tinted = (strand_lobe(flow, normal, half, *lobe) for lobe in STRAND_LOBES)
        gate = (face * visible)[:, None] * tint
        shine = shine + gate * (0.05 * white[:, None] + (0.45 * tinted)[:, None] * colour)
    return colour * total + shine * (0.4 + 0.6 * deep[:, None])


def strand_lobe(
    flow: Float[Tensor, "m 3"],
    normal: Float[Tensor, "m 3"],
    half: Float[Tensor, "m 3"],
    shift: float,
    power: float,
) -> Float[Tensor, " m"]:
    """Return a highlight across strands whose direction is shifted along the normal."""
    along = ((flow + shift * normal) * half).sum(-1)
    return (1 - along * along).clamp(min=0) ** (power / 2)
