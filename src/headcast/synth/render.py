"""From posed people under light to images with ground truth: rasterize, shade samples, peel hair, resolve."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from headcast.image import linear_to_srgb
from headcast.render.types import Fragments
from headcast.synth.assets import Assets
from headcast.synth.config import LABELS
from headcast.synth.fur import BEARD, BUZZ, CURLS, LASH
from headcast.synth.layers import (
    Layers,
    Points,
    Scene,
    average_cells,
    lamp_shadows,
    mask_fragments,
    rasterize_layers,
    smooth_pixels,
)
from headcast.synth.lights import sky_irradiance
from headcast.synth.pbr import shade_skin
from headcast.synth.shade import (
    Shadows,
    fetch,
    hair_alpha,
    perturb_normals,
    shade_strands,
    shade_surface,
    strands,
)
from headcast.synth.views import Views

__all__ = ["Truth", "render_scene"]

HAIR, FACIAL_HAIR, BROWS, SKIN = (LABELS.index(n) for n in ("hair", "facial_hair", "brows", "skin"))
FLESHY = tuple(
    LABELS.index(n) for n in ("skin", "nose", "ears", "neck", "lips", "brows", "facial_hair", "mouth")
)


@dataclass(frozen=True)
class Truth:
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


def render_scene(assets: Assets, scene: Scene, antialias: int, layers: int) -> Truth:
    """Render all images of a scene.

    A pixel whose samples lie on one smooth piece of the bust, with no hair before it, is shaded once, at its
    centre; the others at every sample.
    """
    n, size = len(scene.scene), scene.views.size
    shadows = lamp_shadows(assets, scene)
    fine = scene.views.scaled(antialias)
    solid, hair = rasterize_layers(assets, scene, fine, layers)
    centre = rasterize_layers(assets, scene, scene.views, layers)
    samples = Layers.empty(solid.triangle.numel(), assets.device)
    for layer in hair:
        shade_hair(assets, scene, fine, shadows, layer, samples)
    through = samples.through.view(n, size * antialias, size * antialias)
    smooth = smooth_pixels(assets, solid, centre[0], through, antialias)
    wide = smooth.repeat_interleave(antialias, 1).repeat_interleave(antialias, 2)
    shade_solid(assets, scene, fine, shadows, mask_fragments(solid, ~wide), samples)
    once = Layers.empty(n * size * size, assets.device)
    small = torch.nn.functional.avg_pool2d(scene.textures.permute(0, 3, 1, 2), antialias).permute(0, 2, 3, 1)
    shade_solid(
        assets,
        replace(scene, textures=small.contiguous()),
        scene.views,
        shadows,
        mask_fragments(centre[0], smooth),
        once,
    )
    value = average_cells(samples.value.view(n, size * antialias, size * antialias, 13), antialias)
    value = torch.where(smooth[..., None], once.value.view(value.shape), value)
    alpha = torch.where(smooth, 1.0, 1 - average_cells(through, antialias))
    rgb = value[..., :3] + (1 - alpha)[..., None] * scene.background
    colours = value / alpha.clamp(min=1e-4)[..., None]
    shown = (alpha > 1e-3)[..., None]
    label, depth, uv = centre_truth(assets, scene, *centre)
    return Truth(
        rgb=linear_to_srgb(rgb.clamp(0, 1)),
        alpha=alpha,
        depth=depth,
        normal=normalize(colours[..., 6:9], dim=-1) * shown,
        geometric_normal=normalize(colours[..., 9:12], dim=-1) * shown,
        uv=uv,
        albedo=(colours[..., 3:6] * shown).clamp(0, 1),
        specular=colours[..., 12] * shown[..., 0],
        label=label,
    )


def shade_solid(
    assets: Assets, scene: Scene, views: Views, shadows: Shadows, fragments: Fragments, samples: Layers
) -> None:
    """Shade the bust and composite it behind the hair."""
    p = Points.of(fragments, scene.scene)
    show = samples.through[p.at] > 0.004
    p = Points(*(x[show] for x in (p.at, p.image, p.scene, p.face, p.bary)))
    f, bust = scene.figure, assets.bust
    sky = sky_irradiance(scene.light.sky, f.normals)
    facts = torch.cat([f.vertices, f.normals, f.tangents, sky, f.openness[..., None]], -1)
    x, n, t, s, open_ = p.over(facts, bust.faces[p.face]).split((3, 3, 3, 3, 1), -1)
    uv = p.uv(bust.uv, bust.faces_uv)
    texel = fetch(scene.textures, scene.owner[p.image], uv)
    geometric = normalize(n, dim=-1)
    view = normalize(views.centers[p.image] - x, dim=-1)
    facing = (geometric * view).sum(-1, keepdim=True)
    geometric = torch.where((facing < 0) & (bust.kind[p.face] == 1)[:, None], -geometric, geometric)
    normal = perturb_normals(geometric, t, texel[:, 3:5])
    light = scene.light.lamps(p.scene)
    shadow = shadows.light(p.scene, x, geometric, light.key, light.key_size, smooth=scene.pbr)
    label = nearest_label(assets, uv)
    flesh = (torch.isin(label, torch.tensor(FLESHY, device=label.device)) & (texel[:, 7] > -0.5)).float()
    openness = open_[:, 0]
    inside = (label == LABELS.index("mouth")) | (label == LABELS.index("teeth"))
    shadow = torch.where(inside, shadow * openness, shadow)
    if scene.pbr:
        sky = scene.light.sky[p.scene]
        bare, gloss = texel[:, :3], (texel[:, 5], texel[:, 6])
        colour = shade_skin(light, sky, bare, normal, geometric, view, openness, shadow, *gloss, flesh)
    else:
        colour = shade_surface(
            light, texel[:, :3], normal, view, s, openness, shadow, texel[:, 5], texel[:, 6], flesh
        )
    values = torch.cat([colour, texel[:, :3], normal, geometric, texel[:, 5:6]], -1)
    samples.put(p.at, values, torch.ones_like(openness))


def nearest_label(assets: Assets, uv: Float[Tensor, "m 2"]) -> Int[Tensor, " m"]:
    """Return the label of the nearest texel."""
    h, w = assets.atlas.label.shape
    x, y = (uv[:, 0] * w).long().clamp(0, w - 1), (uv[:, 1] * h).long().clamp(0, h - 1)
    return assets.atlas.label[y, x].long()


def hair_points(assets: Assets, scene: Scene, layer: Fragments) -> tuple[Points, dict[str, Tensor]]:
    """Interpolate hair attributes at the covered samples of a layer."""
    p = Points.of(layer, scene.scene)
    f = scene.figure
    corners = f.hair_faces[p.scene, p.face]
    sky = sky_irradiance(scene.light.sky, f.hair_normals)
    values = p.over(torch.cat([f.hair, f.hair_normals, f.hair_flow, sky, f.hair_facts], -1), corners)
    x, n, flow, sky, rest, cover, level, kind, _ = values.split((3, 3, 3, 3, 3, 1, 1, 1, 1), -1)
    kind = kind[:, 0].round().long()
    pattern = strands(assets.strand_noise, rest, (kind == BUZZ) | (kind == BEARD) | (kind == CURLS))
    alpha = hair_alpha(pattern, rest, scene.hair_cut[p.image], cover[:, 0], level[:, 0], kind)
    return p, {
        "x": x,
        "n": n,
        "flow": flow,
        "sky": sky,
        "level": level[:, 0],
        "kind": kind,
        "pattern": pattern,
        "alpha": alpha,
    }


def shade_hair(
    assets: Assets, scene: Scene, views: Views, shadows: Shadows, layer: Fragments, samples: Layers
) -> None:
    """Shade a layer of hair and composite it behind those in front."""
    p, h = hair_points(assets, scene, layer)
    show = (h["alpha"] > 0.004) & (samples.through[p.at] > 0.004)
    p = Points(*(x[show] for x in (p.at, p.image, p.scene, p.face, p.bary)))
    h = {name: x[show] for name, x in h.items()}
    normal, flow = normalize(h["n"], dim=-1), normalize(h["flow"], dim=-1)
    view = normalize(views.centers[p.image] - h["x"], dim=-1)
    facing = (normal * view).sum(-1, keepdim=True)
    normal = torch.where(facing < 0, -normal, normal)
    light = scene.light.lamps(p.scene)
    shadow = shadows.light(p.scene, h["x"] + 0.004 * light.key, normal, light.key, light.key_size + 0.1)
    vary = scene.hair_light[p.image]
    lightness = (h["pattern"] - 0.5) @ torch.tensor([0.7, 0.6], device=normal.device)
    colour = scene.hair_colour[p.image] * torch.exp(vary * 1.6 * lightness)[:, None]
    colour = torch.where((h["kind"] == LASH)[:, None], colour * 0.25 + 0.002, colour)
    deep = (0.42 + 0.3 * h["level"] + 0.45 * h["pattern"][:, 0]).clamp(0, 1)
    lit = shade_strands(light, colour, normal, flow, view, h["sky"], deep, shadow)
    values = torch.cat([lit, colour, normal, normal, torch.full_like(colour[:, :1], 0.6)], -1)
    samples.put(p.at, values, h["alpha"])


def centre_truth(
    assets: Assets, scene: Scene, solid: Fragments, hair: list[Fragments]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return label (uint8), depth, uv at pixel centres; hair counts where it covers more than half."""
    shape = solid.triangle.shape
    p = Points.of(solid, scene.scene)
    bust = assets.bust
    label = torch.zeros(solid.triangle.numel(), dtype=torch.long, device=assets.device)
    uv = torch.full((solid.triangle.numel(), 2), -1.0, device=assets.device)
    where = p.uv(bust.uv, bust.faces_uv)
    found = nearest_label(assets, where)
    hair_paint = fetch(scene.textures[..., 7:], scene.owner[p.image], where)[:, 0]
    brow = (where[:, 1] * assets.atlas.label.shape[0] / assets.atlas.size) < brow_line(assets)
    hairy = hair_paint > torch.where(brow, 0.25, 0.4)
    face = (found == SKIN) & hairy & (hair_paint <= 1.2)
    found = torch.where(face, torch.where(brow, BROWS, FACIAL_HAIR), found)
    found = torch.where(hair_paint > 1.2, HAIR, found)
    label[p.at] = torch.where(hair_paint < -0.5, LABELS.index("clothes"), found)
    tall = assets.atlas.label.shape[0] / assets.atlas.size
    on_head = (bust.kind[p.face] == 0) & (hair_paint > -0.5)
    uv[p.at[on_head]] = where[on_head] * torch.tensor([1.0, tall], device=uv.device)
    depth = solid.depth.reshape(-1).clone()
    through = torch.ones_like(depth)
    for layer in hair:
        q, h = hair_points(assets, scene, layer)
        lash = h["kind"] == LASH
        before = through[q.at]
        through[q.at] = before * (1 - h["alpha"] * ~lash)
        covered = (before > 0.5) & (through[q.at] <= 0.5)
        at = q.at[covered]
        depth[at] = layer.depth.reshape(-1)[at]
        label[at] = torch.where(h["kind"][covered] == BEARD, FACIAL_HAIR, HAIR)
        uv[at] = -1
    return label.view(shape).to(torch.uint8), depth.view(shape), uv.view(*shape, 2)


def brow_line(assets: Assets) -> float:
    """Return v of the head's square above which painted hair is brows."""
    at = assets.atlas.points
    middle = (at[36:48, 1].mean() + at[30, 1]) / 2
    d = (assets.atlas.position[: assets.atlas.size, assets.atlas.size // 2, 1] - middle).abs()
    inside = assets.atlas.region["skin"][: assets.atlas.size, assets.atlas.size // 2] > 0
    return float(torch.where(inside, d, torch.inf).argmin()) / assets.atlas.size
