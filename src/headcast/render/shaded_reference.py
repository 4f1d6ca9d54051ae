"""Shade a textured mesh in plain torch from the separate steps: the reference of ``shaded_numba``.

The surface is sampled ``antialias``² times a pixel. Where the samples of a pixel lie on one smooth piece of
surface, the pixel is shaded once, in the middle of its covered samples; elsewhere (a silhouette before
another surface, a seam of the texture) at every covered sample. Differentiable in texture, uv, normals,
light and vertices, except through what covers what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.camera import Camera
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.render.mesh import homogeneous_pixels, rasterize_mesh, sum_rows
from headcast.render.raster_reference import edge_normals
from headcast.render.shading import dominant_lights, ggx_specular, shade
from headcast.render.texture import Pyramid, sample_texture
from headcast.render.types import Rendering

__all__ = ["Space", "TexturedScene", "compose", "pixel_rays"]

Space = Literal["srgb", "linear"]


@dataclass(frozen=True)
class TexturedScene:
    """The arguments of ``render_textured``, checked and complete."""

    vertices: Tensor
    faces: Tensor
    normals: Tensor
    uv: Tensor
    faces_uv: Tensor
    pyramid: Pyramid
    camera: Camera
    light: Tensor | None
    gloss: Tensor | None
    openness: Tensor | None
    texture_space: Space
    colour_space: Space
    antialias: int
    near: float

    @property
    def fine_camera(self) -> Camera:
        """Return the camera whose pixels are the samples."""
        return self.camera.resized(self.camera.width * self.antialias, self.camera.height * self.antialias)


@dataclass(frozen=True)
class ShadedPoints:
    """Where to shade: pixel, weight (m,), uv (m, 2), normal (m, 3), gloss (m, 2), openness, lod (m,)."""

    pixel: Tensor
    weight: Tensor
    uv: Tensor
    normal: Tensor
    gloss: Tensor
    openness: Tensor
    lod: Tensor


def compose(scene: TexturedScene) -> Rendering:
    """Render a scene in plain torch, differentiable."""
    fragments = rasterize_mesh(scene.vertices, scene.faces, scene.fine_camera, near=scene.near)
    triangle = _by_pixel(fragments.triangle, scene.antialias)  # (pixels, samples)
    hit = triangle >= 0
    points = _points(scene, triangle, _by_pixel(fragments.barycentric, scene.antialias))
    rgba = shade_points(scene, points)
    total = sum_rows(points.pixel, rgba * points.weight[:, None], len(hit))
    height, width = scene.camera.height, scene.camera.width
    rgb = _convert_space(total[:, :3], _resolve_space(scene), scene.colour_space).clamp(0, 1)
    any_hit = hit.any(1)
    alpha = hit.to(rgba.dtype).mean(1) * torch.where(total[:, 3] < 0.99999, total[:, 3], 1)
    z = torch.where(hit, _by_pixel(fragments.depth, scene.antialias), torch.inf).amin(1)
    return Rendering(
        (rgb * any_hit[:, None]).view(height, width, 3),
        alpha.view(height, width),
        torch.where(any_hit, z, 0).view(height, width),
        scene.colour_space,
    )


class _SampleValues(NamedTuple):
    """Values at samples (pixels, samples, channels)."""

    uv: Tensor
    normal: Tensor
    gloss: Tensor
    openness: Tensor


class _PixelExtent(NamedTuple):
    """Of each pixel: its middle in uv, texels² of a pixel at each sample, whether one shading will do."""

    middle: Tensor
    area: Tensor
    once: Tensor


def _points(scene: TexturedScene, triangle: Tensor, barycentric: Tensor) -> ShadedPoints:
    """Select the points to shade: per pixel or per sample."""
    hit = triangle >= 0
    face = triangle.clamp(min=0).long()
    b = barycentric * hit[..., None]
    count = hit.sum(1).clamp(min=1).to(b.dtype)

    uv, normal, gloss, openness = _interpolate(scene, face, b, hit)
    middle, area, once = _pixel_extent(scene, triangle, uv, hit, count)
    each = hit & ~once[:, None]
    pixel = torch.arange(len(hit), device=hit.device)
    weight = 1 / count[:, None].expand(hit.shape)

    def joined(mean: Tensor, sample: Tensor) -> Tensor:
        return torch.cat([mean[once], sample[each]])

    area = joined(area.sum(1) / count, area)
    return ShadedPoints(
        pixel=joined(pixel, pixel[:, None].expand(hit.shape)),
        weight=joined(torch.ones_like(count), weight),
        uv=joined(middle, uv),
        normal=joined(normal.sum(1), normal),
        gloss=joined(gloss.sum(1) / count[:, None], gloss),
        openness=joined(openness.sum(1) / count[:, None], openness)[:, 0],
        lod=(area.clamp(min=1e-12).log2() / 2 - 1).clamp(min=0),
    )


def _pixel_extent(
    scene: TexturedScene, triangle: Tensor, uv: Tensor, hit: Tensor, count: Tensor
) -> _PixelExtent:
    """Measure the samples of each pixel in the texture."""
    size = torch.tensor(scene.pyramid.size).to(uv)
    jacobian = _uv_jacobian(scene, triangle) * size[:, None]  # (pixels, samples, 2, 2) texels per pixel
    reach = torch.where(hit, jacobian.abs().sum(-1).amax(-1), torch.inf).amin(1)
    middle = uv.sum(1) / count[:, None]
    spread = ((uv - middle[:, None]).abs() * size * hit[..., None]).amax((1, 2))
    area = torch.linalg.det(jacobian).abs() * hit
    once = (spread <= 2 * reach + 0.5) & hit.any(1)
    return _PixelExtent(middle, area, once)


def _interpolate(scene: TexturedScene, face: Tensor, b: Tensor, hit: Tensor) -> _SampleValues:
    """Interpolate the surface's values at the samples."""

    def over(attributes: Tensor, index: Tensor) -> Tensor:
        return (attributes[index[face].long()] * b.to(attributes.dtype)[..., None]).sum(-2)

    uv, normal = over(scene.uv, scene.faces_uv), over(scene.normals, scene.faces)
    gloss = torch.zeros_like(uv) if scene.gloss is None else over(scene.gloss.to(uv), scene.faces)
    openness = hit[..., None].to(uv)
    if scene.openness is not None:
        openness = over(scene.openness.to(uv)[:, None], scene.faces)
    return _SampleValues(uv, normal, gloss, openness)


def shade_points(scene: TexturedScene, points: ShadedPoints) -> Float[Tensor, "m 4"]:
    """Compute colour (in the space samples are averaged in) and coverage at points."""
    full, *levels = scene.pyramid.levels
    rgba = sample_texture(full, points.uv, mode="bicubic", levels=levels, lod=points.lod).clamp(0, 1)
    coverage = rgba[:, 3:] if rgba.shape[1] == 4 else torch.ones_like(rgba[:, :1])
    rgb = _convert_space(rgba[:, :3], scene.texture_space, _resolve_space(scene))
    if scene.light is not None:
        n = torch.nn.functional.normalize(points.normal, dim=-1).to(rgb)
        rgb = rgb * shade(n, scene.light) * points.openness[:, None]
        if scene.gloss is not None:
            view = -pixel_rays(scene.camera).to(n)[points.pixel]
            for direction, colour in zip(*dominant_lights(scene.light), strict=True):
                towards = direction.to(n).expand_as(n)
                shine = ggx_specular(n, view, towards, points.gloss[:, 0], points.gloss[:, 1])
                rgb = rgb + (shine * points.openness)[:, None] * colour
    return torch.cat([rgb, coverage], 1)


def pixel_rays(camera: Camera) -> Float[Tensor, "n 3"]:
    """Return unit world directions through the pixel centres, row by row."""
    y, x = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
    d = torch.stack([x, y, torch.ones_like(x)], -1).reshape(-1, 3).to(camera.K)
    world = d @ torch.linalg.inv(camera.K).T @ camera.cam_from_world[:3, :3]
    return torch.nn.functional.normalize(world, dim=-1)


def _uv_jacobian(scene: TexturedScene, triangle: Tensor) -> Tensor:
    """Compute d uv / d pixel at the samples, (pixels, samples, 2 of uv, 2 of xy), in uv per full pixel."""
    n = scene.antialias
    fine = scene.fine_camera
    points = homogeneous_pixels(scene.vertices, fine)
    normals = edge_normals(points, scene.faces.long())
    face = triangle.clamp(min=0).long()
    pixel, sample = torch.arange(len(face))[:, None], torch.arange(n * n)
    x = pixel % scene.camera.width * n + sample % n + 0.5
    y = pixel // scene.camera.width * n + sample // n + 0.5
    d = torch.stack([x, y, torch.ones_like(x)], -1).to(points)
    edges = normals[face]  # (pixels, samples, 3 corners, 3)
    e = (edges * d[..., None, :]).sum(-1)
    total = e.sum(-1)[..., None]
    corner_uv = scene.uv[scene.faces_uv.long()].to(points)[face]
    uv = (corner_uv * (e / total)[..., None]).sum(-2)
    slope = edges[..., :2]  # d e / d xy
    j = corner_uv.transpose(-1, -2) @ slope - uv[..., None] * slope.sum(-2)[..., None, :]
    return (j / total[..., None] * n * (triangle >= 0)[..., None, None]).to(scene.uv.dtype)


def _resolve_space(scene: TexturedScene) -> Space:
    return scene.texture_space if scene.light is None else "linear"


def _convert_space(rgb: Tensor, given: Space, wanted: Space) -> Tensor:
    if given == wanted:
        return rgb
    return srgb_to_linear(rgb) if wanted == "linear" else linear_to_srgb(rgb)


def _by_pixel(samples: Tensor, n: int) -> Tensor:
    """Reshape (n H, n W, ...) samples to (H W, n n, ...)."""
    h, w, *rest = samples.shape
    cells = samples.reshape(h // n, n, w // n, n, *rest).transpose(1, 2)
    return cells.reshape(h // n * (w // n), n * n, *rest)
