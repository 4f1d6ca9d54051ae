"""Skin as textures: pigment and blood about a tone, folds and pores, gloss."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate as resize

from headcast.head.skin import SkinModel
from headcast.synth.atlas import Atlas
from headcast.synth.fields import FOLDS, Fields
from headcast.synth.people import Person
from headcast.synth.rng import CounterRng

__all__ = [
    "col",
    "colour",
    "fold_height",
    "micro_normal",
    "paint_gloss",
    "roll_tiles",
    "skin_log",
    "tone_colour",
]

MELANIN = (-0.42, -0.8, -1.25)
BLOOD = (-0.1, -0.62, -0.5)
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


def colour(values: tuple[float, ...], like: Tensor) -> Tensor:
    """Return a colour on the device of another tensor."""
    return torch.tensor(values, device=like.device)


def col(x: Float[Tensor, " b"]) -> Float[Tensor, "b 1 1"]:
    """Reshape one number a person to broadcast over maps."""
    return x[:, None, None]


def skin_log(
    person: Person, rng: CounterRng, atlas: Atlas, fields: Fields, skin: SkinModel, tile: Tensor
) -> Float[Tensor, "b h w 3"]:
    """Return the log of skin albedo: the skin model's variation about a tone, pigment and blood on top."""
    dev = skin.mean + torch.tensordot(person.skin, skin.components, 1)
    weight = resize(fields.face[None, None, : atlas.size], size=skin.size, mode="area")[0, 0] * skin.inside
    mean = (dev * weight[..., None]).sum((1, 2)) / weight.sum()
    dev = dev - mean[:, None, None]
    dev = (0.35 * dev.mean(-1, keepdim=True) + 0.65 * dev).permute(0, 3, 1, 2)  # less of the light's colours
    dev = resize(dev, size=(atlas.size, atlas.size), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    dev = torch.nn.functional.pad(dev, (0, 0, 0, 0, 0, atlas.position.shape[0] - atlas.size))
    dev = 0.9 * (dev.clamp(-0.9, 0.45)) * (0.15 + 0.85 * fields.face)[..., None]
    light = (person.ita / 55).clamp(0, 1)
    pale = col(0.3 + 0.7 * light)
    blood = rng.uniform("blush") * 0.5
    rosacea = (person.old * rng.uniform("rosacea")).clamp(min=0) * 0.5
    mottle = 0.6 + 0.8 * rng.uniform("mottle")
    calm = 1 - 0.75 * (atlas.region["neck"] + atlas.region["shoulders"])  # the chart is stretched there
    veins = (tile[:, 1] + 0.7 * tile[:, 2]) * calm
    red = (
        col(blood) * fields.blush
        + col(0.12 + 0.3 * rng.uniform("nose red") + rosacea) * fields.nose
        + col(rosacea) * fields.blush
        + 0.14 * atlas.region["ears"]
        + col(0.03 * mottle) * veins
        + 0.05 * fields.lid
        + col(0.1 + 0.15 * rng.uniform("under red")) * fields.under_eye
    ) * pale
    freckled = (rng.uniform("freckles") - 0.72).clamp(min=0) * 2.6 * light
    spots = roll_tiles(atlas.spots, rng, "spots")
    where = (fields.blush + fields.nose + 0.25 * fields.face).clamp(max=1)
    aged = (person.old * (0.25 + rng.uniform("age spots"))).clamp(0, 1)
    brown = (
        col(freckled) * spots[:, 0] * where
        + col(aged) * 0.55 * spots[:, 1] * (0.35 + 0.65 * fields.face)
        + col(0.03 * mottle) * (tile[:, 3] + tile[:, 4]) * calm
        + col(0.08 + 0.3 * rng.uniform("rings") ** 2) * fields.under_eye * 0.5
        + 0.02 * tile[:, 6] * calm
    ) * atlas.region["skin"]
    lips = atlas.region["lips"]
    rosy = torch.where(person.feminine, 0.45, 0.28)
    lip = col(rosy + 0.35 * rng.uniform("lip blood")) * pale * lips
    log = tone_colour(person.ita, rng).log()[:, None, None] + dev
    log = log + (red + lip)[..., None] * colour(BLOOD, log)
    log = log + (brown + col(0.12 + 0.25 * (1 - light)) * lips)[..., None] * colour(MELANIN, log)
    stick = (rng.chance("lipstick", 0.45) & person.feminine).float() * rng.uniform(
        "stick", low=0.35, high=0.85
    )
    shade = rng.uniform("stick colour", 3)
    paint_ = torch.log(
        (0.2 + 0.4 * shade[:, :1])
        * torch.stack([torch.ones_like(shade[:, 0]), 0.05 + 0.15 * shade[:, 1], 0.08 + 0.3 * shade[:, 2]], 1)
    )
    return log + (paint_[:, None, None] - log) * (col(stick) * lips)[..., None]


def fold_height(
    person: Person, rng: CounterRng, atlas: Atlas, fields: Fields, tile: Tensor
) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """Return the height of the skin's relief in metres, and how dark its folds look (0..1)."""
    depth = (
        col(person.old**0.8)[..., None]
        * rng.uniform("folds", len(FOLDS), low=0.35, high=1.2)[:, :, None, None]
    )
    young = torch.tensor([0.06, 0.05, 0.03, 0.16, 0.03, 0.14, 0.03, 0.1], device=depth.device)
    amount = (depth + young[:, None, None]) * fields.fold
    relief = (
        -(amount * torch.tensor([4, 4, 3, 7, 4, 5, 4, 4], device=depth.device)[:, None, None]).sum(1) * 1e-4
    )
    calm = 1 - 0.75 * (atlas.region["neck"] + atlas.region["shoulders"])
    pores = calm * (tile[:, 4] + 1.2 * tile[:, 5] + 0.8 * tile[:, 6]) * fields.pores
    grain = 1.2e-5 * col(0.6 + 0.8 * rng.uniform("pores") + 0.4 * person.old)
    cloth = 5e-5 * (tile[:, 5] + tile[:, 6]) * atlas.region["torso"]
    lips = 2.5e-5 * (tile[:, 5] + tile[:, 4]) * atlas.region["lips"]
    return relief + grain * pores + cloth + lips, (0.55 * amount.sum(1)).clamp(0, 0.6)


def micro_normal(height: Float[Tensor, "b h w"], atlas: Atlas, strength: float) -> Float[Tensor, "b h w 2"]:
    """Return x and y of the unit normal of a relief."""
    du = (height.roll(-1, 2) - height.roll(1, 2)) / (2 * atlas.scale[..., 0])
    dv = (height.roll(-1, 1) - height.roll(1, 1)) / (2 * atlas.scale[..., 1])
    n = torch.stack([-du, dv], -1) * strength
    return n / (1 + (n * n).sum(-1, keepdim=True)).sqrt()


def paint_gloss(
    person: Person, rng: CounterRng, atlas: Atlas, fields: Fields, tile: Tensor, height: Tensor
) -> Float[Tensor, "b h w 2"]:
    """Paint specular reflectance (relative to 0.04) and roughness: by region, broken up by pores."""
    rough, spec = torch.full_like(fields.face, 0.55), torch.full_like(fields.face, 0.62)
    for name, value in ROUGH.items():
        rough = rough + (value - rough) * atlas.region[name]
        spec = spec + (SPECULAR[name] - spec) * atlas.region[name]
    oily = rng.normal("oily")
    zone = (fields.nose + 0.5 * fields.blush) * atlas.region["skin"]
    spec = spec * (1 + col(0.15 * oily) * (0.4 + zone)) * (1 + 0.12 * tile[:, 6] * fields.pores)
    rough = rough - col(0.05 * oily) * (0.5 + zone) * atlas.region["skin"] + 0.02 * tile[:, 4] * fields.pores
    return torch.stack([spec.clamp(0, 1), rough.clamp(0.08, 1)], -1)
