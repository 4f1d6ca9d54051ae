"""Painting a person's textures: albedo, tangent-space micro normal, specular, roughness, painted hair."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate as resize

from headcast.head.skin import SkinModel
from headcast.synth.atlas import Atlas, ramp
from headcast.synth.dice import Dice
from headcast.synth.fields import FOLDS, Fields
from headcast.synth.looks import Looks
from headcast.synth.people import Person

__all__ = ["CHANNELS", "paint", "tone_colour"]

CHANNELS = ("red", "green", "blue", "normal_x", "normal_y", "specular", "roughness", "hairy")
"""Albedo (linear); x (along u) and y (against v) of the tangent-space normal; reflectance at normal incidence
relative to 0.04; perceptual roughness; coverage by painted hair (brows, beard), -1 on clothes."""

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


def tone_colour(ita: Float[Tensor, " b"], dice: Dice) -> Float[Tensor, "b 3"]:
    """Linear albedo of the face's mean skin with a typology angle (CIE Lab, D65)."""
    middle = torch.exp(-(((ita - 15) / 35) ** 2))
    b = 14.5 + 3.5 * middle + 1.5 * dice.normal("skin b", clip=1.6)
    a = 10.0 + 1.8 * middle + 1.6 * dice.normal("skin a", clip=1.6)
    L = 50 + b * torch.tan(torch.deg2rad(ita))
    fy = (L + 16) / 116
    xyz = torch.stack([fy + a / 500, fy, fy - b / 200], -1)
    xyz = torch.where(xyz > 6 / 29, xyz**3, (xyz - 4 / 29) * 3 * (6 / 29) ** 2)
    xyz = xyz * torch.tensor([0.9505, 1.0, 1.089], device=xyz.device)
    rgb = torch.tensor(
        [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.204, 1.057]], device=xyz.device
    )
    return (xyz @ rgb.T).clamp(0.008, 0.9)


def paint(
    person: Person, looks: Looks, dice: Dice, atlas: Atlas, fields: Fields, skin: SkinModel,
    scalp: Float[Tensor, "b h w"], micro: float,
) -> Float[Tensor, "b h w 8"]:  # fmt: skip
    """Textures of B people in the order of ``CHANNELS``. ``scalp``: how densely hair is painted on it."""
    tile = rolled(atlas.noise, dice, "grain")
    log = skin_log(person, dice, atlas, fields, skin, tile)
    height, tint = folded(person, dice, atlas, fields, tile)
    log = log + tint[..., None] * torch.tensor([-0.28, -0.38, -0.42], device=log.device)
    albedo = log.exp()
    hairy = torch.zeros_like(height)
    haired(albedo, hairy, looks, dice, fields, scalp, tile)
    eyes(albedo, looks, dice, atlas, tile)
    mouth(albedo, person, dice, atlas, tile)
    clothed(albedo, hairy, height, looks, dice, atlas, tile)
    normal = micro_normal(height, atlas, micro)
    gloss = glossy(person, dice, atlas, fields, tile, height)
    return torch.cat([albedo.clamp(0.002, 0.95), normal, gloss, hairy[..., None]], -1)


def rolled(noise: Float[Tensor, "n h w"], dice: Dice, name: str) -> Float[Tensor, "b n h w"]:
    """The tiles shifted by another amount for each person and octave."""
    shift = (dice.uniform("roll " + name, len(noise), 2) * noise.shape[2]).long().cpu()
    return torch.stack(
        [
            torch.stack([n.roll(tuple(s), (0, 1)) for n, s in zip(noise, row.tolist(), strict=True)])
            for row in shift
        ]
    )


def colour(values: tuple[float, ...], like: Tensor) -> Tensor:
    """A colour on the device of another tensor."""
    return torch.tensor(values, device=like.device)


def col(x: Float[Tensor, " b"]) -> Float[Tensor, "b 1 1"]:
    """One number a person, over maps."""
    return x[:, None, None]


def skin_log(
    person: Person, dice: Dice, atlas: Atlas, fields: Fields, skin: SkinModel, tile: Tensor
) -> Float[Tensor, "b h w 3"]:
    """Logarithm of skin albedo: the skin model's variation about a drawn tone, pigment and blood on top."""
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
    blood = dice.uniform("blush") * 0.5
    rosacea = (person.old * dice.uniform("rosacea")).clamp(min=0) * 0.5
    mottle = 0.6 + 0.8 * dice.uniform("mottle")
    calm = 1 - 0.75 * (atlas.region["neck"] + atlas.region["shoulders"])  # the chart is stretched there
    veins = (tile[:, 1] + 0.7 * tile[:, 2]) * calm
    red = (
        col(blood) * fields.blush
        + col(0.12 + 0.3 * dice.uniform("nose red") + rosacea) * fields.nose
        + col(rosacea) * fields.blush
        + 0.14 * atlas.region["ears"]
        + col(0.03 * mottle) * veins
        + 0.05 * fields.lid
        + col(0.1 + 0.15 * dice.uniform("under red")) * fields.under_eye
    ) * pale
    freckled = (dice.uniform("freckles") - 0.72).clamp(min=0) * 2.6 * light
    spots = rolled(atlas.spots, dice, "spots")
    where = (fields.blush + fields.nose + 0.25 * fields.face).clamp(max=1)
    aged = (person.old * (0.25 + dice.uniform("age spots"))).clamp(0, 1)
    brown = (
        col(freckled) * spots[:, 0] * where
        + col(aged) * 0.55 * spots[:, 1] * (0.35 + 0.65 * fields.face)
        + col(0.03 * mottle) * (tile[:, 3] + tile[:, 4]) * calm
        + col(0.08 + 0.3 * dice.uniform("rings") ** 2) * fields.under_eye * 0.5
        + 0.02 * tile[:, 6] * calm
    ) * atlas.region["skin"]
    lips = atlas.region["lips"]
    rosy = torch.where(person.feminine, 0.45, 0.28)
    lip = col(rosy + 0.35 * dice.uniform("lip blood")) * pale * lips
    log = tone_colour(person.ita, dice).log()[:, None, None] + dev
    log = log + (red + lip)[..., None] * colour(BLOOD, log)
    log = log + (brown + col(0.12 + 0.25 * (1 - light)) * lips)[..., None] * colour(MELANIN, log)
    stick = (dice.chance("lipstick", 0.45) & person.feminine).float() * dice.uniform(
        "stick", low=0.35, high=0.85
    )
    shade = dice.uniform("stick colour", 3)
    paint_ = torch.log(
        (0.2 + 0.4 * shade[:, :1])
        * torch.stack([torch.ones_like(shade[:, 0]), 0.05 + 0.15 * shade[:, 1], 0.08 + 0.3 * shade[:, 2]], 1)
    )
    return log + (paint_[:, None, None] - log) * (col(stick) * lips)[..., None]


def folded(
    person: Person, dice: Dice, atlas: Atlas, fields: Fields, tile: Tensor
) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """Height of the skin's relief in metres, and how dark its folds look (0..1)."""
    depth = (
        col(person.old**0.8)[..., None]
        * dice.uniform("folds", len(FOLDS), low=0.35, high=1.2)[:, :, None, None]
    )
    young = torch.tensor([0.06, 0.05, 0.03, 0.16, 0.03, 0.14, 0.03, 0.1], device=depth.device)
    amount = (depth + young[:, None, None]) * fields.fold
    relief = (
        -(amount * torch.tensor([4, 4, 3, 7, 4, 5, 4, 4], device=depth.device)[:, None, None]).sum(1) * 1e-4
    )
    calm = 1 - 0.75 * (atlas.region["neck"] + atlas.region["shoulders"])
    pores = calm * (tile[:, 4] + 1.2 * tile[:, 5] + 0.8 * tile[:, 6]) * fields.pores
    grain = 1.2e-5 * col(0.6 + 0.8 * dice.uniform("pores") + 0.4 * person.old)
    cloth = 5e-5 * (tile[:, 5] + tile[:, 6]) * atlas.region["torso"]
    lips = 2.5e-5 * (tile[:, 5] + tile[:, 4]) * atlas.region["lips"]
    return relief + grain * pores + cloth + lips, (0.55 * amount.sum(1)).clamp(0, 0.6)


def micro_normal(height: Float[Tensor, "b h w"], atlas: Atlas, strength: float) -> Float[Tensor, "b h w 2"]:
    """x and y of the unit normal of a relief."""
    du = (height.roll(-1, 2) - height.roll(1, 2)) / (2 * atlas.scale[..., 0])
    dv = (height.roll(-1, 1) - height.roll(1, 1)) / (2 * atlas.scale[..., 1])
    n = torch.stack([-du, dv], -1) * strength
    return n / (1 + (n * n).sum(-1, keepdim=True)).sqrt()


def texels(mask: Float[Tensor, "h w"]) -> Int[Tensor, " n"]:
    """Flat numbers of the texels where a mask is positive."""
    return (mask.reshape(-1) > 0.004).nonzero()[:, 0]


def at(maps: Float[Tensor, "b h w"], index: Int[Tensor, " n"]) -> Float[Tensor, "b n"]:
    """Values of maps at some texels."""
    return maps.flatten(1)[:, index]


def blend(albedo: Tensor, index: Int[Tensor, " n"], tone: Tensor, cover: Tensor) -> None:
    """Paints a colour (B | 1, N | 1, 3) over some texels with a coverage (B | 1, N), in place."""
    flat = albedo.flatten(1, 2)
    flat[:, index] += (tone - flat[:, index]) * cover[..., None]


def haired(
    albedo: Tensor, hairy: Tensor, looks: Looks, dice: Dice, fields: Fields, scalp: Tensor, tile: Tensor
) -> None:
    """Paints the scalp below hair, the shadow of beards, brows; marks brows and beards in ``hairy``."""
    hair = looks.hair_colour[:, None]
    index = texels(scalp.amax(0))
    fine = 0.5 + 0.5 * torch.tanh(1.4 * at(tile[:, 6], index) + 0.6 * at(tile[:, 5], index))
    cover = (at(scalp, index) * (0.6 + 0.5 * fine)).clamp(0, 0.97)
    blend(albedo, index, hair * (0.55 + 0.4 * fine[..., None]), cover)
    areas = torch.stack(
        [
            fields.beard * 0,
            fields.beard,
            fields.beard,
            fields.beard,
            fields.moustache,
            torch.maximum(fields.chin, fields.moustache),
        ]
    )
    index = texels(fields.beard)
    fine = 0.5 + 0.5 * torch.tanh(1.4 * at(tile[:, 6], index) + 0.6 * at(tile[:, 5], index))
    level = torch.tensor([0.0, 0.3, 0.58, 0.92, 0.85, 0.88], device=albedo.device)[looks.beard]
    area = at(areas[looks.beard], index) * (level * looks.beard_density)[:, None]
    blend(albedo, index, hair * (0.6 + 0.45 * fine[..., None]), (area * (0.45 + 0.75 * fine)).clamp(0, 0.95))
    hairy.flatten(1)[:, index] = area
    index = texels(fields.brow.amax(0))
    brow = at(fields.brow[looks.brow_style], index) * looks.brow_strength.clamp(0.4, 1.0)[:, None]
    dark = torch.exp(-0.5 * dice.uniform("brow dark"))[:, None, None]
    blend(albedo, index, 0.72 * hair**1.1 * dark + 0.003, brow.clamp(0, 0.97))
    hairy.flatten(1)[:, index] = torch.maximum(hairy.flatten(1)[:, index], brow)


def eyes(albedo: Tensor, looks: Looks, dice: Dice, atlas: Atlas, tile: Tensor) -> None:
    """Paints irises with pupil, limbus and rays, and sclera with veins."""
    index = texels((atlas.eye[..., 0] < 8).float())
    polar, around = atlas.eye.flatten(0, 1)[index].unbind(-1)
    yellow = looks.sclera[:, None, None]
    white = colour((0.6, 0.53, 0.48), albedo) * (1 - yellow) + colour((0.52, 0.41, 0.29), albedo) * yellow
    noise = at(tile[:, 3], index)
    vein = (noise.abs() < 0.12) * ramp(1.5, 3.0, polar) * 0.25
    white = white * (1 - vein[..., None] * colour((0.1, 0.5, 0.45), albedo))
    phase = dice.uniform("iris rays", 3) * 6.28
    rays = sum(torch.sin(around * f + phase[:, i, None]) for i, f in enumerate((23.0, 37.0, 61.0))) / 3
    iris = looks.iris[:, None] * (1 + 0.35 * rays + 0.25 * noise)[..., None].clamp(0.3, 1.9)
    iris = iris * (1 + (ramp(0.75, 0.45, polar) * 0.35)[..., None] * colour((0.9, 0.6, 0.2), albedo))
    iris = iris * (1 - 0.75 * ramp(0.78, 1.0, polar))[..., None]
    pupil = looks.pupil[:, None]
    iris = iris * ramp(pupil - 0.04, pupil + 0.05, polar)[..., None] + 0.003
    inside = ramp(1.07, 0.94, polar)[..., None]
    blend(albedo, index, white * (1 - inside) + iris * inside, torch.ones(1, 1, device=albedo.device))


def mouth(albedo: Tensor, person: Person, dice: Dice, atlas: Atlas, tile: Tensor) -> None:
    """Paints teeth, gums, tongue and lining."""
    yellow = (dice.uniform("teeth") * 0.6 + 0.4 * person.old)[:, None, None]
    teeth = colour((0.66, 0.62, 0.54), albedo) * (1 - yellow) + colour((0.5, 0.4, 0.25), albedo) * yellow
    flesh = torch.exp(0.12 * dice.normal("flesh"))[:, None, None]
    for name, tone, noise in (
        ("teeth", teeth, 0.04),
        ("gums", flesh * colour((0.42, 0.14, 0.13), albedo), 0.08),
        ("tongue", flesh * colour((0.4, 0.15, 0.14), albedo), 0.1),
        ("mouth", flesh * colour((0.25, 0.07, 0.06), albedo), 0.1),
    ):
        index = texels((atlas.region[name] > 0.5).float())
        blend(
            albedo,
            index,
            tone * (1 + noise * at(tile[:, 2], index)[..., None]),
            torch.ones(1, 1, device=tone.device),
        )


def clothed(
    albedo: Tensor, hairy: Tensor, height: Tensor, looks: Looks, dice: Dice, atlas: Atlas, tile: Tensor
) -> None:
    """Paints clothes on the torso and up to a neckline (``hairy`` is -1 there), and the frame of glasses."""
    tall = (
        atlas.region["torso"]
        + (atlas.region["neck"] + atlas.region["shoulders"] + atlas.region["face"]) * atlas.region["skin"]
    )
    index = texels(tall * (atlas.position[..., 1] < -0.09))
    p = atlas.position.flatten(0, 1)[index]
    front = ramp(-0.03, 0.035, p[:, 2])
    drop = 0.004 + 0.075 * looks.neckline[:, :1] ** 2
    width = 0.03 + 0.03 * looks.neckline[:, 1:]
    line = -0.126 - 0.028 * front - drop * front * torch.exp(-((p[:, 0] / width) ** 2))
    cover = torch.maximum(
        ramp(line + 0.0018, line - 0.0018, p[:, 1]), atlas.region["torso"].reshape(-1)[index]
    )
    across = torch.atan2(p[:, 0], p[:, 2] + 0.02) * 0.18
    length = dice.uniform("stripe", low=0.012, high=0.05)[:, None]
    stripes = ramp(-0.2, 0.2, torch.sin(across / length * 6.28))
    checks = (stripes + ramp(-0.2, 0.2, torch.sin(p[:, 1] / length * 6.28))) / 2
    mottled = ramp(-0.6, 0.8, at(tile[:, 0], index) + 0.6 * at(tile[:, 2], index))
    every = torch.stack([torch.zeros_like(stripes), stripes, checks, mottled], 1)
    mix = every[torch.arange(len(every)), looks.pattern][..., None]
    weave = (1 + 0.1 * (at(tile[:, 5], index) + at(tile[:, 6], index))[..., None]).clamp(0.5, 1.5)
    blend(albedo, index, (looks.cloth[:, :1] * (1 - mix) + looks.cloth[:, 1:] * mix) * weave, cover)
    flat = hairy.flatten(1)
    flat[:, index] = torch.where(cover > 0.5, -1.0, flat[:, index])
    height.flatten(1)[:, index] += 0.0016 * cover
    index = texels(atlas.region["frame"])
    blend(albedo, index, looks.frame_colour[:, None], torch.ones(1, 1, device=albedo.device))


def glossy(
    person: Person, dice: Dice, atlas: Atlas, fields: Fields, tile: Tensor, height: Tensor
) -> Float[Tensor, "b h w 2"]:
    """Specular reflectance (relative to 0.04) and roughness: by region, broken up by pores."""
    rough, spec = torch.full_like(fields.face, 0.55), torch.full_like(fields.face, 0.62)
    for name, value in ROUGH.items():
        rough = rough + (value - rough) * atlas.region[name]
        spec = spec + (SPECULAR[name] - spec) * atlas.region[name]
    oily = dice.normal("oily")
    zone = (fields.nose + 0.5 * fields.blush) * atlas.region["skin"]
    spec = spec * (1 + col(0.15 * oily) * (0.4 + zone)) * (1 + 0.12 * tile[:, 6] * fields.pores)
    rough = rough - col(0.05 * oily) * (0.5 + zone) * atlas.region["skin"] + 0.02 * tile[:, 4] * fields.pores
    return torch.stack([spec.clamp(0, 1), rough.clamp(0.08, 1)], -1)
