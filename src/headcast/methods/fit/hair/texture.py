"""Texture the hair's surface: observed colours, mirrored ones and strand-like noise elsewhere."""

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
from headcast.methods.fit.hair.fill import complete_colours
from headcast.methods.fit.hair.grid import normals
from headcast.methods.fit.hair.rings import strand_noise
from headcast.methods.fit.hair.surface import HairSurface, rim_distance
from headcast.methods.fit.hair.texels import HairTexels
from headcast.observe.outlines import eroded
from headcast.observe.types import Masks, Observation
from headcast.render.geometry import visibility
from headcast.texture.delight import shading_at

__all__ = ["HairTexelObservations", "hair_shell", "merge_colours"]

WIDTH, HEIGHT = 1024, 512
EPS = 2e-3
MASK_EROSION = 0.008  # face heights: nearer to the outline colours are mixed with the background
OPAQUE_DEPTH_M = 0.015  # inside the rim, from which the surface is opaque
MIN_CELL_ALPHA = 40  # of 255; cells of the surface without a more opaque texel are removed
HANGING_FROM_Y = -0.06  # height under which hair hangs free, head frame, metres
MIN_COVER = 0.1  # of texels that need a colour


@dataclass(frozen=True)
class HairTexelObservations:
    """One photo on the hair's texture: linear albedo and its confidence, opacity and its confidence.

    ``visible``: 0..1 how well the photo shows a texel, hair or not.
    """

    albedo: Float[np.ndarray, "h w 3"]
    confidence: Float[np.ndarray, "h w"]
    alpha: Float[np.ndarray, "h w"]
    alpha_confidence: Float[np.ndarray, "h w"]
    visible: Float[np.ndarray, "h w"]


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
        lights: spherical harmonics of each photo, to de-light it by.
        rng: of the strand noise.
    """
    masked = [(o, x) for o, x in zip(observations, lights, strict=True) if o.masks is not None]
    views = [_observe_texels(surface, o, head, x) for o, x in masked]
    confidence = np.sum([g.confidence for g in views], 0, dtype=np.float32)
    albedo = merge_colours(views)
    across, down = _texel_extent(surface)
    wanted = _upsample(surface.cover) > MIN_COVER
    known = np.minimum(confidence, 1)
    visible = np.max([g.visible for g in views], 0)
    length = _upsample(_hanging_depth(surface))
    texels = HairTexels(np.log(albedo + EPS), known, visible, wanted, length, across, down)
    colour = complete_colours(texels, rng)
    alpha = _opacity(surface, views, strand_noise((HEIGHT, WIDTH), rng)).astype(np.float32)
    rgba = np.concatenate([linear_to_srgb(np.exp(colour) - np.float32(EPS)), alpha[..., None]], -1)
    texture = (rgba.clip(0, 1) * 255).round().astype(np.uint8)
    return _build_shell(surface, texture)


class _TexelSurface(NamedTuple):
    """The hair surface at its texels (h, w): points, unit normals, and cosines to the camera."""

    normal: np.ndarray
    points: np.ndarray
    facing: np.ndarray


class _MaskSamples(NamedTuple):
    """Masks at texels: person and hair eroded, hair, person."""

    eroded_person: np.ndarray
    eroded_hair: np.ndarray
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
    is_visible = _visible_texels(surface, observation, head, posed, camera, points)
    eroded_person, eroded_hair, hair, person = _sample_masks(observation, masks, pixel)
    colour = srgb_table()[sample_lanczos(observation.image, pixel)]
    albedo = colour / shading_at(normal.reshape(-1, 3), light).astype(np.float32)
    flat_facing = facing.reshape(-1)
    visible = is_visible * smoothstep(flat_facing, 0.1, 0.3)
    seen = visible * smoothstep(flat_facing, 0.1, 0.45) * smoothstep(eroded_person, 0.6, 0.95)
    confidence = seen * smoothstep(hair, 0.4, 0.9) * (0.3 + 0.7 * smoothstep(eroded_hair, 0.3, 0.8))
    shape = facing.shape
    return HairTexelObservations(
        albedo=albedo.reshape(*shape, 3),
        confidence=confidence.reshape(shape).astype(np.float32),
        alpha=smoothstep(hair, 0.2, 0.6).reshape(shape),
        alpha_confidence=(visible * smoothstep(person, 0.5, 0.9)).reshape(shape),
        visible=(seen * smoothstep(flat_facing, 0.3, 0.6)).reshape(shape).astype(np.float32),
    )


def _sample_masks(observation: Observation, masks: Masks, pixel: np.ndarray) -> _MaskSamples:
    """Sample the masks, and the same eroded, at pixels."""
    inner = [eroded(observation, x, MASK_EROSION) for x in (masks.person, masks.hair)]
    layers = np.stack([*inner, masks.hair, masks.person], -1).astype(np.float32)
    eroded_person, eroded_hair, hair, person = np.moveaxis(sample_bilinear(layers, pixel), -1, 0)
    return _MaskSamples(eroded_person, eroded_hair, hair, person)


def _visible_texels(
    surface: HairSurface,
    observation: Observation,
    head: HeadModel,
    posed: np.ndarray,
    camera: Camera,
    points: np.ndarray,
) -> np.ndarray:
    """Return the texels that neither head nor hair occludes, (h w,)."""
    faces, _ = _triangles(*surface.grid.shape)
    vertices = torch.cat([head(observation.params), torch.from_numpy(posed.reshape(-1, 3))])
    all_faces = torch.cat([head.faces, faces + len(head.neutral)])
    scale = min(1.0, 768 / max(camera.width, camera.height))
    return visibility(
        torch.from_numpy(points.reshape(-1, 3)), camera.scaled(scale), vertices, all_faces, tolerance=0.005
    ).numpy()


def _texel_surface(posed: np.ndarray, camera: Camera) -> _TexelSurface:
    """Return the surface at the texels from its grid of posed points."""
    normal = _upsample(normals(posed).astype(np.float32))
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    points = _upsample(posed)
    to_camera = camera.center.numpy().astype(np.float32) - points
    facing = (normal * to_camera).sum(-1) / np.maximum(np.linalg.norm(to_camera, axis=-1), 1e-6)
    return _TexelSurface(normal, points, facing)


def merge_colours(views: list[HairTexelObservations]) -> Float[np.ndarray, "h w 3"]:
    """Merge colours of photos in the first one's tone; mostly the best view, so that strands stay sharp."""
    weights = view_weights([g.confidence for g in views])
    toned = [s[..., None] * _tone_factor(views[0], g) * g.albedo for s, g in zip(weights, views, strict=True)]
    return np.sum(toned, 0)


def _tone_factor(first: HairTexelObservations, other: HairTexelObservations) -> Float[np.ndarray, "3"]:
    """Return the factor from another photo's hair colour to the first one's."""
    common = (first.confidence > 0.5) & (other.confidence > 0.5)
    if other is first or common.sum() < 500:
        return np.ones(3, np.float32)
    ratio = first.albedo[common] / np.maximum(other.albedo[common], 1e-3)
    return np.median(ratio, 0).clip(0.5, 2.0).astype(np.float32)


def _upsample(values: Float[np.ndarray, "n m *c"]) -> Float[np.ndarray, "h w *c"]:
    """Resample a grid's values at the texture's texels."""
    import cv2

    n, m = values.shape[:2]
    wrapped = np.concatenate([values, values[:, :1]], 1).astype(np.float32)
    x = np.repeat(((np.arange(WIDTH, dtype=np.float32) + 0.5) / WIDTH * m)[None], HEIGHT, 0)
    y = np.repeat(((np.arange(HEIGHT, dtype=np.float32) + 0.5) / HEIGHT * (n - 1))[:, None], WIDTH, 1)
    return cv2.remap(wrapped, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _hanging_depth(surface: HairSurface) -> Float[np.ndarray, "n m"]:
    """Return metres by which hair hangs below every cell."""
    lowest = np.where(surface.cover > 0.5, surface.grid.heights[:, None], np.inf).min(0)
    below_head = np.minimum(surface.grid.heights[:, None], HANGING_FROM_Y)
    return np.clip(HANGING_FROM_Y - np.minimum(lowest, HANGING_FROM_Y), 0, 1)[None] * np.ones_like(below_head)


def _texel_extent(surface: HairSurface) -> tuple[Float[np.ndarray, "h"], Float[np.ndarray, "h"]]:
    """Return a texel's mean extent along and across its row, metres."""
    points = surface.grid.points(surface.reach)
    n, m = surface.grid.shape
    across = np.linalg.norm(np.roll(points, -1, 1) - points, axis=-1).mean(1) * (m / WIDTH)
    down = np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(1) * ((n - 1) / HEIGHT)
    y = (np.arange(HEIGHT) + 0.5) / HEIGHT * (n - 1)
    return np.interp(y, np.arange(n), across), np.interp(y, np.arange(n - 1) + 0.5, down)


def _opacity(
    surface: HairSurface, views: list[HairTexelObservations], noise: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Return opacity 0..1: from the photos' hair masks where known, soft strands at the rim elsewhere."""
    cover = _upsample(surface.cover)
    strand_edge = smoothstep(cover + 0.06 * noise, 0.3, 0.65)
    confidence = np.sum([g.alpha_confidence for g in views], 0)
    observed = np.sum([g.alpha_confidence * g.alpha for g in views], 0) / np.maximum(confidence, 1e-6)
    confidence = np.minimum(confidence, 1)
    inside_weight = smoothstep(_upsample(rim_distance(surface.cover)), OPAQUE_DEPTH_M / 2, OPAQUE_DEPTH_M)
    return np.maximum(confidence * observed + (1 - confidence) * strand_edge, inside_weight) * smoothstep(
        cover, 0.1, 0.3
    )


def _triangles(n: int, m: int) -> tuple[Int[Tensor, "f 3"], Int[Tensor, "f 3"]]:
    """Return triangles of the grid: of its vertices, and of its texture's corners (one more column)."""

    def cells(columns: int) -> np.ndarray:
        index = np.arange(n * columns).reshape(n, columns)
        a, b = index[:-1], index[1:]
        a2, b2 = np.roll(a, -1, 1), np.roll(b, -1, 1)
        two = np.stack([np.stack([a, b, b2], -1), np.stack([a, b2, a2], -1)], 2)
        return two[:, :m].reshape(-1, 3)

    return torch.from_numpy(cells(m)), torch.from_numpy(cells(m + 1))


def _build_shell(surface: HairSurface, texture: UInt8[np.ndarray, "h w 4"]) -> Shell:
    """Build the textured mesh without transparent cells."""
    import cv2

    n, m = surface.grid.shape
    faces, faces_uv = _triangles(n, m)
    alpha = cv2.dilate(texture[..., 3], np.ones((HEIGHT // n, WIDTH // m), np.uint8))
    x, y = (np.arange(m) + 0.5) / m * WIDTH, (np.arange(n - 1) + 0.5) / (n - 1) * HEIGHT
    visible = alpha[np.ix_(y.astype(int), x.astype(int))] > MIN_CELL_ALPHA
    kept_faces = torch.from_numpy(np.repeat(visible.reshape(-1), 2))
    u, v = np.meshgrid(np.arange(m + 1) / m, np.arange(n) / (n - 1))
    return Shell(
        name="hair",
        rest=torch.from_numpy(surface.grid.points(surface.reach).reshape(-1, 3)).float(),
        faces=faces[kept_faces],
        uv=torch.from_numpy(np.stack([u, v], -1).reshape(-1, 2)).float(),
        faces_uv=faces_uv[kept_faces],
        skin_weights=torch.from_numpy(np.repeat(surface.grid.weights, m, 0)).float(),
        texture=texture,
    )
