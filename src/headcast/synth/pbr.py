"""Skin closer to measurement than the plain mode: pores by region, directed wrinkles, lines that expressions
make, gloss broken by all of them.

Switched on by ``SynthConfig(pbr=True)``; the plain mode is left as it is, sample for sample.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from headcast.head.names import EXPRESSION_INDEX
from headcast.render.shading import sh_basis
from headcast.synth.atlas import Atlas
from headcast.synth.fields import FOLDS, Fields
from headcast.synth.lights import Lamps
from headcast.synth.people import PersonTraits
from headcast.synth.relief import Relief, remove_grain
from headcast.synth.rng import CounterRng
from headcast.synth.shade import ShadingPoints, grazing_reflectance, reflect_lamps
from headcast.synth.skin_paint import height_gradient, per_person

__all__ = ["LINES", "add_expression_lines", "add_pores", "shade_skin"]

BLEED = (0.85, 0.5, 0.3)
"""How much of the micro normal red, green and blue diffuse light ignore: red travels farthest in skin."""
PIT_DEPTH, LINE_DEPTH = 1.2e-4, 1.2e-4
"""Metres that pores and the furrows of the skin's fine net go down where they are deepest: furrows come to a
roughness (root of the mean square) of some 10 micrometres on young skin, as measured profiles do."""
PIT_DARK, LINE_DARK = (0.35, 0.45, 0.5), (0.1, 0.13, 0.15)
"""Logarithms of what pores and furrows take from albedo: less light comes out of a cavity."""
LINES: dict[str, dict[str, float]] = {
    "forehead": {"browInnerUp": 0.8, "browOuterUp": 0.7},
    "forehead2": {"browInnerUp": 0.7, "browOuterUp": 0.5},
    "crow": {"eyeSquint": 0.8, "cheekSquint": 0.6, "mouthSmile": 0.4, "eyeBlink": 0.15},
    "nasolabial": {"mouthSmile": 0.9, "noseSneer": 0.5, "cheekSquint": 0.4, "mouthUpperUp": 0.4},
    "glabella": {"browDown": 1.0, "noseSneer": 0.4},
    "under_eye": {"eyeSquint": 0.5, "cheekSquint": 0.5},
    "marionette": {"mouthFrown": 0.8, "mouthStretch": 0.3, "mouthSmile": 0.3},
    "neck": {},
}
"""Which expressions deepen which of ``fields.FOLDS``, and by how much; of names with sides, each its own."""
DEEP = (2.5e-4, 2.5e-4, 2e-4, 4.5e-4, 2.5e-4, 2e-4, 2.5e-4, 0.0)
"""Metres that a line gains at the most."""


def add_pores(
    textures: Float[Tensor, "b h w 8"],
    person: PersonTraits,
    rng: CounterRng,
    atlas: Atlas,
    relief: Relief,
    micro: float,
) -> Float[Tensor, "b h w 8"]:
    """Add pores and directed wrinkles to normals, gloss and, faintly, colour of painted textures."""
    pores, lines = relief.of(rng)
    deep = per_person(0.5 + rng.uniform("pbr pores") + 0.4 * person.old)
    worn = per_person(0.25 + 0.5 * rng.uniform("pbr lines")) + 1.2 * per_person(person.old)
    bare = (textures[..., 7] > -0.5).float()
    pits, creases = deep * pores * bare, worn * lines * bare
    du, dv = height_gradient(-(PIT_DEPTH * pits + LINE_DEPTH * creases), atlas)
    slope = remove_grain(textures[..., 3:5], atlas) + micro * torch.stack([-du, dv], -1).clamp(-1, 1)
    out = textures.clone()
    out[..., 3:5] = limit_slope(slope)
    darken_cavities(out, pits, creases)
    return out


def darken_cavities(
    textures: Float[Tensor, "b h w 8"], pits: Float[Tensor, "b h w"], creases: Float[Tensor, "b h w"]
) -> None:
    """Take colour and gloss from pores and creases and roughen them, in place; depths are 0..1."""
    for c in range(3):
        shade = torch.exp(-PIT_DARK[c] * pits - LINE_DARK[c] * creases)
        textures[..., c] = (textures[..., c] * shade).clamp(0.002, 0.95)
    gloss = textures[..., 5] * (1 - 0.35 * pits.clamp(max=1)) * (1 - 0.15 * creases.clamp(max=1))
    textures[..., 5] = gloss.clamp(0, 1)
    textures[..., 6] = (textures[..., 6] + 0.06 * pits + 0.02 * creases).clamp(0.08, 1)


def limit_slope(slope: Float[Tensor, "b h w 2"]) -> Float[Tensor, "b h w 2"]:
    """Shorten x and y of unit normals to 0.9 at the most."""
    return slope * (0.9 / slope.norm(dim=-1, keepdim=True).clamp(min=0.9))


def fold_activations(expression: Float[Tensor, "f e"]) -> Float[Tensor, "f 8 2"]:
    """Return how far the expressions deepen each fold, 0..1, on the subject's left and right."""
    out = torch.zeros(len(expression), len(FOLDS), 2, device=expression.device)
    for i, fold in enumerate(FOLDS):
        for name, weight in LINES[fold].items():
            for k, side in enumerate(("Left", "Right")):
                index = EXPRESSION_INDEX.get(name + side, EXPRESSION_INDEX.get(name))
                out[:, i, k] += weight * expression[:, index].clamp(0, 1)
    return out.clamp(max=1)


def add_expression_lines(
    textures: Float[Tensor, "f h w 8"],
    expression: Float[Tensor, "f e"],
    old: Float[Tensor, " f"],
    atlas: Atlas,
    fields: Fields,
    micro: float,
) -> Float[Tensor, "f h w 8"]:
    """Add the lines of frames' expressions to normals and gloss of their textures; albedo stays.

    Args:
        old: 0..1; old skin folds deeper.
    """
    deep = fold_activations(expression) * (0.4 + 0.8 * old)[:, None, None]
    left = torch.sigmoid(atlas.position[..., 0] / 0.003)
    each = torch.tensor(DEEP, device=textures.device)[:, None, None] * fields.fold
    crease = sum(
        torch.einsum("fk,khw->fhw", deep[..., k], each * side) for k, side in enumerate((left, 1 - left))
    )
    assert isinstance(crease, Tensor)
    crease = crease * (textures[..., 7] > -0.5)
    du, dv = height_gradient(crease, atlas)
    out = textures.clone()
    out[..., 3:5] = limit_slope(textures[..., 3:5] + micro * torch.stack([du, -dv], -1).clamp(-1, 1))
    out[..., 5] = out[..., 5] * (1 - 0.2 * (crease / max(DEEP)).clamp(max=1))
    return out


def shade_skin(light: Lamps, sky: Float[Tensor, "m 9 3"], surface: ShadingPoints) -> Float[Tensor, "m 3"]:
    """Shade skin: ``shade.shade_surface`` with subsurface softening and an environment that reflects.

    Diffuse light uses, per colour, a normal between ``normal`` and the ``smooth`` one (blended normals:
    Penner, Pre-integrated skin shading, 2011). The sky is taken at the pixel's own normal, and what lies in
    its mirror direction adds to the reflection.
    """
    diffuse = surface.albedo * soft_irradiance(light, sky, surface)
    reflectance = (grazing_reflectance(surface) * surface.openness)[:, None]
    return diffuse + reflect_lamps(light, surface) + mirrored_sky(sky, surface) * reflectance


def soft_irradiance(
    light: Lamps, sky: Float[Tensor, "m 9 3"], surface: ShadingPoints
) -> Float[Tensor, "m 3"]:
    """Return the light that comes out of white skin, softened below its surface."""
    bleed = torch.tensor(BLEED, device=sky.device) * surface.flesh[:, None]
    wrap, openness = surface.wrap, surface.openness[:, None]
    normals = (surface.normal, surface.smooth)

    def cosine(lamp: Tensor) -> Tensor:
        fine, wide = ((n * lamp).sum(-1, keepdim=True) for n in normals)
        return fine + (wide - fine) * bleed

    total = ((cosine(light.key) + wrap) / (1 + wrap)).clamp(min=0) * light.key_colour
    total = total * surface.shadow[:, None] ** (1 - 0.5 * wrap)
    fine, wide = ((sh_basis(n)[:, None] @ sky)[:, 0].clamp(min=0) for n in normals)
    total = total + (fine + (wide - fine) * bleed) * openness
    for i in range(2):
        total = total + cosine(light.fill[:, i]).clamp(min=0) * openness * light.fill_colour[:, i]
    return total


def mirrored_sky(sky: Float[Tensor, "m 9 3"], surface: ShadingPoints) -> Float[Tensor, "m 3"]:
    """Return the radiance of the sky in the mirror direction, blurred by roughness."""
    normal, view, device = surface.normal, surface.view, sky.device
    mirror = normalize(2 * (normal * view).sum(-1, keepdim=True) * normal - view, dim=-1)
    # radiance from irradiance harmonics: each band divided by the cosine lobe's factor, dimmed by roughness
    lobe = torch.tensor([1.0, *(2 / 3,) * 3, *(1 / 4,) * 5], device=device)
    band = torch.tensor([0.0, *(1.0,) * 3, *(4.0,) * 5], device=device)
    keep = torch.exp(-(surface.rough[:, None] ** 2) * band)
    return ((sh_basis(mirror) * keep / lobe)[:, None] @ sky)[:, 0].clamp(min=0) / math.pi * 2
