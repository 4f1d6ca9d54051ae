"""The colour of surface points under a scene's light. Arrays are flat lists of M points; linear colour."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from headcast.render.shading import ggx_specular
from headcast.synth.fur import BEARD, CURLS, LASH, STYLE, cut_height, strand_coordinates
from headcast.synth.lights import Lamps

__all__ = ["Shadows", "fetch", "hair_alpha", "perturb_normals", "shade_strands", "shade_surface"]

WRAP = (0.24, 0.1, 0.06)
"""How far past the terminator red, green and blue light bleeds through skin."""

TAPS = 8
BIAS = 0.004


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
        res = self.depth.shape[-1]
        slope = (1 - (normals * key).sum(-1).clamp(0, 1)).sqrt()
        p = points + normals * (0.0015 + BIAS * slope)[:, None]
        T = self.pose[scene]
        q = (T[:, :3, :3] @ p[..., None])[..., 0] + T[:, :3, 3]
        uv = q[:, :2] / q[:, 2:] * self.K[0, 0] + self.K[0, 2]
        radius = 0.9 + size * 0.022 * self.K[0, 0] / q[:, 2]
        lit = torch.zeros_like(radius)
        flat = self.depth.reshape(-1)
        base = scene * res * res
        for k in range(TAPS):
            r, a = ((k + 0.5) / TAPS) ** 0.5, 2.4 * k
            dx, dy = r * torch.tensor(a).cos().item(), r * torch.tensor(a).sin().item()
            at = torch.stack([uv[:, 0] + radius * dx, uv[:, 1] + radius * dy])
            low = (at - 0.5).floor() if smooth else at
            part = at - 0.5 - low
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)) if smooth else ((0, 0),):
                x, y = ((low[n] + k).long().clamp(0, res - 1) for n, k in ((0, i), (1, j)))
                d = flat.index_select(0, base + y * res + x)
                here = ((d == 0) | (q[:, 2] < d + 0.001)).float()
                if smooth:
                    here = here * (part[0] if i else 1 - part[0]) * (part[1] if j else 1 - part[1])
                lit += here
        return lit / TAPS


def fetch(
    textures: Float[Tensor, "p h w c"], owner: Int[Tensor, " m"], uv: Float[Tensor, "m 2"], wrap: bool = False
) -> Float[Tensor, "m c"]:
    """Sample bilinearly, each in its owner's texture; edges repeat outwards, or the texture tiles."""
    _, h, w, c = textures.shape
    x, y = uv[:, 0] * w - 0.5, uv[:, 1] * h - 0.5
    x0, y0 = x.floor(), y.floor()
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    i, j = x0.long(), y0.long()
    flat = textures.reshape(-1, c)
    base = owner * (h * w)
    if wrap:
        i0, i1, j0, j1 = i % w, (i + 1) % w, j % h, (j + 1) % h
    else:
        i0, i1 = i.clamp(0, w - 1), (i + 1).clamp(0, w - 1)
        j0, j1 = j.clamp(0, h - 1), (j + 1).clamp(0, h - 1)
    above, below = base + j0 * w, base + j1 * w
    top = torch.lerp(flat.index_select(0, above + i0), flat.index_select(0, above + i1), fx)
    low = torch.lerp(flat.index_select(0, below + i0), flat.index_select(0, below + i1), fx)
    return torch.lerp(top, low, fy)


def perturb_normals(
    normal: Float[Tensor, "m 3"], tangent: Float[Tensor, "m 3"], micro: Float[Tensor, "m 2"]
) -> Float[Tensor, "m 3"]:
    """Apply the tangent-space micro normal to world normals (+x along u, +y against v)."""
    t = normalize(tangent - (tangent * normal).sum(-1, keepdim=True) * normal, dim=-1)
    b = torch.linalg.cross(normal, t)
    z = (1 - (micro * micro).sum(-1, keepdim=True)).clamp(min=0).sqrt()
    return normalize(t * micro[:, :1] + b * micro[:, 1:] + normal * z, dim=-1)


def shade_surface(
    light: Lamps,
    albedo: Float[Tensor, "m 3"],
    normal: Float[Tensor, "m 3"],
    view: Float[Tensor, "m 3"],
    sky: Float[Tensor, "m 3"],
    openness: Float[Tensor, " m"],
    shadow: Float[Tensor, " m"],
    specular: Float[Tensor, " m"],
    rough: Float[Tensor, " m"],
    flesh: Float[Tensor, " m"],
) -> Float[Tensor, "m 3"]:
    """Shade diffuse light with subsurface bleeding (``flesh`` 0..1) and highlights of lamps and sky.

    ``light``: that of each point. ``sky``: irradiance of the sky at its normal.
    """
    wrap = torch.tensor(WRAP, device=albedo.device) * flesh[:, None]
    nl = (normal * light.key).sum(-1, keepdim=True)
    key = ((nl + wrap) / (1 + wrap)).clamp(min=0) * light.key_colour
    soft = shadow[:, None] ** (1 - 0.5 * wrap)
    total = sky * openness[:, None] + key * soft
    f0 = 0.04 * specular
    shine = ggx_specular(normal, view, light.key, (rough + 0.5 * light.key_size).clamp(max=1), f0) * shadow
    out = shine[:, None] * light.key_colour
    for i in range(2):
        lamp = light.fill[:, i]
        total = total + ((normal * lamp).sum(-1).clamp(min=0) * openness)[:, None] * light.fill_colour[:, i]
        out = (
            out
            + (ggx_specular(normal, view, lamp, rough + 0.06, f0) * openness)[:, None]
            * light.fill_colour[:, i]
        )
    grazing = (1 - (normal * view).sum(-1).clamp(0, 1)) ** 5
    reflect = f0 + (1 - rough).clamp(min=0) * grazing * 0.35 * (specular > 0)
    out = out + sky * (0.6 * openness * reflect)[:, None]
    return albedo * total + out


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
        tl = (flow * lamp).sum(-1)
        face = ((normal * lamp).sum(-1) * 0.75 + 0.25).clamp(min=0)
        sine = (1 - tl * tl).clamp(min=0).sqrt()
        total = total + (face * (0.45 + 0.55 * sine) * visible)[:, None] * tint
        half = normalize(lamp + view, dim=-1)
        lobes = []
        for shift, power in ((-0.08, 60.0), (0.12, 16.0)):
            th = ((flow + shift * normal) * half).sum(-1)
            lobes.append((1 - th * th).clamp(min=0) ** (power / 2))
        gate = (face * visible)[:, None] * tint
        shine = shine + gate * (0.05 * lobes[0][:, None] + (0.45 * lobes[1])[:, None] * colour)
    return colour * total + shine * (0.4 + 0.6 * deep[:, None])
