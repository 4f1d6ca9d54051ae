"""What stands where the photo shows nothing: the fitted texture, flat micronormals, usual gloss by region."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.avatar.mesh import MeshAvatar
from headcast.head.model import HeadModel
from headcast.image import linear_to_srgb
from headcast.methods.uhr_texture.network import resize_maps

__all__ = ["face_weight", "predefined_maps", "usual_specular"]


def predefined_maps(base: MeshAvatar | None, head: HeadModel, size: int) -> Float[Tensor, "7 t t"]:
    """Return a fitted avatar's albedo (or the skin model's mean), flat micronormals, specular by region."""
    from headcast.head.skin import SkinModel

    if base is not None:
        albedo = torch.from_numpy(base.texture).permute(2, 0, 1).float() / 255
    else:
        model = SkinModel.load()
        albedo = linear_to_srgb(model.mean.exp().clamp(0, 1)).permute(2, 0, 1)
    albedo = resize_maps(albedo[None], size, size)[0]
    flat = torch.tensor([0.5, 0.5, 1.0]).view(3, 1, 1).expand(3, size, size)
    return torch.cat([albedo, flat, usual_specular(head, size)[None]])


def usual_specular(head: HeadModel, size: int) -> Float[Tensor, "t t"]:
    """Return reflectance at normal incidence relative to 0.04 by region, as synthetic skin has it."""
    from headcast.synth.skin_paint import SPECULAR

    each = torch.tensor([SPECULAR.get(n, 0.62) for n in head.region_names])
    return rasterize_vertex_values(head, each[head.region], size)


def face_weight(head: HeadModel, size: int) -> Float[Tensor, "t t"]:
    """Weigh texels: 1 on the skin, 0 on eyes, teeth and mouth."""
    skin = torch.zeros(len(head.neutral))
    skin[head.faces[head.part_faces("skin")].reshape(-1)] = 1
    return rasterize_vertex_values(head, skin, size)


def rasterize_vertex_values(head: HeadModel, values: Float[Tensor, " v"], size: int) -> Float[Tensor, "t t"]:
    """Rasterize vertex values to an image in UV, charts dilated by a gutter."""
    from headcast.texture.texels import interpolate_attributes, texels_of

    texels = texels_of(head, min(size, 1024))
    image = texels.to_image(interpolate_attributes(values[:, None].numpy(), head.faces.numpy(), texels)[:, 0])
    return resize_maps(torch.from_numpy(image)[None, None], size, size)[0, 0]
