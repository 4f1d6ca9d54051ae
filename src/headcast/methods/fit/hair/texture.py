"""The hair surface's colours: from the photos where they show it, mirrored and strand-like elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from headcast.avatar.shell import Shell
from headcast.camera import Camera, project_points
from headcast.head.model import HeadModel
from headcast.image import linear_to_srgb, sample_bilinear, sample_lanczos, srgb_table
from headcast.interpolation import smoothstep
from headcast.methods.fit.hair.coverage import view_weights
from headcast.methods.fit.hair.grid import normals
from headcast.methods.fit.hair.surface import HairSurface, rim_distance
from headcast.observe.types import Masks, Observation
from headcast.render.geometry import visibility
from headcast.texture.delight import shading_at

__all__ = ["HairTexelObservations", "hair_shell", "merge_colours", "suppress_sheen"]

WIDTH, HEIGHT = 1024, 512
EPS = 2e-3
EROSION = 0.008  # of the face's height: nearer to the outline the background mixes in
FEATHER = 20.0  # texels over which observed and completed hair are blended
DEEP = 0.015  # metres inside the rim where the surface is opaque whatever the mask says
CONTRAST = (0.06, 0.22)
SEE_THROUGH = 40  # of 255: cells of the surface that are nowhere more opaque are left out
LIGHTEST = 0.9  # quantile of the lightness of what is well visible
MIRROR_WEIGHT = 0.35  # what the other side's colour counts


@dataclass(frozen=True)
class HairTexelObservations:
    """One photo on the hair's texture: linear albedo and its confidence, opacity and its confidence."""

    albedo: Float[np.ndarray, "h w 3"]
    confidence: Float[np.ndarray, "h w"]
    alpha: Float[np.ndarray, "h w"]
    alpha_confidence: Float[np.ndarray, "h w"]


def hair_shell(
    surface: HairSurface,
    observations: list[Observation],
    head: HeadModel,
    lights: list[Float[np.ndarray, "9 3"]],
    rng: np.random.Generator,
) -> Shell:
    """Build the hair's shell with its texture.

    Args:
        head: bound to the person.
        lights: of the photos, under which albedo times shading is the photo.
        rng: of the strands where no photo shows any.
    """
    masked = [(o, x) for o, x in zip(observations, lights, strict=True) if o.masks is not None]
    views = [_observe_texels(surface, o, head, x) for o, x in masked]
    confidence = np.sum([g.confidence for g in views], 0, dtype=np.float32)
    albedo = merge_colours(views)
    noise = _strands(rng)
    colour = _complete(np.log(albedo + EPS), np.minimum(confidence, 1), noise)
    alpha = _coverage(surface, views, noise).astype(np.float32)
    rgba = np.concatenate([linear_to_srgb(np.exp(colour) - np.float32(EPS)), alpha[..., None]], -1)
    texture = (rgba.clip(0, 1) * 255).round().astype(np.uint8)
    return _as_shell(surface, texture)


class _TexelSurface(NamedTuple):
    """The hair surface at its texels (h, w): points, unit normals, and cosines to the camera."""

    normal: np.ndarray
    points: np.ndarray
    facing: np.ndarray


class _MaskSamples(NamedTuple):
    """Masks at texels: eroded ones of person and hair (``within``, ``pure``), hair and person."""

    within: np.ndarray
    pure: np.ndarray
    hair: np.ndarray
    person: np.ndarray


def _observe_texels(
    surface: HairSurface, observation: Observation, head: HeadModel, light: Float[np.ndarray, "9 3"]
) -> HairTexelObservations:
    """Sample one photo at the hair's texels."""

    masks, camera = observation.masks, observation.camera
    assert masks is not None
    posed = surface.grid.posed(surface.reach, head, observation.params).astype(np.float32)
    normal, points, facing = _texel_surface(posed, camera)
    pixel = project_points(points, camera)[0].reshape(-1, 2).astype(np.float32)
    shown = _visible_texels(surface, observation, head, posed, camera, points)
    within, pure, hair, person = _sample_masks(observation, masks, pixel)
    colour = srgb_table()[sample_lanczos(observation.image, pixel)]
    albedo = colour / shading_at(normal.reshape(-1, 3), light).astype(np.float32)
    flat = facing.reshape(-1)
    visible = shown * smoothstep(flat, 0.1, 0.3)
    confidence = (
        visible
        * smoothstep(flat, 0.1, 0.45)
        * smoothstep(within, 0.6, 0.95)
        * smoothstep(hair, 0.4, 0.9)
        * (0.3 + 0.7 * smoothstep(pure, 0.3, 0.8))
    )
    shape = facing.shape
    return HairTexelObservations(
        albedo.reshape(*shape, 3),
        confidence.reshape(shape).astype(np.float32),
        smoothstep(hair, 0.2, 0.6).reshape(shape),
        (visible * smoothstep(person, 0.5, 0.9)).reshape(shape),
    )


def _sample_masks(observation: Observation, masks: Masks, pixel: np.ndarray) -> _MaskSamples:
    """Sample the masks, and the same eroded, at pixels."""
    import cv2

    unit = float(np.linalg.norm(observation.detection.points[152] - observation.detection.points[10]))
    k = 2 * max(1, round(EROSION * unit)) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k))
    inner = [cv2.erode(x.astype(np.float32), disk) for x in (masks.person, masks.hair)]
    layers = np.stack([*inner, masks.hair, masks.person], -1).astype(np.float32)
    within, pure, hair, person = np.moveaxis(sample_bilinear(layers, pixel), -1, 0)
    return _MaskSamples(within, pure, hair, person)


def _visible_texels(
    surface: HairSurface,
    observation: Observation,
    head: HeadModel,
    posed: np.ndarray,
    camera: Camera,
    points: np.ndarray,
) -> np.ndarray:
    """Return whether nothing of head and hair hides the texels from the camera, (h w,)."""
    faces, _ = _triangles(*surface.grid.shape)
    both = torch.cat([head(observation.params), torch.from_numpy(posed.reshape(-1, 3))])
    every = torch.cat([head.faces, faces + len(head.neutral)])
    scale = min(1.0, 768 / max(camera.width, camera.height))
    return visibility(
        torch.from_numpy(points.reshape(-1, 3)), camera.scaled(scale), both, every, tolerance=0.005
    ).numpy()


def _texel_surface(posed: np.ndarray, camera: Camera) -> _TexelSurface:
    """Return the surface at the texels from its grid of posed points."""
    normal = _upsample(normals(posed).astype(np.float32))
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    points = _upsample(posed)
    to = camera.center.numpy().astype(np.float32) - points
    facing = (normal * to).sum(-1) / np.maximum(np.linalg.norm(to, axis=-1), 1e-6)
    return _TexelSurface(normal, points, facing)


def merge_colours(views: list[HairTexelObservations]) -> Float[np.ndarray, "h w 3"]:
    """Merge colours of several photos, toned like the first; the better view wins, or strands would blur."""
    weights = view_weights([g.confidence for g in views])
    toned = [s[..., None] * _tone(views[0], g) * g.albedo for s, g in zip(weights, views, strict=True)]
    return np.sum(toned, 0)


def _tone(first: HairTexelObservations, other: HairTexelObservations) -> Float[np.ndarray, "3"]:
    """Return the colour factor that makes another photo's hair look like the first's."""
    both = (first.confidence > 0.5) & (other.confidence > 0.5)
    if other is first or both.sum() < 500:
        return np.ones(3, np.float32)
    ratio = first.albedo[both] / np.maximum(other.albedo[both], 1e-3)
    return np.median(ratio, 0).clip(0.5, 2.0).astype(np.float32)


def _upsample(values: Float[np.ndarray, "n m *c"]) -> Float[np.ndarray, "h w *c"]:
    """Resample a grid's values at the texture's texels."""
    import cv2

    n, m = values.shape[:2]
    wide = np.concatenate([values, values[:, :1]], 1).astype(np.float32)
    x = np.repeat(((np.arange(WIDTH, dtype=np.float32) + 0.5) / WIDTH * m)[None], HEIGHT, 0)
    y = np.repeat(((np.arange(HEIGHT, dtype=np.float32) + 0.5) / HEIGHT * (n - 1))[:, None], WIDTH, 1)
    return cv2.remap(wide, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _complete(
    log: Float[np.ndarray, "h w 3"], confidence: Float[np.ndarray, "h w"], noise: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """Complete log albedo: observed, else the mirrored strands on the colour of the surroundings."""
    import cv2

    log = log.astype(np.float32)
    confidence = confidence * _likely(log, confidence)
    log = suppress_sheen(log, confidence)
    mirrored_confidence = confidence[:, ::-1]
    weight = confidence + MIRROR_WEIGHT * mirrored_confidence * (1 - confidence)
    both = (
        confidence[..., None] * log
        + (MIRROR_WEIGHT * mirrored_confidence * (1 - confidence))[..., None] * log[:, ::-1]
    ) / (np.maximum(weight, 1e-6)[..., None])
    base = _diffuse(both, weight)
    detail = log - _local_mean(log, confidence)
    reliable = confidence > 0.8
    deviation = float(np.median(np.abs(detail[reliable].mean(-1))) * 1.48) if reliable.sum() > 500 else 0.12
    noise = noise * np.float32(np.clip(deviation, *CONTRAST))
    mirror = cv2.GaussianBlur(mirrored_confidence, (0, 0), 4.0)[..., None]
    fill = base + mirror * detail[:, ::-1] + (1 - mirror) * noise[..., None]
    own_weight = np.minimum(confidence, cv2.GaussianBlur(confidence, (0, 0), FEATHER) ** 2)[..., None]
    return own_weight * log + (1 - own_weight) * fill


def suppress_sheen(
    log: Float[np.ndarray, "h w 3"], confidence: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """Darken stretched sheen at a slant: no lighter there than most of the well-visible hair."""
    light = log.mean(-1)
    sure = light[confidence > 0.9][::7]
    if len(sure) < 100:
        return log
    excess = np.maximum(light - np.quantile(sure, LIGHTEST), 0) * (1 - confidence)
    return log - excess[..., None].astype(np.float32)


def _likely(log: Float[np.ndarray, "h w 3"], weight: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return 0..1: how well a colour agrees with most of the hair, not with skin or background."""
    sure = log[weight > 0.9][::7]
    if len(sure) < 100:
        return np.ones_like(weight)
    middle = np.median(sure, 0)
    off = log - middle
    light = off.mean(-1, keepdims=True)
    tint = np.linalg.norm(off - light, axis=-1)
    usual = np.median(np.linalg.norm((sure - middle) - (sure - middle).mean(-1, keepdims=True), axis=-1))
    return (1 - smoothstep(tint / (2 * usual + 0.05), 1.0, 2.0)).astype(np.float32)


def _local_mean(values: Float[np.ndarray, "h w 3"], weight: Float[np.ndarray, "h w"]) -> np.ndarray:
    """Return the weighted mean around every texel."""
    import cv2

    small = (WIDTH // 4, HEIGHT // 4)
    total = cv2.resize(values * weight[..., None], small, interpolation=cv2.INTER_AREA)
    mean_weight = cv2.resize(weight, small, interpolation=cv2.INTER_AREA)
    total, mean_weight = cv2.GaussianBlur(total, (0, 0), 3.0), cv2.GaussianBlur(mean_weight, (0, 0), 3.0)
    mean = total / np.maximum(mean_weight, 1e-4)[..., None]
    return cv2.resize(mean, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def _diffuse(values: Float[np.ndarray, "h w 3"], weight: Float[np.ndarray, "h w"]) -> np.ndarray:
    """Diffuse known values into the unknown: means over larger and larger surroundings."""
    import cv2

    small = (WIDTH // 8, HEIGHT // 8)
    w = cv2.resize(weight, small, interpolation=cv2.INTER_AREA)
    v = cv2.resize(values * weight[..., None], small, interpolation=cv2.INTER_AREA)
    pad = small[0] // 2
    w, v = (np.concatenate([x[:, -pad:], x, x[:, :pad]], 1) for x in (w, v))
    total = v.sum((0, 1)) / max(float(w.sum()), 1e-6)
    out = np.broadcast_to(total, v.shape).copy()
    for sigma in (24.0, 12.0, 6.0, 3.0, 1.5):
        a, b = cv2.GaussianBlur(v, (0, 0), sigma), cv2.GaussianBlur(w, (0, 0), sigma)
        fraction = smoothstep(b, 0.02, 0.25)[..., None]
        out += fraction * (a / np.maximum(b, 1e-6)[..., None] - out)
    out = np.ascontiguousarray(out[:, pad:-pad], np.float32)
    return cv2.resize(out, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def _strands(rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Return noise of unit variance stretched along the hair."""
    import cv2

    out = np.zeros((HEIGHT // 4, WIDTH), np.float32)
    for width, length in ((0.8, 4.0), (1.6, 6.5), (4.0, 10.0)):
        white = rng.standard_normal(out.shape, np.float32)
        wide = np.concatenate([white[:, -32:], white, white[:, :32]], 1)
        soft = cv2.GaussianBlur(wide, (0, 0), sigmaX=width, sigmaY=length)[:, 32:-32]
        out += soft * np.float32((width * length) ** 0.5)
    return cv2.resize(out / out.std(), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def _coverage(
    surface: HairSurface, views: list[HairTexelObservations], noise: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Return opacity 0..1: from the photos' hair masks where known, soft strands at the rim elsewhere."""
    cover = _upsample(surface.cover)
    ragged = smoothstep(cover + 0.06 * noise, 0.3, 0.65)
    confidence = np.sum([g.alpha_confidence for g in views], 0)
    observed = np.sum([g.alpha_confidence * g.alpha for g in views], 0) / np.maximum(confidence, 1e-6)
    confidence = np.minimum(confidence, 1)
    deep = smoothstep(_upsample(rim_distance(surface.cover)), DEEP / 2, DEEP)
    return np.maximum(confidence * observed + (1 - confidence) * ragged, deep) * smoothstep(cover, 0.1, 0.3)


def _triangles(n: int, m: int) -> tuple[Int[Tensor, "f 3"], Int[Tensor, "f 3"]]:
    """Return triangles of the grid: of its vertices, and of its texture's corners (one more column)."""

    def cells(columns: int) -> np.ndarray:
        index = np.arange(n * columns).reshape(n, columns)
        a, b = index[:-1], index[1:]
        a2, b2 = np.roll(a, -1, 1), np.roll(b, -1, 1)
        two = np.stack([np.stack([a, b, b2], -1), np.stack([a, b2, a2], -1)], 2)
        return two[:, :m].reshape(-1, 3)

    return torch.from_numpy(cells(m)), torch.from_numpy(cells(m + 1))


def _as_shell(surface: HairSurface, texture: UInt8[np.ndarray, "h w 4"]) -> Shell:
    """Build the mesh, without what lies under the skin, with its texture."""
    import cv2

    n, m = surface.grid.shape
    faces, faces_uv = _triangles(n, m)
    alpha = cv2.dilate(texture[..., 3], np.ones((HEIGHT // n, WIDTH // m), np.uint8))
    x, y = (np.arange(m) + 0.5) / m * WIDTH, (np.arange(n - 1) + 0.5) / (n - 1) * HEIGHT
    visible = alpha[np.ix_(y.astype(int), x.astype(int))] > SEE_THROUGH
    keep = torch.from_numpy(np.repeat(visible.reshape(-1), 2))
    u, v = np.meshgrid(np.arange(m + 1) / m, np.arange(n) / (n - 1))
    return Shell(
        name="hair",
        rest=torch.from_numpy(surface.grid.points(surface.reach).reshape(-1, 3)).float(),
        faces=faces[keep],
        uv=torch.from_numpy(np.stack([u, v], -1).reshape(-1, 2)).float(),
        faces_uv=faces_uv[keep],
        skin_weights=torch.from_numpy(np.repeat(surface.grid.weights, m, 0)).float(),
        texture=texture,
    )
