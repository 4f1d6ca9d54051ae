"""Skin as textures: pigment and blood about a tone, folds and pores, gloss."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate as resize

from headcast.head.skin import SkinModel
from headcast.synth.atlas import Atlas
from headcast.synth.fields import FOLDS, Fields
from headcast.synth.people import PersonTraits
from headcast.synth.rng import CounterRng

__all__ = [
    "colour_like",
    "fold_height",
    "height_gradient",
    "log_albedo",
    "micro_normal",
    "paint_gloss",
    "per_person",
    "roll_tiles",
]

MELANIN = (-0.42, -0.8, -1.25)
BLOOD = (-0.1, -0.62, -0.5)
"""Logarithms of what pigment and blood of density 1 take from red, green and blue albedo."""
YOUNG_FOLDS = (0.06, 0.05, 0.03, 0.16, 0.03, 0.14, 0.03, 0.1)
"""How far each of ``FOLDS`` shows in a young face, 0..1."""
FOLD_DEPTHS = (4, 4, 3, 7, 4, 5, 4, 4)
"""Depth of each of ``FOLDS`` where it is full, tenths of a millimetre."""
ROUGH = {
    "lips": 0.38,
    "lids": 0.5,
    "nose": 0.46,
    "ears": 0.58,
    "neck": 0.62,
    "sclera": 0.18,
    "iris": 0.12,
    "pupil": 0.12,
    "teeth": 0.24,
    "gums": 0.32,
    "tongue": 0.42,
    "mouth": 0.45,
    "torso": 0.85,
    "frame": 0.28,
}
SPECULAR = {
    "lips": 0.8,
    "lids": 0.65,
    "nose": 0.8,
    "ears": 0.6,
    "neck": 0.5,
    "sclera": 0.8,
    "iris": 0.85,
    "pupil": 0.85,
    "teeth": 0.9,
    "gums": 0.7,
    "tongue": 0.6,
    "mouth": 0.4,
    "torso": 0.25,
    "frame": 1.0,
}


def tone_colour(ita: Float[Tensor, " b"], rng: CounterRng) -> Float[Tensor, "b 3"]:
    """Return linear albedo of the face's mean skin with a typology angle (CIE Lab, D65)."""
    middle = torch.exp(-(((ita - 15) / 35) ** 2))
    b = 14.5 + 3.5 * middle + 1.5 * rng.normal("skin b", clip=1.6)
    a = 10.0 + 1.8 * middle + 1.6 * rng.normal("skin a", clip=1.6)
    L = 50 + b * torch.tan(torch.deg2rad(ita))
    fy = (L + 16) / 116
    xyz = torch.stack([fy + a / 500, fy, fy - b / 200], -1)
    xyz = torch.where(xyz > 6 / 29, xyz**3, (xyz - 4 / 29) * 3 * (6 / 29) ** 2)
    xyz = xyz * torch.tensor([0.9505, 1.0, 1.089], device=xyz.device)
    rgb = torch.tensor(
        [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.204, 1.057]], device=xyz.device
    )
    return (xyz @ rgb.T).clamp(0.008, 0.9)


def roll_tiles(noise: Float[Tensor, "n h w"], rng: CounterRng, name: str) -> Float[Tensor, "b n h w"]:
    """Roll the tiles by another amount for each person and octave."""
    shift = (rng.uniform("roll " + name, len(noise), 2) * noise.shape[2]).long().cpu()
    return torch.stack(
        [
            torch.stack([n.roll(tuple(s), (0, 1)) for n, s in zip(noise, row.tolist(), strict=True)])
            for row in shift
        ]
    )


def colour_like(values: tuple[float, ...], like: Tensor) -> Tensor:
    """Return a colour on the device of another tensor."""
    return torch.tensor(values, device=like.device)


def per_person(x: Float[Tensor, " b"]) -> Float[Tensor, "b 1 1"]:
    """Reshape one number a person to broadcast over maps."""
    return x[:, None, None]


def log_albedo(
    person: PersonTraits, rng: CounterRng, atlas: Atlas, fields: Fields, skin: SkinModel, tile: Tensor
) -> Float[Tensor, "b h w 3"]:
    """Return the log of skin albedo: the skin model's variation about a tone, pigment and blood on top."""
    lips = atlas.region["lips"]
    rosy = torch.where(person.feminine, 0.45, 0.28)
    lip_blood = per_person(rosy + 0.35 * rng.uniform("lip blood")) * paleness(person) * lips
    lip_melanin = per_person(0.12 + 0.25 * (1 - lightness(person))) * lips
    deviation = albedo_deviation(person, atlas, fields, skin)
    log = tone_colour(person.ita, rng).log()[:, None, None] + deviation
    log = log + (blood_map(person, rng, atlas, fields, tile) + lip_blood)[..., None] * colour_like(BLOOD, log)
    melanin = melanin_map(person, rng, atlas, fields, tile)
    log = log + (melanin + lip_melanin)[..., None] * colour_like(MELANIN, log)
    return apply_lipstick(log, person, rng, lips)


def lightness(person: PersonTraits) -> Float[Tensor, " b"]:
    """Return how light each person's skin is, 0..1."""
    return (person.ita / 55).clamp(0, 1)


def paleness(person: PersonTraits) -> Float[Tensor, "b 1 1"]:
    """Return how far blood shows through each person's skin, 0.3..1."""
    return per_person(0.3 + 0.7 * lightness(person))


def albedo_deviation(
    person: PersonTraits, atlas: Atlas, fields: Fields, skin: SkinModel
) -> Float[Tensor, "b h w 3"]:
    """Return the skin model's deviation of log albedo from the face's mean, over the whole atlas."""
    deviation = skin.mean + torch.tensordot(person.skin, skin.components, 1)
    weight = resize(fields.face[None, None, : atlas.size], size=skin.size, mode="area")[0, 0] * skin.inside
    mean = (deviation * weight[..., None]).sum((1, 2)) / weight.sum()
    deviation = deviation - mean[:, None, None]
    # less of the light's colours
    deviation = (0.35 * deviation.mean(-1, keepdim=True) + 0.65 * deviation).permute(0, 3, 1, 2)
    square = (atlas.size, atlas.size)
    deviation = resize(deviation, size=square, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    strip = atlas.position.shape[0] - atlas.size
    deviation = torch.nn.functional.pad(deviation, (0, 0, 0, 0, 0, strip))
    return 0.9 * (deviation.clamp(-0.9, 0.45)) * (0.15 + 0.85 * fields.face)[..., None]


def unstretched(atlas: Atlas) -> Float[Tensor, "h w"]:
    """Return the strength of noise: weak on neck and shoulders, where the chart is stretched."""
    return 1 - 0.75 * (atlas.region["neck"] + atlas.region["shoulders"])


def mottling(rng: CounterRng) -> Float[Tensor, " b"]:
    """Return how uneven each person's blood and pigment are."""
    return 0.6 + 0.8 * rng.uniform("mottle")


def blood_map(
    person: PersonTraits, rng: CounterRng, atlas: Atlas, fields: Fields, tile: Tensor
) -> Float[Tensor, "b h w"]:
    """Return the density of blood: blush, red nose, rosacea, veins, eyelids."""
    blush = rng.uniform("blush") * 0.5
    rosacea = (person.old * rng.uniform("rosacea")).clamp(min=0) * 0.5
    veins = (tile[:, 1] + 0.7 * tile[:, 2]) * unstretched(atlas)
    return (
        per_person(blush) * fields.blush
        + per_person(0.12 + 0.3 * rng.uniform("nose red") + rosacea) * fields.nose
        + per_person(rosacea) * fields.blush
        + 0.14 * atlas.region["ears"]
        + per_person(0.03 * mottling(rng)) * veins
        + 0.05 * fields.lid
        + per_person(0.1 + 0.15 * rng.uniform("under red")) * fields.under_eye
    ) * paleness(person)


def melanin_map(
    person: PersonTraits, rng: CounterRng, atlas: Atlas, fields: Fields, tile: Tensor
) -> Float[Tensor, "b h w"]:
    """Return the density of pigment: freckles, age spots, mottling, dark rings under the eyes."""
    calm = unstretched(atlas)
    freckled = (rng.uniform("freckles") - 0.72).clamp(min=0) * 2.6 * lightness(person)
    aged = (person.old * (0.25 + rng.uniform("age spots"))).clamp(0, 1)
    spots = roll_tiles(atlas.spots, rng, "spots")
    where = (fields.blush + fields.nose + 0.25 * fields.face).clamp(max=1)
    return (
        per_person(freckled) * spots[:, 0] * where
        + per_person(aged) * 0.55 * spots[:, 1] * (0.35 + 0.65 * fields.face)
        + per_person(0.03 * mottling(rng)) * (tile[:, 3] + tile[:, 4]) * calm
        + per_person(0.08 + 0.3 * rng.uniform("rings") ** 2) * fields.under_eye * 0.5
        + 0.02 * tile[:, 6] * calm
    ) * atlas.region["skin"]


def apply_lipstick(
    log: Float[Tensor, "b h w 3"], person: PersonTraits, rng: CounterRng, lips: Float[Tensor, "h w"]
) -> Float[Tensor, "b h w 3"]:
    """Blend the log of albedo towards lipstick on the lips of those who wear it."""
    worn = (rng.chance("lipstick", 0.45) & person.feminine).float()
    strength = worn * rng.uniform("stick", low=0.35, high=0.85)
    shade = rng.uniform("stick colour", 3)
    red = torch.ones_like(shade[:, 0])
    tint = torch.stack([red, 0.05 + 0.15 * shade[:, 1], 0.08 + 0.3 * shade[:, 2]], 1)
    lipstick = torch.log((0.2 + 0.4 * shade[:, :1]) * tint)
    return log + (lipstick[:, None, None] - log) * (per_person(strength) * lips)[..., None]


def fold_amount(person: PersonTraits, rng: CounterRng, fields: Fields) -> Float[Tensor, "b 8 h w"]:
    """Return how deep each of ``FOLDS`` is: by age and person, a little of it from youth on."""
    depth = (
        per_person(person.old**0.8)[..., None]
        * rng.uniform("folds", len(FOLDS), low=0.35, high=1.2)[:, :, None, None]
    )
    young = torch.tensor(YOUNG_FOLDS, device=depth.device)
    return (depth + young[:, None, None]) * fields.fold


def fold_height(
    person: PersonTraits, rng: CounterRng, atlas: Atlas, fields: Fields, tile: Tensor
) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """Return the height of the skin's relief in metres, and how dark its folds look (0..1)."""
    amount = fold_amount(person, rng, fields)
    relief = -(amount * torch.tensor(FOLD_DEPTHS, device=amount.device)[:, None, None]).sum(1) * 1e-4
    octaves = tile[:, 4] + 1.2 * tile[:, 5] + 0.8 * tile[:, 6]
    pores = unstretched(atlas) * octaves * fields.pores
    grain = 1.2e-5 * per_person(0.6 + 0.8 * rng.uniform("pores") + 0.4 * person.old)
    cloth = 5e-5 * (tile[:, 5] + tile[:, 6]) * atlas.region["torso"]
    lips = 2.5e-5 * (tile[:, 5] + tile[:, 4]) * atlas.region["lips"]
    return relief + grain * pores + cloth + lips, (0.55 * amount.sum(1)).clamp(0, 0.6)


def height_gradient(
    height: Float[Tensor, "b h w"], atlas: Atlas
) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """Return the slope of a relief along u and along v, metres per metre."""
    du = (height.roll(-1, 2) - height.roll(1, 2)) / (2 * atlas.scale[..., 0])
    dv = (height.roll(-1, 1) - height.roll(1, 1)) / (2 * atlas.scale[..., 1])
    return du, dv


def micro_normal(height: Float[Tensor, "b h w"], atlas: Atlas, strength: float) -> Float[Tensor, "b h w 2"]:
    """Return x and y of the unit normal of a relief."""
    du, dv = height_gradient(height, atlas)
    n = torch.stack([-du, dv], -1) * strength
    return n / (1 + (n * n).sum(-1, keepdim=True)).sqrt()


def paint_gloss(
    person: PersonTraits, rng: CounterRng, atlas: Atlas, fields: Fields, tile: Tensor, height: Tensor
) -> Float[Tensor, "b h w 2"]:
    """Paint specular reflectance (relative to 0.04) and roughness: by region, broken up by pores."""
    rough, spec = torch.full_like(fields.face, 0.55), torch.full_like(fields.face, 0.62)
    for name, value in ROUGH.items():
        rough = rough + (value - rough) * atlas.region[name]
        spec = spec + (SPECULAR[name] - spec) * atlas.region[name]
    oily = rng.normal("oily")
    zone = (fields.nose + 0.5 * fields.blush) * atlas.region["skin"]
    spec = spec * (1 + per_person(0.15 * oily) * (0.4 + zone)) * (1 + 0.12 * tile[:, 6] * fields.pores)
    rough = (
        rough
        - per_person(0.05 * oily) * (0.5 + zone) * atlas.region["skin"]
        + 0.02 * tile[:, 4] * fields.pores
    )
    return torch.stack([spec.clamp(0, 1), rough.clamp(0.08, 1)], -1)
