"""Render a textured mesh in plain torch, the reference implementation of ``shaded_numba``.

The mesh is rasterized with ``antialias``² samples per pixel. Where the covered samples of a pixel are
neighbours in the texture, the pixel is shaded once, at their mean; elsewhere (an occlusion boundary, a seam
of the texture) every covered sample is shaded. Differentiable in texture, uv, normals, light and vertices,
except through visibility.
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

__all__ = ["Space", "TexturedScene", "pixel_rays", "render_textured_reference"]

Space = Literal["srgb", "linear"]


@dataclass(frozen=True)
class TexturedScene:
    """Validated arguments of ``render_textured``, which documents them."""

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
        """Return the supersampled camera: one pixel per sample."""
        return self.camera.resized(self.camera.width * self.antialias, self.camera.height * self.antialias)


@dataclass(frozen=True)
class ShadedPoints:
    """Surface points to shade.

    Attributes:
        pixel: (m,) index of the pixel, row by row.
        weight: (m,) of the point in its pixel; the weights of a pixel add up to 1.
        uv: (m, 2). normal: (m, 3), not normalized.
        gloss: (m, 2) roughness and reflectance.
        openness: (m,) fraction of the light that is not occluded.
        lod: (m,) level of the texture's mip pyramid.
    """

    pixel: Tensor
    weight: Tensor
    uv: Tensor
    normal: Tensor
    gloss: Tensor
    openness: Tensor
    lod: Tensor


def render_textured_reference(scene: TexturedScene) -> Rendering:
    """Render a scene with straight alpha, differentiably (see the module)."""
    fragments = rasterize_mesh(scene.vertices, scene.faces, scene.fine_camera, near=scene.near)
    triangle = _group_by_pixel(fragments.triangle, scene.antialias)  # (pixels, samples)
    is_covered = triangle >= 0
    points = _select_points(scene, triangle, _group_by_pixel(fragments.barycentric, scene.antialias))
    rgba = shade_points(scene, points)
    colour_sum = sum_rows(points.pixel, rgba * points.weight[:, None], len(is_covered))
    height, width = scene.camera.height, scene.camera.width
    rgb = _convert_space(colour_sum[:, :3], _shading_space(scene), scene.colour_space).clamp(0, 1)
    any_covered = is_covered.any(1)
    alpha = is_covered.to(rgba.dtype).mean(1) * torch.where(colour_sum[:, 3] < 0.99999, colour_sum[:, 3], 1)
    depth = torch.where(is_covered, _group_by_pixel(fragments.depth, scene.antialias), torch.inf).amin(1)
    return Rendering(
        (rgb * any_covered[:, None]).view(height, width, 3),
        alpha.view(height, width),
        torch.where(any_covered, depth, 0).view(height, width),
        scene.colour_space,
    )


class _SampleValues(NamedTuple):
    """Interpolated vertex attributes at the samples, each (pixels, samples, channels)."""

    uv: Tensor
    normal: Tensor
    gloss: Tensor
    openness: Tensor


class _PixelExtent(NamedTuple):
    """Extent of each pixel in the texture.

    Attributes:
        uv_centre: (pixels, 2), mean of the covered samples.
        texel_area: (pixels, samples), area of a pixel in texels, at each sample.
        shade_once: (pixels,), whether one shading point stands for all samples.
    """

    uv_centre: Tensor
    texel_area: Tensor
    shade_once: Tensor


def _select_points(scene: TexturedScene, triangle: Tensor, barycentric: Tensor) -> ShadedPoints:
    """Select the points to shade: one per pixel, or every covered sample."""
    is_covered = triangle >= 0
    face = triangle.clamp(min=0).long()
    weights = barycentric * is_covered[..., None]
    count = is_covered.sum(1).clamp(min=1).to(weights.dtype)

    uv, normal, gloss, openness = _interpolate_vertices(scene, face, weights, is_covered)
    uv_centre, texel_area, shade_once = _pixel_extent(scene, triangle, uv, is_covered, count)
    shade_singly = is_covered & ~shade_once[:, None]
    pixel = torch.arange(len(is_covered), device=is_covered.device)
    weight = 1 / count[:, None].expand(is_covered.shape)

    def select_values(per_pixel: Tensor, per_sample: Tensor) -> Tensor:
        return torch.cat([per_pixel[shade_once], per_sample[shade_singly]])

    texel_area = select_values(texel_area.sum(1) / count, texel_area)
    return ShadedPoints(
        pixel=select_values(pixel, pixel[:, None].expand(is_covered.shape)),
        weight=select_values(torch.ones_like(count), weight),
        uv=select_values(uv_centre, uv),
        normal=select_values(normal.sum(1), normal),
        gloss=select_values(gloss.sum(1) / count[:, None], gloss),
        openness=select_values(openness.sum(1) / count[:, None], openness)[:, 0],
        lod=(texel_area.clamp(min=1e-12).log2() / 2 - 1).clamp(min=0),
    )


def _pixel_extent(
    scene: TexturedScene, triangle: Tensor, uv: Tensor, is_covered: Tensor, count: Tensor
) -> _PixelExtent:
    """Compute the extent of each pixel in the texture from its samples."""
    size = torch.tensor(scene.pyramid.size).to(uv)
    jacobian = _uv_jacobian(scene, triangle) * size[:, None]  # (pixels, samples, 2, 2) texels per pixel
    pixel_step = torch.where(is_covered, jacobian.abs().sum(-1).amax(-1), torch.inf).amin(1)
    uv_centre = uv.sum(1) / count[:, None]
    spread = ((uv - uv_centre[:, None]).abs() * size * is_covered[..., None]).amax((1, 2))
    texel_area = torch.linalg.det(jacobian).abs() * is_covered
    shade_once = (spread <= 2 * pixel_step + 0.5) & is_covered.any(1)
    return _PixelExtent(uv_centre, texel_area, shade_once)


def _interpolate_vertices(
    scene: TexturedScene, face: Tensor, weights: Tensor, is_covered: Tensor
) -> _SampleValues:
    """Interpolate vertex attributes at the samples, zero where nothing is covered."""

    def interpolate(attributes: Tensor, index: Tensor) -> Tensor:
        return (attributes[index[face].long()] * weights.to(attributes.dtype)[..., None]).sum(-2)

    uv, normal = interpolate(scene.uv, scene.faces_uv), interpolate(scene.normals, scene.faces)
    gloss = torch.zeros_like(uv) if scene.gloss is None else interpolate(scene.gloss.to(uv), scene.faces)
    openness = is_covered[..., None].to(uv)
    if scene.openness is not None:
        openness = interpolate(scene.openness.to(uv)[:, None], scene.faces)
    return _SampleValues(uv, normal, gloss, openness)


def shade_points(scene: TexturedScene, points: ShadedPoints) -> Float[Tensor, "m 4"]:
    """Compute colour and the texture's alpha at points; linear if lit, else as the texture."""
    base, *levels = scene.pyramid.levels
    rgba = sample_texture(base, points.uv, mode="bicubic", levels=levels, lod=points.lod).clamp(0, 1)
    coverage = rgba[:, 3:] if rgba.shape[1] == 4 else torch.ones_like(rgba[:, :1])
    rgb = _convert_space(rgba[:, :3], scene.texture_space, _shading_space(scene))
    if scene.light is not None:
        normal = torch.nn.functional.normalize(points.normal, dim=-1).to(rgb)
        rgb = rgb * shade(normal, scene.light) * points.openness[:, None]
        if scene.gloss is not None:
            view = -pixel_rays(scene.camera).to(normal)[points.pixel]
            for direction, colour in zip(*dominant_lights(scene.light), strict=True):
                to_light = direction.to(normal).expand_as(normal)
                specular = ggx_specular(normal, view, to_light, points.gloss[:, 0], points.gloss[:, 1])
                rgb = rgb + (specular * points.openness)[:, None] * colour
    return torch.cat([rgb, coverage], 1)


def pixel_rays(camera: Camera) -> Float[Tensor, "n 3"]:
    """Return unit world directions through the pixel centres, row by row."""
    y, x = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
    pixel = torch.stack([x, y, torch.ones_like(x)], -1).reshape(-1, 3).to(camera.K)
    world = pixel @ torch.linalg.inv(camera.K).T @ camera.cam_from_world[:3, :3]
    return torch.nn.functional.normalize(world, dim=-1)


def _uv_jacobian(scene: TexturedScene, triangle: Tensor) -> Tensor:
    """Compute d uv / d xy at the samples, (pixels, samples, 2, 2), in uv per pixel of the output."""
    n = scene.antialias
    fine = scene.fine_camera
    points = homogeneous_pixels(scene.vertices, fine)
    normals = edge_normals(points, scene.faces.long())
    face = triangle.clamp(min=0).long()
    pixel, sample = torch.arange(len(face))[:, None], torch.arange(n * n)
    x = pixel % scene.camera.width * n + sample % n + 0.5
    y = pixel // scene.camera.width * n + sample // n + 0.5
    centre = torch.stack([x, y, torch.ones_like(x)], -1).to(points)
    face_edges = normals[face]  # (pixels, samples, 3 corners, 3)
    edge_values = (face_edges * centre[..., None, :]).sum(-1)
    edge_sum = edge_values.sum(-1)[..., None]
    corner_uv = scene.uv[scene.faces_uv.long()].to(points)[face]
    uv = (corner_uv * (edge_values / edge_sum)[..., None]).sum(-2)
    d_edge = face_edges[..., :2]  # d e / d xy
    d_uv = corner_uv.transpose(-1, -2) @ d_edge - uv[..., None] * d_edge.sum(-2)[..., None, :]
    return (d_uv / edge_sum[..., None] * n * (triangle >= 0)[..., None, None]).to(scene.uv.dtype)


def _shading_space(scene: TexturedScene) -> Space:
    """Return the colour space of shading, in which samples are averaged."""
    return scene.texture_space if scene.light is None else "linear"


def _convert_space(rgb: Tensor, source: Space, target: Space) -> Tensor:
    if source == target:
        return rgb
    return srgb_to_linear(rgb) if target == "linear" else linear_to_srgb(rgb)


def _group_by_pixel(samples: Tensor, n: int) -> Tensor:
    """Reshape (n H, n W, ...) samples to (H W, n n, ...)."""
    h, w, *rest = samples.shape
    cells = samples.reshape(h // n, n, w // n, n, *rest).transpose(1, 2)
    return cells.reshape(h // n * (w // n), n * n, *rest)
