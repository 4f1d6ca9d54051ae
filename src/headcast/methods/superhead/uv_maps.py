"""Maps over the face's UV that the UV restorer sees, and which texels are covered."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.render.uv import rasterize_uv
from headcast.splats.init import head_classes

__all__ = [
    "LABELS",
    "SIDE",
    "covered_texels",
    "covered_triangles",
    "label_maps",
    "map_of",
    "surface_maps",
    "texture_map",
]

SIDE = 512
"""Texels of a side of all maps of the UV prior."""
LABELS = ("face", "lips", "lids", "nose", "brows", "ears", "sclera", "iris", "teeth", "mouth")


def covered_triangles(head: HeadModel) -> Bool[Tensor, "f"]:
    """Return the triangles of face, lips, eyes and mouth: what portraits show in detail."""
    classes = head_classes(head)
    return classes["face"] | classes["lips"] | classes["eyes"] | classes["inside"]


def covered_texels(head: HeadModel, covered: Bool[Tensor, "f"]) -> Int[Tensor, "n"]:
    """Return the positions of covered texels in a flattened map of ``SIDE``²."""
    triangle = rasterize_uv(head.uv, head.faces_uv, SIDE).triangle.long()
    return torch.nonzero((triangle >= 0) & covered[triangle.clamp(min=0)])[:, 0]


def texture_map(texture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "s s 3"]:
    """Reduce a texture to ``SIDE``."""
    import cv2

    return cv2.resize(texture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def map_of(values: Float[Tensor, "n c"], texels: Int[Tensor, "n"]) -> Float[Tensor, "c s s"]:
    """Lay values of texels out as maps, 0 at other texels."""
    maps = torch.zeros(SIDE * SIDE, values.shape[1])
    maps[texels] = values
    return maps.T.reshape(-1, SIDE, SIDE).contiguous()


def surface_maps(
    head: HeadModel,
    vertices: Float[Tensor, "v 3"],
    normals: Float[Tensor, "v 3"],
    camera: Camera,
    texels: Int[Tensor, "n"],
) -> Float[Tensor, "4 s s"]:
    """Return confidence (cosine of normal and direction to the camera, 0 or more) and normals, world."""
    fragments = rasterize_uv(head.uv, head.faces_uv, SIDE)
    corner = head.faces[fragments.triangle[texels].long()]
    bary = fragments.barycentric[texels]
    normal = normalize((normals[corner] * bary[..., None]).sum(1), dim=-1)
    place = (vertices[corner] * bary[..., None]).sum(1)
    towards = normalize(camera.center.to(place) - place, dim=-1)
    confidence = (normal * towards).sum(-1, keepdim=True).clamp(min=0)
    return map_of(torch.cat([confidence, normal], 1), texels)


def label_maps(head: HeadModel, texels: Int[Tensor, "n"]) -> Float[Tensor, "10 s s"]:
    """Return 1 where a texel's nearest vertex has the label, by ``LABELS``."""
    fragments = rasterize_uv(head.uv, head.faces_uv, SIDE)
    corner = head.faces[fragments.triangle[texels].long()]
    names = torch.tensor([head.region_names.index(n) if n in head.region_names else -1 for n in LABELS])
    region = head.region[corner[torch.arange(len(corner)), fragments.barycentric[texels].argmax(1)]]
    return map_of((region[:, None] == names[None]).float(), texels)
