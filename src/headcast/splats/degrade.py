"""Degrade an avatar: colours lose the detail that a photo reduced so many times would lack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.mesh import MeshAvatar
from headcast.avatar.shell import Shell
from headcast.head.model import HeadModel
from headcast.splats.uv_colours import gaussian_uv, surfaces_of, uv_colours

__all__ = ["DEGRADED", "degrade_avatar", "pixel_size"]

DEGRADED = "degraded"
"""Name of the fact in an avatar's record that says by which factor it was degraded."""

SPREAD = 0.5
"""Standard deviation of the blur, in pixels of the reduced photo: that of enlarging it bicubically."""
MAP_SIDE = 1024  # texels of the maps in which Gaussians are blurred
NEAREST = 0.3  # metres, of a camera from the head


def degrade_avatar(avatar: GaussianAvatar, factor: float) -> GaussianAvatar:
    """Blur the colours of Gaussians and textures as if the source photo had been ``factor`` times smaller.

    Shape, rig, opacity and light stay: the result is a low-resolution avatar whose truth is known.
    """
    width_m = SPREAD * factor * pixel_size(avatar)
    albedo = avatar.gaussians.albedo.clone()
    for mesh, start, end in surfaces_of(avatar):
        triangle = avatar.gaussians.triangle
        index = torch.nonzero((triangle >= start) & (triangle < end))[:, 0]
        if not len(index):
            continue
        uv = gaussian_uv(avatar, mesh, index, start)
        weight = avatar.gaussians.opacity[index].sigmoid()
        found = uv_colours(uv, albedo[index], weight, MAP_SIDE)
        sigma = width_m / texel_size(avatar, mesh, MAP_SIDE)
        blurred = blur_known(found.albedo, found.evidence, sigma)
        albedo[index] = sample(blurred, uv)
    made = avatar.provenance
    before = made.extra.get(DEGRADED, 1.0)
    made = replace(made, extra={**made.extra, DEGRADED: factor * before})
    mesh_avatar = degrade_textures(avatar, width_m)
    mesh_avatar = replace(mesh_avatar, bound=replace(mesh_avatar.bound, provenance=made))
    return GaussianAvatar(mesh_avatar, replace(avatar.gaussians, albedo=albedo))


def pixel_size(avatar: GaussianAvatar) -> float:
    """Return metres that a pixel of the source photo covers at the head's distance."""
    source = avatar.source
    z = float(source.camera.to_camera(avatar.head(source.params).mean(0))[2])
    return max(z, NEAREST) / float(source.camera.K[0, 0])


def texel_size(avatar: GaussianAvatar, mesh: HeadModel | Shell, side: int) -> float:
    """Return the median size of a texel on a surface, metres."""
    rest = mesh.shape(avatar.source.params.identity) if isinstance(mesh, HeadModel) else mesh.rest

    def areas(x: Float[Tensor, "v k"], faces: Tensor) -> Tensor:
        flat = torch.nn.functional.pad(x, (0, 3 - x.shape[1]))
        a, b, c = flat[faces].unbind(1)
        return torch.linalg.cross(b - a, c - a).norm(dim=-1)

    on_surface, in_map = areas(rest, mesh.faces), areas(mesh.uv * side, mesh.faces_uv)
    known = in_map > 0
    return float((on_surface[known] / in_map[known]).sqrt().median())


def blur_known(
    image: Float[np.ndarray, "h w 3"], weight: Float[np.ndarray, "h w"], sigma: float
) -> Float[np.ndarray, "h w 3"]:
    """Blur where there is evidence, so that nothing flows in from the empty parts of a map."""
    import cv2

    mask = (cv2.GaussianBlur(weight, (0, 0), 1.0) > 0.01).astype(np.float32)[..., None]
    joint = cv2.GaussianBlur(np.concatenate([image * mask, mask], -1), (0, 0), max(sigma, 0.1))
    return np.where(joint[..., 3:] > 1e-3, joint[..., :3] / np.maximum(joint[..., 3:], 1e-3), image)


def sample(image: Float[np.ndarray, "h w 3"], uv: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
    """Sample a map bilinearly at uv."""
    grid = (uv * 2 - 1)[None, None]
    values = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    out = torch.nn.functional.grid_sample(values, grid, align_corners=False, padding_mode="border")
    return out[0, :, 0].T.contiguous()


def degrade_textures(avatar: GaussianAvatar, width_m: float) -> MeshAvatar:
    """Blur the textures of head, closed lids and shells; coverage stays."""
    mesh = avatar.mesh
    texel = texel_size(avatar, mesh.head, mesh.texture.shape[0])
    shells = tuple(
        replace(s, texture=blur_colours(s.texture, width_m / texel_size(avatar, s, s.texture.shape[0])))
        for s in mesh.shells
    )
    lids = None if mesh.lids is None else mesh.lids.map_textures(lambda t: blur_colours(t, width_m / texel))
    return replace(
        mesh, texture=blur_colours(mesh.texture, width_m / texel), shells=shells, lids=lids, skin_maps=None
    )


def blur_colours(texture: UInt8[np.ndarray, "h w c"], sigma: float) -> UInt8[np.ndarray, "h w c"]:
    """Blur the colours of a texture; a fourth channel stays."""
    import cv2

    out = texture.copy()
    out[..., :3] = cv2.GaussianBlur(np.ascontiguousarray(texture[..., :3]), (0, 0), max(sigma, 0.1))
    return out
