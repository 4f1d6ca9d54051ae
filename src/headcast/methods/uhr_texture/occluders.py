"""Glasses taken out of the fitted texture that stands where the maps know nothing (§6's failure case)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import max_pool2d

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.methods.uhr_texture.fill import pull_push
from headcast.methods.uhr_texture.geometry import Geometry, rasterize_geometry
from headcast.methods.uhr_texture.network import resize_maps
from headcast.methods.uhr_texture.square import crop_mask
from headcast.methods.uhr_texture.unwrap import pixels_to_unwrap
from headcast.methods.uhr_texture.usual import rasterize_vertex_values
from headcast.observe.types import Observation

__all__ = ["glasses_in_uv", "without_glasses"]

LOOK, TEXELS = 512, 256
"""Sides of the image that is searched and of the mask in UV, pixels."""
LEAST = 0.2
GROWN = 7
"""Texels by which the mask is dilated: rims and their shadows."""


def glasses_in_uv(
    observation: Observation, geometry: Geometry, camera: Camera, trust: Float[Tensor, "n n"]
) -> Float[Tensor, "s s"] | None:
    """Mask texels that frames cover (and lenses where skin is not trusted); None without glasses."""
    if observation.masks is None:
        return None
    mask = crop_mask(observation, observation.masks.glasses, LOOK)
    mask = mask * (resize_maps(trust[None, None], LOOK, LOOK)[0, 0] < 0.5)
    if float(mask.max()) <= LEAST:
        return None
    triangle, bary = rasterize_geometry(geometry, camera.scaled(LOOK / camera.width))
    triangle = torch.where(geometry.skin[triangle.clamp(min=0).long()], triangle, -1)
    pixels = pixels_to_unwrap(
        triangle,
        bary,
        geometry.vertices,
        geometry.faces,
        geometry.uv,
        geometry.faces_uv,
        geometry.normals,
        (mask > LEAST).float(),
    )
    at = (pixels.uv * TEXELS).long().clamp(0, TEXELS - 1)
    out = torch.zeros(TEXELS * TEXELS)
    out[at[:, 1] * TEXELS + at[:, 0]] = 1
    return max_pool2d(out.view(1, 1, TEXELS, TEXELS), GROWN, 1, GROWN // 2)[0, 0]


def without_glasses(
    albedo: Float[Tensor, "3 t t"],
    observation: Observation,
    geometry: Geometry,
    camera: Camera,
    trust: Float[Tensor, "n n"],
    head: HeadModel,
) -> Float[Tensor, "3 t t"]:
    """Fill a texture from around where glasses cover the skin; eyelids are left as the fit painted them."""
    mask = glasses_in_uv(observation, geometry, camera, trust)
    if mask is None:
        return albedo
    size = albedo.shape[-1]
    lids = rasterize_vertex_values(head, (head.region == head.region_names.index("lids")).float(), size)
    return pull_push(albedo, 1 - resize_maps(mask[None, None], size, size)[0, 0] * (1 - lids))
