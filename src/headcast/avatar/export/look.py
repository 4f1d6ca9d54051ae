"""Textures as other programs get them: the bare albedo, or with the photo's light painted in."""

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

__all__ = ["check_shading", "check_texture_size", "mouth_open", "reduced", "textures"]

MOUTH_OPEN = 0.5
"""The jawOpen for which the darkness inside the mouth is painted into the texture."""


LEAST_TEXTURE = 16


def check_texture_size(size: int | None) -> None:
    """Refuses what shows nothing."""
    if size is not None and size < LEAST_TEXTURE:
        raise HeadcastError(f"--texture-size {size}: give at least {LEAST_TEXTURE}")


def check_shading(shading: str) -> None:
    """Refuses unknown words."""
    if shading not in ("lit", "baked"):
        raise HeadcastError(f"--shading {shading}: give lit or baked")


def textures(avatar: MeshAvatar, shading: str, size: int | None = None) -> list[UInt8[np.ndarray, "h w c"]]:
    """Base colours of the head and of each shell, sRGB display values.

    ``lit``: albedo, for programs that light it themselves; ``baked``: with the photo's light, as it falls on
    the head upright and at rest. In both the inside of the mouth is as dark as behind half-open lips, since
    no other program knows that it lies inside.

    Args:
        size: no side longer than this, pixels; None: as they are.
    """
    light = avatar.source.light if shading == "baked" else ambient()
    head, rest = avatar.head, HeadParams.neutral(avatar.head.identities).replace(identity=avatar.identity)
    with torch.no_grad():
        openness = mouth_occlusion(head, head(mouth_open(rest)))
        given = [reduced(t, size) for t in (avatar.texture, *(s.texture for s in avatar.shells))]
        found = [painted(given[0], head(rest), head.faces, head.uv, head.faces_uv, light, openness)]
        for shell, texture in zip(avatar.shells, given[1:], strict=True):
            lit = painted(texture[..., :3], shell.rest, shell.faces, shell.uv, shell.faces_uv, light, None)
            found.append(np.concatenate([lit, texture[..., 3:]], -1))
    return found


def mouth_open(params: HeadParams) -> HeadParams:
    """The pose for which the darkness inside the mouth is painted."""
    return params.with_expression({"jawOpen": MOUTH_OPEN})


def reduced(texture: UInt8[np.ndarray, "h w *c"], size: int | None) -> UInt8[np.ndarray, "h2 w2 *c"]:
    """The texture with no side longer than ``size``."""
    import cv2

    longest = max(texture.shape[:2])
    if size is None or longest <= size:
        return texture
    to = (max(1, texture.shape[1] * size // longest), max(1, texture.shape[0] * size // longest))
    return cv2.resize(texture, to, interpolation=cv2.INTER_AREA)


def painted(
    texture: UInt8[np.ndarray, "h w 3"],
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    uv: Float[Tensor, "u 2"],
    faces_uv: Int[Tensor, "f 3"],
    light: Float[Tensor, "9 3"],
    openness: Float[Tensor, "v"] | None,
) -> UInt8[np.ndarray, "h w 3"]:
    """A texture as it looks under a light: the uv layout is drawn as a flat mesh, with the surface's normals.

    Texels of no triangle take the light of the nearest that has one.
    """
    height, width = texture.shape[:2]
    corners = torch.stack([faces.reshape(-1), faces_uv.reshape(-1)], 1)
    pairs, index = torch.unique(corners, dim=0, return_inverse=True)
    flat = uv[pairs[:, 1]] * torch.tensor([width, height])
    flat = torch.cat([flat, torch.ones(len(flat), 1)], 1)
    normals = vertex_normals(vertices, faces)[pairs[:, 0]]
    drawn = render_textured(
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
    return lightened(texture, 2 * drawn.rgb.numpy(), drawn.alpha.numpy() > 0)


def lightened(
    texture: UInt8[np.ndarray, "h w 3"], light: Float[np.ndarray, "h w 3"], known: np.ndarray
) -> UInt8[np.ndarray, "h w 3"]:
    """The texture times the light (linear), which is carried outwards from where it is known."""
    import cv2

    _, label = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    source = np.zeros(int(label.max()) + 1, np.int64)
    source[label[known]] = np.flatnonzero(known)
    light = light.reshape(-1, 3)[source[label]]
    colour = linear_to_srgb(srgb_to_linear(texture.astype(np.float32) / 255) * light)
    return (colour.clip(0, 1) * 255).round().astype(np.uint8)
