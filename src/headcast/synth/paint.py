"""Painting a person's textures: albedo, tangent-space micro normal, specular, roughness, painted hair."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.head.skin import SkinModel
from headcast.synth.atlas import Atlas, ramp
from headcast.synth.fields import Fields
from headcast.synth.looks import Looks
from headcast.synth.people import Person
from headcast.synth.rng import CounterRng
from headcast.synth.skin_paint import (
    colour_like,
    fold_height,
    log_albedo,
    micro_normal,
    paint_gloss,
    roll_tiles,
)

__all__ = ["CHANNELS", "paint"]

CHANNELS = ("red", "green", "blue", "normal_x", "normal_y", "specular", "roughness", "hairy")
"""Albedo (linear); x (along u) and y (against v) of the tangent-space normal; reflectance at normal incidence
relative to 0.04; perceptual roughness; coverage by painted hair (brows, beard), 2 on a scalp
painted with hair, -1 on clothes."""


def paint(
    person: Person,
    looks: Looks,
    rng: CounterRng,
    atlas: Atlas,
    fields: Fields,
    skin: SkinModel,
    scalp: Float[Tensor, "b h w"],
    micro: float,
) -> Float[Tensor, "b h w 8"]:
    """Paint textures of B people, channels as ``CHANNELS``. ``scalp``: how densely hair is painted on it."""
    tile = roll_tiles(atlas.noise, rng, "grain")
    log = log_albedo(person, rng, atlas, fields, skin, tile)
    height, tint = fold_height(person, rng, atlas, fields, tile)
    log = log + tint[..., None] * torch.tensor([-0.28, -0.38, -0.42], device=log.device)
    albedo = log.exp()
    hairy = torch.zeros_like(height)
    paint_hair(albedo, hairy, looks, rng, fields, scalp, tile)
    paint_eyes(albedo, looks, rng, atlas, tile)
    paint_mouth(albedo, person, rng, atlas, tile)
    paint_clothes(albedo, hairy, height, looks, rng, atlas, tile)
    normal = micro_normal(height, atlas, micro)
    gloss = paint_gloss(person, rng, atlas, fields, tile, height)
    return torch.cat([albedo.clamp(0.002, 0.95), normal, gloss, hairy[..., None]], -1)


def texels(mask: Float[Tensor, "h w"]) -> Int[Tensor, " n"]:
    """Return flat indices of the texels where a mask is positive."""
    return (mask.reshape(-1) > 0.004).nonzero()[:, 0]


def at(maps: Float[Tensor, "b h w"], index: Int[Tensor, " n"]) -> Float[Tensor, "b n"]:
    """Return the values of maps at some texels."""
    return maps.flatten(1)[:, index]


def blend(albedo: Tensor, index: Int[Tensor, " n"], tone: Tensor, cover: Tensor) -> None:
    """Paint a colour (B | 1, N | 1, 3) over some texels with a coverage (B | 1, N), in place."""
    flat = albedo.flatten(1, 2)
    flat[:, index] += (tone - flat[:, index]) * cover[..., None]


def paint_hair(
    albedo: Tensor, hairy: Tensor, looks: Looks, rng: CounterRng, fields: Fields, scalp: Tensor, tile: Tensor
) -> None:
    """Paint the scalp below hair, the shadow of beards, brows; mark brows and beards in ``hairy``."""
    hair = looks.hair_colour[:, None]
    index = texels(scalp.amax(0))
    fine = 0.5 + 0.5 * torch.tanh(1.4 * at(tile[:, 6], index) + 0.6 * at(tile[:, 5], index))
    cover = (at(scalp, index) * (0.6 + 0.5 * fine)).clamp(0, 0.97)
    blend(albedo, index, hair * (0.55 + 0.4 * fine[..., None]), cover)
    hairy.flatten(1)[:, index] = torch.where(at(scalp, index) > 0.6, 2.0, 0.0)
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
    hairy.flatten(1)[:, index] = torch.maximum(hairy.flatten(1)[:, index], area)
    index = texels(fields.brow.amax(0))
    brow = at(fields.brow[looks.brow_style], index) * looks.brow_strength.clamp(0.4, 1.0)[:, None]
    dark = torch.exp(-0.5 * rng.uniform("brow dark"))[:, None, None]
    blend(albedo, index, 0.72 * hair**1.1 * dark + 0.003, brow.clamp(0, 0.97))
    hairy.flatten(1)[:, index] = torch.maximum(hairy.flatten(1)[:, index], brow)


def paint_eyes(albedo: Tensor, looks: Looks, rng: CounterRng, atlas: Atlas, tile: Tensor) -> None:
    """Paint irises with pupil, limbus and rays, and sclera with veins."""
    index = texels((atlas.eye[..., 0] < 8).float())
    polar, around = atlas.eye.flatten(0, 1)[index].unbind(-1)
    yellow = looks.sclera[:, None, None]
    white = (
        colour_like((0.6, 0.53, 0.48), albedo) * (1 - yellow)
        + colour_like((0.52, 0.41, 0.29), albedo) * yellow
    )
    noise = at(tile[:, 3], index)
    vein = (noise.abs() < 0.12) * ramp(1.5, 3.0, polar) * 0.25
    white = white * (1 - vein[..., None] * colour_like((0.1, 0.5, 0.45), albedo))
    phase = rng.uniform("iris rays", 3) * 6.28
    rays = sum(torch.sin(around * f + phase[:, i, None]) for i, f in enumerate((23.0, 37.0, 61.0))) / 3
    iris = looks.iris[:, None] * (1 + 0.35 * rays + 0.25 * noise)[..., None].clamp(0.3, 1.9)
    iris = iris * (1 + (ramp(0.75, 0.45, polar) * 0.35)[..., None] * colour_like((0.9, 0.6, 0.2), albedo))
    iris = iris * (1 - 0.75 * ramp(0.78, 1.0, polar))[..., None]
    pupil = looks.pupil[:, None]
    iris = iris * ramp(pupil - 0.04, pupil + 0.05, polar)[..., None] + 0.003
    inside = ramp(1.07, 0.94, polar)[..., None]
    blend(albedo, index, white * (1 - inside) + iris * inside, torch.ones(1, 1, device=albedo.device))


def paint_mouth(albedo: Tensor, person: Person, rng: CounterRng, atlas: Atlas, tile: Tensor) -> None:
    """Paint teeth, gums, tongue and lining."""
    yellow = (rng.uniform("teeth") * 0.6 + 0.4 * person.old)[:, None, None]
    teeth = (
        colour_like((0.66, 0.62, 0.54), albedo) * (1 - yellow)
        + colour_like((0.5, 0.4, 0.25), albedo) * yellow
    )
    flesh = torch.exp(0.12 * rng.normal("flesh"))[:, None, None]
    for name, tone, noise in (
        ("teeth", teeth, 0.04),
        ("gums", flesh * colour_like((0.42, 0.14, 0.13), albedo), 0.08),
        ("tongue", flesh * colour_like((0.4, 0.15, 0.14), albedo), 0.1),
        ("mouth", flesh * colour_like((0.25, 0.07, 0.06), albedo), 0.1),
    ):
        index = texels((atlas.region[name] > 0.5).float())
        blend(
            albedo,
            index,
            tone * (1 + noise * at(tile[:, 2], index)[..., None]),
            torch.ones(1, 1, device=tone.device),
        )


def paint_clothes(
    albedo: Tensor, hairy: Tensor, height: Tensor, looks: Looks, rng: CounterRng, atlas: Atlas, tile: Tensor
) -> None:
    """Paint clothes on the torso and up to a neckline (``hairy`` is -1 there), and the frame of glasses."""
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
    length = rng.uniform("stripe", low=0.012, high=0.05)[:, None]
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
