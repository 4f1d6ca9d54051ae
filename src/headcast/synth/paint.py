"""Painting a person's textures: albedo, tangent-space micro normal, specular, roughness, painted hair."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.head.skin import SkinModel
from headcast.interpolation import smoothstep
from headcast.synth.appearance import PersonAppearance
from headcast.synth.atlas import Atlas
from headcast.synth.fields import Fields
from headcast.synth.people import PersonTraits
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

BEARD_COVER = (0.0, 0.3, 0.58, 0.92, 0.85, 0.88)
"""How densely each of ``appearance.BEARDS`` is painted."""


def paint(
    person: PersonTraits,
    appearance: PersonAppearance,
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
    paint_hair(albedo, hairy, appearance, rng, fields, scalp, tile)
    paint_eyeballs(albedo, appearance, rng, atlas, tile)
    paint_mouth_inside(albedo, person, rng, atlas, tile)
    paint_clothes(albedo, hairy, height, appearance, rng, atlas, tile)
    paint_frame(albedo, appearance, atlas)
    normal = micro_normal(height, atlas, micro)
    gloss = paint_gloss(person, rng, atlas, fields, tile, height)
    return torch.cat([albedo.clamp(0.002, 0.95), normal, gloss, hairy[..., None]], -1)


def texel_indices(mask: Float[Tensor, "h w"]) -> Int[Tensor, " n"]:
    """Return flat indices of the texels where a mask is positive."""
    return (mask.reshape(-1) > 0.004).nonzero()[:, 0]


def values_at(maps: Float[Tensor, "b h w"], index: Int[Tensor, " n"]) -> Float[Tensor, "b n"]:
    """Return the values of maps at some texels."""
    return maps.flatten(1)[:, index]


def blend_texels(albedo: Tensor, index: Int[Tensor, " n"], tone: Tensor, cover: Tensor) -> None:
    """Paint a colour (B | 1, N | 1, 3) over some texels with a coverage (B | 1, N), in place."""
    flat = albedo.flatten(1, 2)
    flat[:, index] += (tone - flat[:, index]) * cover[..., None]


def paint_hair(
    albedo: Tensor,
    hairy: Tensor,
    appearance: PersonAppearance,
    rng: CounterRng,
    fields: Fields,
    scalp: Tensor,
    tile: Tensor,
) -> None:
    """Paint the scalp below hair, the shadow of beards, brows; mark brows and beards in ``hairy``."""
    paint_scalp(albedo, hairy, appearance, scalp, tile)
    paint_beard(albedo, hairy, appearance, fields, tile)
    paint_brows(albedo, hairy, appearance, rng, fields)


def hair_texture(tile: Float[Tensor, "b k h w"], index: Int[Tensor, " n"]) -> Float[Tensor, "b n"]:
    """Return the lightness of short hairs at some texels, 0..1."""
    return 0.5 + 0.5 * torch.tanh(1.4 * values_at(tile[:, 6], index) + 0.6 * values_at(tile[:, 5], index))


def paint_scalp(
    albedo: Tensor, hairy: Tensor, appearance: PersonAppearance, scalp: Tensor, tile: Tensor
) -> None:
    """Paint hair on scalps as densely as ``scalp`` says; mark where nothing of the skin is left."""
    index = texel_indices(scalp.amax(0))
    fine = hair_texture(tile, index)
    cover = (values_at(scalp, index) * (0.6 + 0.5 * fine)).clamp(0, 0.97)
    blend_texels(albedo, index, appearance.hair_colour[:, None] * (0.55 + 0.4 * fine[..., None]), cover)
    hairy.flatten(1)[:, index] = torch.where(values_at(scalp, index) > 0.6, 2.0, 0.0)


def paint_beard(
    albedo: Tensor, hairy: Tensor, appearance: PersonAppearance, fields: Fields, tile: Tensor
) -> None:
    """Paint the roots of beards, by ``BEARDS``."""
    beard, moustache = fields.beard, fields.moustache
    goatee = torch.maximum(fields.chin, moustache)
    areas = torch.stack([beard * 0, beard, beard, beard, moustache, goatee])
    index = texel_indices(beard)
    fine = hair_texture(tile, index)
    level = torch.tensor(BEARD_COVER, device=albedo.device)[appearance.beard]
    area = values_at(areas[appearance.beard], index) * (level * appearance.beard_density)[:, None]
    tone = appearance.hair_colour[:, None] * (0.6 + 0.45 * fine[..., None])
    blend_texels(albedo, index, tone, (area * (0.45 + 0.75 * fine)).clamp(0, 0.95))
    hairy.flatten(1)[:, index] = torch.maximum(hairy.flatten(1)[:, index], area)


def paint_brows(
    albedo: Tensor, hairy: Tensor, appearance: PersonAppearance, rng: CounterRng, fields: Fields
) -> None:
    """Paint brows, a little darker than the hair."""
    index = texel_indices(fields.brow.amax(0))
    strength = appearance.brow_strength.clamp(0.4, 1.0)[:, None]
    cover = values_at(fields.brow[appearance.brow_style], index) * strength
    dark = torch.exp(-0.5 * rng.uniform("brow dark"))[:, None, None]
    tone = 0.72 * appearance.hair_colour[:, None] ** 1.1 * dark + 0.003
    blend_texels(albedo, index, tone, cover.clamp(0, 0.97))
    hairy.flatten(1)[:, index] = torch.maximum(hairy.flatten(1)[:, index], cover)


def paint_eyeballs(
    albedo: Tensor, appearance: PersonAppearance, rng: CounterRng, atlas: Atlas, tile: Tensor
) -> None:
    """Paint irises with pupil, limbus and rays, and sclera with veins."""
    index = texel_indices((atlas.eye[..., 0] < 8).float())
    polar, around = atlas.eye.flatten(0, 1)[index].unbind(-1)
    noise = values_at(tile[:, 3], index)
    white = sclera_colour(appearance, polar, noise)
    iris = iris_colour(appearance, rng, polar, around, noise)
    inside = smoothstep(polar, 1.07, 0.94)[..., None]
    blend_texels(albedo, index, white * (1 - inside) + iris * inside, torch.ones(1, 1, device=albedo.device))


def sclera_colour(
    appearance: PersonAppearance, polar: Float[Tensor, " n"], noise: Float[Tensor, "b n"]
) -> Float[Tensor, "b n 3"]:
    """Return the colour of sclera: white to yellowish, with veins away from the iris."""
    yellow = appearance.sclera[:, None, None]
    white = colour_like((0.6, 0.53, 0.48), polar) * (1 - yellow)
    white = white + colour_like((0.52, 0.41, 0.29), polar) * yellow
    vein = (noise.abs() < 0.12) * smoothstep(polar, 1.5, 3.0) * 0.25
    return white * (1 - vein[..., None] * colour_like((0.1, 0.5, 0.45), polar))


def iris_colour(
    appearance: PersonAppearance,
    rng: CounterRng,
    polar: Float[Tensor, " n"],
    around: Float[Tensor, " n"],
    noise: Float[Tensor, "b n"],
) -> Float[Tensor, "b n 3"]:
    """Return the colour of irises: rays, a warmer middle, a dark limbus and the pupil.

    Args:
        polar, around: as in ``Atlas.eye``.
    """
    phase = rng.uniform("iris rays", 3) * 6.28
    rays = sum(torch.sin(around * f + phase[:, i, None]) for i, f in enumerate((23.0, 37.0, 61.0))) / 3
    iris = appearance.iris[:, None] * (1 + 0.35 * rays + 0.25 * noise)[..., None].clamp(0.3, 1.9)
    warm = (smoothstep(polar, 0.75, 0.45) * 0.35)[..., None] * colour_like((0.9, 0.6, 0.2), polar)
    iris = iris * (1 + warm)
    iris = iris * (1 - 0.75 * smoothstep(polar, 0.78, 1.0))[..., None]
    pupil = appearance.pupil[:, None]
    return iris * smoothstep(polar, pupil - 0.04, pupil + 0.05)[..., None] + 0.003


def paint_mouth_inside(
    albedo: Tensor, person: PersonTraits, rng: CounterRng, atlas: Atlas, tile: Tensor
) -> None:
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
        index = texel_indices((atlas.region[name] > 0.5).float())
        blend_texels(
            albedo,
            index,
            tone * (1 + noise * values_at(tile[:, 2], index)[..., None]),
            torch.ones(1, 1, device=tone.device),
        )


def paint_clothes(
    albedo: Tensor,
    hairy: Tensor,
    height: Tensor,
    appearance: PersonAppearance,
    rng: CounterRng,
    atlas: Atlas,
    tile: Tensor,
) -> None:
    """Paint clothes on the torso and up to a neckline (``hairy`` is -1 there); they stand off the skin."""
    tall = (
        atlas.region["torso"]
        + (atlas.region["neck"] + atlas.region["shoulders"] + atlas.region["face"]) * atlas.region["skin"]
    )
    index = texel_indices(tall * (atlas.position[..., 1] < -0.09))
    p = atlas.position.flatten(0, 1)[index]
    cover = torch.maximum(below_neckline(appearance, p), atlas.region["torso"].reshape(-1)[index])
    mix = cloth_pattern(appearance, rng, p, tile, index)[..., None]
    weave = (1 + 0.1 * (values_at(tile[:, 5], index) + values_at(tile[:, 6], index))[..., None]).clamp(
        0.5, 1.5
    )
    blend_texels(
        albedo, index, (appearance.cloth[:, :1] * (1 - mix) + appearance.cloth[:, 1:] * mix) * weave, cover
    )
    flat = hairy.flatten(1)
    flat[:, index] = torch.where(cover > 0.5, -1.0, flat[:, index])
    height.flatten(1)[:, index] += 0.0016 * cover


def below_neckline(appearance: PersonAppearance, points: Float[Tensor, "n 3"]) -> Float[Tensor, "b n"]:
    """Return 1 below each person's neckline, 0 above."""
    front = smoothstep(points[:, 2], -0.03, 0.035)
    drop = 0.004 + 0.075 * appearance.neckline[:, :1] ** 2
    width = 0.03 + 0.03 * appearance.neckline[:, 1:]
    line = -0.126 - 0.028 * front - drop * front * torch.exp(-((points[:, 0] / width) ** 2))
    return smoothstep(points[:, 1], line + 0.0018, line - 0.0018)


def cloth_pattern(
    appearance: PersonAppearance,
    rng: CounterRng,
    points: Float[Tensor, "n 3"],
    tile: Tensor,
    index: Int[Tensor, " n"],
) -> Float[Tensor, "b n"]:
    """Return the share of a cloth's second colour, 0..1, by ``PersonAppearance.pattern``."""
    across = torch.atan2(points[:, 0], points[:, 2] + 0.02) * 0.18
    length = rng.uniform("stripe", low=0.012, high=0.05)[:, None]
    stripes = smoothstep(torch.sin(across / length * 6.28), -0.2, 0.2)
    checks = (stripes + smoothstep(torch.sin(points[:, 1] / length * 6.28), -0.2, 0.2)) / 2
    mottled = smoothstep(values_at(tile[:, 0], index) + 0.6 * values_at(tile[:, 2], index), -0.6, 0.8)
    every = torch.stack([torch.zeros_like(stripes), stripes, checks, mottled], 1)
    return every[torch.arange(len(every)), appearance.pattern]


def paint_frame(albedo: Tensor, appearance: PersonAppearance, atlas: Atlas) -> None:
    """Paint the frame of glasses."""
    index = texel_indices(atlas.region["frame"])
    blend_texels(albedo, index, appearance.frame_colour[:, None], torch.ones(1, 1, device=albedo.device))
