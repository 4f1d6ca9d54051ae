"""Textures for export: de-lit albedo, or with the photo's light baked in."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from headcast.avatar.mesh import MeshAvatar
from headcast.camera import Camera
from headcast.errors import HeadcastError
from headcast.head.occlusion import mouth_occlusion
from headcast.head.params import HeadParams
from headcast.image import linear_to_srgb, srgb_to_linear
from headcast.render.geometry import vertex_normals
from headcast.render.shaded import render_textured
from headcast.render.shading import ambient

__all__ = ["check_shading", "check_texture_size", "limit_texture_size", "mouth_open", "textures"]

MOUTH_OPEN = 0.5
"""The jawOpen at which the occlusion inside the mouth is baked into the texture."""


MIN_TEXTURE_SIZE = 16


def check_texture_size(size: int | None) -> None:
    """Raise HeadcastError if a texture size is too small."""
    if size is not None and size < MIN_TEXTURE_SIZE:
        raise HeadcastError(f"--texture-size {size}: give at least {MIN_TEXTURE_SIZE}")


def check_shading(shading: str) -> None:
    """Raise HeadcastError if a shading mode is unknown."""
    if shading not in ("lit", "baked"):
        raise HeadcastError(f"--shading {shading}: give lit or baked")


def textures(avatar: MeshAvatar, shading: str, size: int | None = None) -> list[UInt8[np.ndarray, "h w c"]]:
    """Return the base colours of the head and of each shell, sRGB display values.

    ``lit``: albedo, for programs that shade it themselves; ``baked``: with the photo's light, as it falls on
    the head upright and at rest. In both the inside of the mouth is as dark as behind half-open lips, since
    no other program knows that it lies inside.

    Args:
        size: longest side, pixels; None: unchanged.
    """
    light = avatar.source.light if shading == "baked" else ambient()
    head, rest = avatar.head, HeadParams.neutral(avatar.head.identities).replace(identity=avatar.identity)
    with torch.no_grad():
        openness = mouth_occlusion(head, head(mouth_open(rest)))
        sources = [limit_texture_size(t, size) for t in (avatar.texture, *(s.texture for s in avatar.shells))]
        baked = [bake_light(sources[0], head(rest), head.faces, head.uv, head.faces_uv, light, openness)]
        for shell, texture in zip(avatar.shells, sources[1:], strict=True):
            shell_texture = bake_light(
                texture[..., :3], shell.rest, shell.faces, shell.uv, shell.faces_uv, light, None
            )
            baked.append(np.concatenate([shell_texture, texture[..., 3:]], -1))
    return baked


def mouth_open(params: HeadParams) -> HeadParams:
    """Return the pose at which the occlusion inside the mouth is baked."""
    return params.with_expression({"jawOpen": MOUTH_OPEN})


def limit_texture_size(
    texture: UInt8[np.ndarray, "h w *c"], size: int | None
) -> UInt8[np.ndarray, "h2 w2 *c"]:
    """Downsample a texture so that no side is longer than ``size``; None: return it unchanged."""
    import cv2

    longest = max(texture.shape[:2])
    if size is None or longest <= size:
        return texture
    target_size = (max(1, texture.shape[1] * size // longest), max(1, texture.shape[0] * size // longest))
    return cv2.resize(texture, target_size, interpolation=cv2.INTER_AREA)


def bake_light(
    texture: UInt8[np.ndarray, "h w 3"],
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    uv: Float[Tensor, "u 2"],
    faces_uv: Int[Tensor, "f 3"],
    light: Float[Tensor, "9 3"],
    openness: Float[Tensor, "v"] | None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Bake a light into a texture: render the uv layout as a flat mesh with the surface's normals.

    Texels outside all triangles take the light of the nearest texel inside one.
    """
    height, width = texture.shape[:2]
    corners = torch.stack([faces.reshape(-1), faces_uv.reshape(-1)], 1)
    pairs, index = torch.unique(corners, dim=0, return_inverse=True)
    flat = uv[pairs[:, 1]] * torch.tensor([width, height])
    flat = torch.cat([flat, torch.ones(len(flat), 1)], 1)
    normals = vertex_normals(vertices, faces)[pairs[:, 0]]
    rendering = render_textured(
        flat,
        index.view(-1, 3),
        normals,
        uv[pairs[:, 1]],
        index.view(-1, 3),
        torch.ones(4, 4, 3),
        Camera(torch.eye(3), torch.eye(4), width, height),
        light=light / 2,
        antialias=1,
        openness=None if openness is None else openness[pairs[:, 0]],
        colour_space="linear",
    )
    return multiply_light(texture, 2 * rendering.rgb.numpy(), rendering.alpha.numpy() > 0)


def multiply_light(
    texture: UInt8[np.ndarray, "h w 3"], light: Float[np.ndarray, "h w 3"], known: np.ndarray
) -> UInt8[np.ndarray, "h w 3"]:
    """Multiply a texture by the light (linear), extrapolated to the nearest texel where unknown."""
    import cv2

    _, label = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    label = np.asarray(label, np.int64)
    source = np.zeros(int(label.max()) + 1, np.int64)
    source[label[known]] = np.flatnonzero(known)
    light = light.reshape(-1, 3)[source[label]]
    colour = linear_to_srgb(srgb_to_linear(texture.astype(np.float32) / 255) * light)
    return (colour.clip(0, 1) * 255).round().astype(np.uint8)
