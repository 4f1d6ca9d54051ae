"""From a photo to image-space and UV maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.avatar.mesh import MeshAvatar
from headcast.camera import Camera
from headcast.head.maps import SkinMaps
from headcast.head.model import HeadModel
from headcast.image import srgb_to_linear
from headcast.methods.uhr_texture import fill
from headcast.methods.uhr_texture.geometry import Geometry, geometry_prior, rasterize_geometry
from headcast.methods.uhr_texture.light import coarse_of, delit_image, estimate_shading, skin_mean
from headcast.methods.uhr_texture.network import resize_maps
from headcast.methods.uhr_texture.occluders import without_glasses
from headcast.methods.uhr_texture.patches import refine_in_patches
from headcast.methods.uhr_texture.square import FULL, crop_face_square, reduce_photo, skin_trust
from headcast.methods.uhr_texture.unwrap import (
    Pixels,
    Unwrapped,
    pixels_to_unwrap,
    rotate_micronormals,
    solve_texture,
)
from headcast.methods.uhr_texture.usual import face_weight, predefined_maps
from headcast.methods.uhr_texture.weights import SkinNetworks
from headcast.observe.types import Observation
from headcast.progress import Progress

__all__ = ["Result", "image_maps", "texture_maps"]

COARSEST, FINEST = 64, 12.0
"""Side at which the cascade begins, and texels a pixel of the photo at which it ends: finer ones would all be
enlarged (``density_weight``)."""
Prior = Literal["network", "geometry"]


@dataclass(frozen=True)
class Result:
    """What ``headcast texture`` writes.

    Attributes:
        crop: (3, n, n) the square around the face, sRGB 0..1. camera: of that crop.
        image: (7, n, n) albedo (sRGB), micronormal ((n + 1) / 2, frame of ``data.micro_of``), specular; off
            the skin the photo's colours, flat.
        prior: (5, s, s) UV and geometry normal of stage 1. guide: (7, s, s).
        texture: (7, T, T) in UV, micronormals in its tangent frame.
        visibility: (T, T) fraction that is taken from the photo.
        notes: what the user should know.
    """

    crop: Float[Tensor, "3 n n"]
    camera: Camera
    image: Float[Tensor, "7 n n"]
    prior: Float[Tensor, "5 s s"]
    guide: Float[Tensor, "7 s s"]
    texture: Float[Tensor, "7 t t"]
    visibility: Float[Tensor, "t t"]
    notes: tuple[str, ...] = ()

    def maps(self) -> SkinMaps:
        """Return the UV maps as ``SkinMaps``: linear albedo, normals in -1..1."""
        t = self.texture
        words = {"albedo": "uhr_texture", "micronormal": "uhr_texture", "specular": "uhr_texture"}
        normal = fill.to_numpy(t[3:6]) * 2 - 1
        return SkinMaps(
            albedo=srgb_to_linear(fill.to_numpy(t[:3])).astype(np.float32),
            micronormal=normal.astype(np.float32),
            specular=t[6].numpy(),
            provenance=words,
        )


class ImageMaps(NamedTuple):
    """Maps at the image's resolution; prior and guide at stage 1's."""

    maps: Float[Tensor, "7 n n"]
    prior: Float[Tensor, "5 s s"]
    guide: Float[Tensor, "7 s s"]


@torch.no_grad()
def image_maps(
    rgb: Float[Tensor, "3 n n"],
    networks: SkinNetworks,
    prior: Float[Tensor, "5 s s"] | None = None,
    progress: Progress | None = None,
    refine: bool = True,
    trust: Float[Tensor, "n n"] | None = None,
) -> ImageMaps:
    """Run both stages in image space: maps at the image's resolution, prior and guide at stage 1's.

    Args:
        prior: instead of the predictor's. refine: without it the guide is enlarged (stage 1 alone).
        trust: how surely pixels are skin, from whose colours the light is estimated; None: the whole head.
    """
    c, n = networks.config, rgb.shape[-1]
    small = resize_maps(rgb[None], c.side, c.side)
    found = networks.predictor(small).clamp(0, 1) if prior is None else prior[None]
    sure = None if trust is None else resize_maps(trust[None, None], c.side, c.side)
    shading = estimate_shading(small, found, sure)
    delit = delit_image(small, shading)
    guide = networks.gde(small, found, delit, skin_mean(delit, found, sure)).clamp(0, 1)
    if not refine:
        return ImageMaps(resize_maps(guide, n, n)[0], found[0], guide[0])
    say = (lambda fraction: progress(fraction, "refining the skin")) if progress else None
    maps = refine_in_patches(networks.hfdr, rgb, coarse_of(small, found, guide, shading)[0], c.patch, say)
    # a patch cannot know how bright the whole skin is: that is stage 1's
    off = guide[:, :3] - resize_maps(maps[None, :3], c.side, c.side)
    maps[:3].add_(skin_mean(off, found, sure)[0][:, None, None]).clamp_(0, 1)
    fill.normalize_normals(maps[3:6])
    return ImageMaps(maps, found[0], guide[0])


def texture_maps(
    observation: Observation,
    geometry: Geometry,
    networks: SkinNetworks,
    *,
    base: MeshAvatar | None,
    size: int,
    head: HeadModel,
    prior: Prior = "network",
    progress: Progress | None = None,
) -> Result:
    """Make the maps of one photo.

    Args:
        base: a fitted avatar whose texture stands where the photo shows nothing; for the bundled head alone.
        size: side of the UV maps.
        prior: whether stage 1 takes UV and normals from the predictor (§3.1) or from the fitted geometry.
    """
    say = progress or (lambda fraction, what: None)
    rgb, camera, place = crop_face_square(observation)
    n = rgb.shape[-1]
    notes = []
    if place[2] < FULL:
        notes.append(
            f"the square about the face has {place[2]} pixels, fewer than {FULL}; worked at its own size"
        )
    say(0.05, "finding normals and regions")
    given = (
        geometry_prior(geometry, camera, networks.config.side)
        if prior == "geometry" and geometry.own
        else None
    )
    trust = skin_trust(reduce_photo(observation), n)
    say_part: Progress = lambda fraction, what: say(0.1 + 0.5 * fraction, what)  # noqa: E731
    image, found, guide = image_maps(rgb, networks, given, say_part, trust=trust)
    say(0.6, "unwrapping")
    triangle, bary = rasterize_geometry(geometry, camera)
    triangle = torch.where(geometry.skin[triangle.clamp(min=0).long()], triangle, -1)
    pixels = pixels_to_unwrap(
        triangle,
        bary,
        geometry.vertices,
        geometry.faces,
        geometry.uv,
        geometry.faces_uv,
        geometry.normals,
        trust,
    )
    texture, visibility = unwrap_maps(image, pixels, size)
    del triangle, bary, pixels  # room for 4096²
    keep_skin(image, rgb, trust)
    say(0.85, "filling what is hidden")
    visibility = fill.soften_visibility(visibility)
    if geometry.own:
        texture, visibility = fill.complete_by_symmetry(texture, visibility, head)
        ground = predefined_maps(base, head, size)
        ground[:3] = without_glasses(ground[:3], observation, geometry, camera, trust, head)
        texture = fill.blend_over(texture, visibility, ground, face_weight(head, size))
    else:
        texture = fill.pull_push(texture, visibility)
    say(1.0, "done")
    return Result(
        crop=rgb,
        camera=camera,
        image=image,
        prior=found,
        guide=guide,
        texture=texture,
        visibility=visibility,
        notes=tuple(notes),
    )


def keep_skin(
    image: Float[Tensor, "7 n n"], rgb: Float[Tensor, "3 n n"], trust: Float[Tensor, "n n"]
) -> None:
    """Put the photo's colours, flat, off the skin, which is all that the networks know; in place."""
    image[:3].sub_(rgb).mul_(trust).add_(rgb)
    flat = torch.tensor([0.5, 0.5, 1.0]).to(image)
    for c in range(3):
        image[3 + c].sub_(flat[c]).mul_(trust).add_(flat[c])


def unwrap_maps(image: Float[Tensor, "7 n n"], pixels: Pixels, size: int) -> tuple[Tensor, Tensor]:
    """Unwrap the seven maps, coarse first (the paper's cascade); also return the visible fraction."""
    values = _values_in_uv(image, pixels)
    start = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.5, 1.0, 0.5]).view(7, 1, 1).expand(7, 8, 8)
    sides = _cascade(size)
    texture, covered = start, 1.0
    found, last = None, sides[-1]
    for side in reversed(sides):
        if found is not None and covered * side**2 / max(1, len(pixels.index)) > FINEST:
            break
        last = side
        found = solve_texture(values, pixels, side, texture)
        if side == sides[-1]:
            covered = float((found.visibility > 0.3).float().mean())
            texture = fill.pull_push(found.texture, (found.visibility > 0.05).float())
        else:
            texture = _add_detail(texture, side, found)
    assert found is not None
    visibility = spread_visibility(found.visibility, covered * last**2 / max(1, len(pixels.index)))
    visibility = resize_maps(visibility[None, None], size, size)[0, 0]
    return resize_maps(texture[None], size, size)[0].clamp_(0, 1), visibility


def _values_in_uv(image: Float[Tensor, "7 n n"], pixels: Pixels) -> Tensor:
    """Return the maps at the pixels, micronormals turned to the texture's axes."""
    values = image.flatten(1)[:, pixels.index].T
    micro = rotate_micronormals(values[:, 3:6] * 2 - 1, pixels.spin)
    return torch.cat([values[:, :3], (micro + 1) / 2, values[:, 6:]], 1)


def _add_detail(texture: Tensor, side: int, found: Unwrapped) -> Tensor:
    """Enlarge a texture and add a finer one to it, where texels are no finer than pixels."""
    texture = resize_maps(texture[None], side, side)[0]
    fraction = density_weight(found.visibility)
    for c in range(len(texture)):  # one after the other: 4096² leave no room for all at once
        texture[c] += fraction * (found.texture[c] - texture[c])
    return texture


def _cascade(size: int) -> list[int]:
    """Return the sides of the cascade's textures, coarse last."""
    sides = [size]
    while sides[-1] > COARSEST and sides[-1] % 2 == 0:
        sides.append(sides[-1] // 2)
    return sides


def spread_visibility(visibility: Float[Tensor, "t t"], texels: float) -> Float[Tensor, "t t"]:
    """Spread the visible fraction where a pixel covers ``texels`` texels but reaches four at most."""
    if texels <= 1:
        return visibility
    k = 2 * max(1, round(0.75 * texels**0.5)) + 1
    x = torch.nn.functional.avg_pool2d(visibility[None, None], k, 1, k // 2)
    return (1.5 * texels * torch.nn.functional.avg_pool2d(x, 3, 1, 1)[0, 0]).clamp(max=1)


def density_weight(visibility: Float[Tensor, "t t"]) -> Float[Tensor, "t t"]:
    """Weigh texels: 0 where they are finer than the photo's pixels, 1 elsewhere.

    Finer texels would take single pixels for detail, as ripples.
    """
    near = torch.nn.functional.avg_pool2d(visibility[None, None], 7, 1, 3)[0, 0]
    return ((near - 0.4) / 0.3).clamp(0, 1)


def missing_prior_message(path: Path) -> str:
    """Word the error for a foreign mesh without a UV prior."""
    return f"{path}: not the bundled head: what the photo does not show is only carried over from around it"
