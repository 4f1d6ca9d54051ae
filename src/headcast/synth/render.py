"""From posed people under light to images with ground truth: rasterize, shade samples, peel hair, resolve."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from headcast.image import linear_to_srgb
from headcast.render.types import Fragments
from headcast.synth.assets import Assets
from headcast.synth.bust import HEAD, TORSO
from headcast.synth.config import LABELS
from headcast.synth.hair_shells import BEARD, BUZZ, CURLS, LASH
from headcast.synth.layers import (
    CoveredSamples,
    Layers,
    SynthScene,
    average_cells,
    lamp_shadows,
    mask_fragments,
    rasterize_layers,
    smooth_pixels,
)
from headcast.synth.lights import Lamps, sky_irradiance
from headcast.synth.pbr import shade_skin
from headcast.synth.shade import (
    ShadingPoints,
    Shadows,
    fetch,
    hair_alpha,
    perturb_normals,
    shade_strands,
    shade_surface,
    strands,
)
from headcast.synth.views import Views

__all__ = ["PixelTruth", "render_scene"]

HAIR, FACIAL_HAIR, BROWS, SKIN = (LABELS.index(n) for n in ("hair", "facial_hair", "brows", "skin"))
FLESHY = tuple(
    LABELS.index(n) for n in ("skin", "nose", "ears", "neck", "lips", "brows", "facial_hair", "mouth")
)
VISIBLE = 0.004
"""Opacity and transmittance up to which a sample is not shaded."""


@dataclass(frozen=True)
class PixelTruth:
    """Per-pixel results of a scene; see ``SynthBatch``."""

    rgb: Tensor
    alpha: Tensor
    depth: Tensor
    normal: Tensor
    geometric_normal: Tensor
    uv: Tensor
    albedo: Tensor
    specular: Tensor
    label: Tensor


def render_scene(assets: Assets, scene: SynthScene, antialias: int, layers: int) -> PixelTruth:
    """Render all images of a scene.

    A pixel whose samples lie on one smooth piece of the bust, with no hair before it, is shaded once, at its
    centre; the others at every sample.
    """
    n, wide = len(scene.scene), scene.views.size * antialias
    shadows = lamp_shadows(assets, scene)
    fine = scene.views.scaled(antialias)
    solid, hair = rasterize_layers(assets, scene, fine, layers)
    centre = rasterize_layers(assets, scene, scene.views, layers)
    samples = Layers.empty(solid.triangle.numel(), assets.device)
    for layer in hair:
        shade_hair(assets, scene, fine, shadows, layer, samples)
    through = samples.through.view(n, wide, wide)
    smooth = smooth_pixels(assets, solid, centre[0], through, antialias)
    varied = ~smooth.repeat_interleave(antialias, 1).repeat_interleave(antialias, 2)
    shade_solid(assets, scene, fine, shadows, mask_fragments(solid, varied), samples)
    once = shade_centres(assets, scene, shadows, mask_fragments(centre[0], smooth), antialias)
    value = average_cells(samples.value.view(n, wide, wide, 13), antialias)
    value = torch.where(smooth[..., None], once.value.view(value.shape), value)
    alpha = torch.where(smooth, 1.0, 1 - average_cells(through, antialias))
    return resolve_truth(value, alpha, scene.background, centre_truth(assets, scene, *centre))


def shade_centres(
    assets: Assets, scene: SynthScene, shadows: Shadows, fragments: Fragments, antialias: int
) -> Layers:
    """Shade the bust once a pixel, from textures as coarse as the pixels are."""
    coarse = avg_pool2d(scene.textures.permute(0, 3, 1, 2), antialias).permute(0, 2, 3, 1)
    scene = replace(scene, textures=coarse.contiguous())
    out = Layers.empty(fragments.triangle.numel(), assets.device)
    shade_solid(assets, scene, scene.views, shadows, fragments, out)
    return out


def resolve_truth(
    value: Float[Tensor, "n h h 13"],
    alpha: Float[Tensor, "n h h"],
    background: Float[Tensor, "n h h 3"],
    centre: CentreTruth,
) -> PixelTruth:
    """Composite over the background and divide the other channels (see ``Layers``) by coverage."""
    rgb = value[..., :3] + (1 - alpha)[..., None] * background
    straight = value / alpha.clamp(min=1e-4)[..., None]
    shown = (alpha > 1e-3)[..., None]
    return PixelTruth(
        rgb=linear_to_srgb(rgb.clamp(0, 1)),
        alpha=alpha,
        depth=centre.depth,
        normal=normalize(straight[..., 6:9], dim=-1) * shown,
        geometric_normal=normalize(straight[..., 9:12], dim=-1) * shown,
        uv=centre.uv,
        albedo=(straight[..., 3:6] * shown).clamp(0, 1),
        specular=straight[..., 12] * shown[..., 0],
        label=centre.label,
    )


def shade_solid(
    assets: Assets, scene: SynthScene, views: Views, shadows: Shadows, fragments: Fragments, samples: Layers
) -> None:
    """Shade the bust and composite it behind the hair."""
    p = CoveredSamples.of(fragments, scene.scene)
    p = p[samples.through[p.at] > VISIBLE]
    light = scene.light.lamps(p.scene)
    geometry = bust_geometry(assets, scene, p)
    surface = surface_points(assets, scene, views, shadows, light, p, geometry)
    if scene.pbr:
        colour = shade_skin(light, scene.light.sky[p.scene], surface)
    else:
        colour = shade_surface(light, geometry.sky, surface)
    truth = (surface.albedo, surface.normal, surface.smooth, surface.specular[:, None])
    samples.put(p.at, torch.cat([colour, *truth], -1), torch.ones_like(surface.openness))


class BustGeometry(NamedTuple):
    """Vertex values of the bust at M points, world frame; ``sky``: its irradiance at the normal."""

    position: Tensor
    normal: Tensor
    tangent: Tensor
    sky: Tensor
    openness: Tensor


def bust_geometry(assets: Assets, scene: SynthScene, p: CoveredSamples) -> BustGeometry:
    """Interpolate the bust's vertex values."""
    f = scene.people
    sky = sky_irradiance(scene.light.sky, f.normals)
    values = torch.cat([f.vertices, f.normals, f.tangents, sky, f.openness[..., None]], -1)
    return BustGeometry(*p.over(values, assets.bust.faces[p.face]).split((3, 3, 3, 3, 1), -1))


def surface_points(
    assets: Assets,
    scene: SynthScene,
    views: Views,
    shadows: Shadows,
    light: Lamps,
    p: CoveredSamples,
    geometry: BustGeometry,
) -> ShadingPoints:
    """Find what the points' textures, normals, shadows and labels make of them."""
    uv = p.uv(assets.bust.uv, assets.bust.faces_uv)
    texel = fetch(scene.textures, scene.owner[p.image], uv)
    view = normalize(views.centers[p.image] - geometry.position, dim=-1)
    smooth = facing_normals(geometry.normal, view, assets.bust.kind[p.face] == TORSO)
    label, openness = nearest_label(assets, uv), geometry.openness[:, 0]
    shadow = shadows.light(p.scene, geometry.position, smooth, light.key, light.key_size, smooth=scene.pbr)
    inside = (label == LABELS.index("mouth")) | (label == LABELS.index("teeth"))
    return ShadingPoints(
        albedo=texel[:, :3],
        normal=perturb_normals(smooth, geometry.tangent, texel[:, 3:5]),
        smooth=smooth,
        view=view,
        openness=openness,
        shadow=torch.where(inside, shadow * openness, shadow),
        specular=texel[:, 5],
        rough=texel[:, 6],
        flesh=(torch.isin(label, torch.tensor(FLESHY, device=label.device)) & (texel[:, 7] > -0.5)).float(),
    )


def facing_normals(
    normal: Float[Tensor, "m 3"], view: Float[Tensor, "m 3"], two_sided: Bool[Tensor, " m"]
) -> Float[Tensor, "m 3"]:
    """Return unit normals; those of two-sided surfaces are turned towards the camera."""
    normal = normalize(normal, dim=-1)
    facing = (normal * view).sum(-1, keepdim=True)
    return torch.where((facing < 0) & two_sided[:, None], -normal, normal)


def nearest_label(assets: Assets, uv: Float[Tensor, "m 2"]) -> Int[Tensor, " m"]:
    """Return the label of the nearest texel."""
    h, w = assets.atlas.label.shape
    x, y = (uv[:, 0] * w).long().clamp(0, w - 1), (uv[:, 1] * h).long().clamp(0, h - 1)
    return assets.atlas.label[y, x].long()


class HairPoints(NamedTuple):
    """Hair at M samples: position, normal and strands' direction (world), and how it is shaded.

    ``sky``: irradiance at the normal. ``level``: 0 inner layer .. 1 outer. ``kind``: as of ``HairShells``.
    ``pattern``: fine and coarse strands, 0..1.
    """

    position: Tensor
    normal: Tensor
    flow: Tensor
    sky: Tensor
    level: Tensor
    kind: Tensor
    pattern: Tensor
    alpha: Tensor


def hair_points(assets: Assets, scene: SynthScene, layer: Fragments) -> tuple[CoveredSamples, HairPoints]:
    """Interpolate hair attributes at the covered samples of a layer."""
    p = CoveredSamples.of(layer, scene.scene)
    f = scene.people
    corners = f.hair_faces[p.scene, p.face]
    sky = sky_irradiance(scene.light.sky, f.hair_normals)
    values = p.over(torch.cat([f.hair, f.hair_normals, f.hair_flow, sky, f.hair_facts], -1), corners)
    x, n, flow, sky, rest, cover, level, kind, _ = values.split((3, 3, 3, 3, 3, 1, 1, 1, 1), -1)
    kind = kind[:, 0].round().long()
    pattern = strands(assets.strand_noise, rest, (kind == BUZZ) | (kind == BEARD) | (kind == CURLS))
    alpha = hair_alpha(pattern, rest, scene.hair_cut[p.image], cover[:, 0], level[:, 0], kind)
    return p, HairPoints(x, n, flow, sky, level[:, 0], kind, pattern, alpha)


def shade_hair(
    assets: Assets, scene: SynthScene, views: Views, shadows: Shadows, layer: Fragments, samples: Layers
) -> None:
    """Shade a layer of hair and composite it behind those in front."""
    p, hair = hair_points(assets, scene, layer)
    show = (hair.alpha > VISIBLE) & (samples.through[p.at] > VISIBLE)
    p, hair = p[show], HairPoints(*(x[show] for x in hair))
    view = normalize(views.centers[p.image] - hair.position, dim=-1)
    normal = facing_normals(hair.normal, view, torch.ones_like(hair.kind, dtype=torch.bool))
    light = scene.light.lamps(p.scene)
    above = hair.position + 0.004 * light.key
    shadow = shadows.light(p.scene, above, normal, light.key, light.key_size + 0.1)
    colour = strand_colour(hair, scene.hair_colour[p.image], scene.hair_light[p.image])
    deep = (0.42 + 0.3 * hair.level + 0.45 * hair.pattern[:, 0]).clamp(0, 1)
    lit = shade_strands(light, colour, normal, normalize(hair.flow, dim=-1), view, hair.sky, deep, shadow)
    values = torch.cat([lit, colour, normal, normal, torch.full_like(colour[:, :1], 0.6)], -1)
    samples.put(p.at, values, hair.alpha)


def strand_colour(
    hair: HairPoints, colour: Float[Tensor, "m 3"], variation: Float[Tensor, " m"]
) -> Float[Tensor, "m 3"]:
    """Vary a person's hair colour from strand to strand; lashes are dark."""
    lightness = (hair.pattern - 0.5) @ torch.tensor([0.7, 0.6], device=colour.device)
    colour = colour * torch.exp(variation * 1.6 * lightness)[:, None]
    return torch.where((hair.kind == LASH)[:, None], colour * 0.25 + 0.002, colour)


class CentreTruth(NamedTuple):
    """What is seen at pixel centres: label (uint8), depth and texture coordinates, see ``SynthBatch``."""

    label: Tensor
    depth: Tensor
    uv: Tensor


def centre_truth(assets: Assets, scene: SynthScene, solid: Fragments, hair: list[Fragments]) -> CentreTruth:
    """Find label, depth and uv at pixel centres; hair counts where it covers more than half."""
    shape = solid.triangle.shape
    label, uv = bust_truth(assets, scene, solid)
    depth = solid.depth.reshape(-1).clone()
    through = torch.ones_like(depth)
    for layer in hair:
        p, h = hair_points(assets, scene, layer)
        before = through[p.at]
        through[p.at] = before * (1 - h.alpha * (h.kind != LASH))
        covered = (before > 0.5) & (through[p.at] <= 0.5)
        at = p.at[covered]
        depth[at] = layer.depth.reshape(-1)[at]
        label[at] = torch.where(h.kind[covered] == BEARD, FACIAL_HAIR, HAIR)
        uv[at] = -1
    return CentreTruth(label.view(shape).to(torch.uint8), depth.view(shape), uv.view(*shape, 2))


def bust_truth(
    assets: Assets, scene: SynthScene, solid: Fragments
) -> tuple[Int[Tensor, " c"], Float[Tensor, "c 2"]]:
    """Return label and uv of the bust without hair at all pixel centres, flat; uv is -1 off the head."""
    p = CoveredSamples.of(solid, scene.scene)
    label = torch.zeros(solid.triangle.numel(), dtype=torch.long, device=assets.device)
    uv = torch.full((solid.triangle.numel(), 2), -1.0, device=assets.device)
    where = p.uv(assets.bust.uv, assets.bust.faces_uv)
    hair_paint = fetch(scene.textures[..., 7:], scene.owner[p.image], where)[:, 0]
    label[p.at] = painted_label(assets, where, hair_paint)
    tall = assets.atlas.label.shape[0] / assets.atlas.size
    on_head = (assets.bust.kind[p.face] == HEAD) & (hair_paint > -0.5)
    uv[p.at[on_head]] = where[on_head] * torch.tensor([1.0, tall], device=uv.device)
    return label, uv


def painted_label(
    assets: Assets, uv: Float[Tensor, "m 2"], hair_paint: Float[Tensor, " m"]
) -> Int[Tensor, " m"]:
    """Return labels of texture coordinates, with brows, beards, scalps and clothes as they are painted."""
    found = nearest_label(assets, uv)
    brow = (uv[:, 1] * assets.atlas.label.shape[0] / assets.atlas.size) < brow_line(assets)
    hairy = hair_paint > torch.where(brow, 0.25, 0.4)
    face = (found == SKIN) & hairy & (hair_paint <= 1.2)
    found = torch.where(face, torch.where(brow, BROWS, FACIAL_HAIR), found)
    found = torch.where(hair_paint > 1.2, HAIR, found)
    return torch.where(hair_paint < -0.5, LABELS.index("clothes"), found)


def brow_line(assets: Assets) -> float:
    """Return v of the head's square above which painted hair is brows."""
    at = assets.atlas.points
    middle = (at[36:48, 1].mean() + at[30, 1]) / 2
    d = (assets.atlas.position[: assets.atlas.size, assets.atlas.size // 2, 1] - middle).abs()
    inside = assets.atlas.region["skin"][: assets.atlas.size, assets.atlas.size // 2] > 0
    return float(torch.where(inside, d, torch.inf).argmin()) / assets.atlas.size
