"""Carry what optimisation changed in the Gaussians' colours over to the textures of the mesh below them.

Each Gaussian's change of albedo is gathered in UV and spread as far as the Gaussian itself spreads; the sum
is added to the texture, whose finer detail stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.avatar.gaussian import GaussianAvatar
from headcast.splats.uv_colours import gaussian_uv, surfaces_of, uv_colours

if TYPE_CHECKING:
    from headcast.avatar.lids import Lids, Patch

__all__ = ["bake_colour_changes"]

MAP_SIDE = 640  # texels of the maps of change: about a Gaussian each on the face
FOOTPRINT = 0.8  # texels of that map, standard deviation of what one Gaussian covers
SAME = 2  # of 255: lids' texels that differ less from the texture are that same skin
LID_MARGIN = 3.0  # texels over which the change fades where the closed lid's skin is its own


def bake_colour_changes(before: GaussianAvatar, after: GaussianAvatar) -> GaussianAvatar:
    """Return ``after`` with textures of its mesh that changed as its Gaussians' colours did.

    Args:
        before: the avatar that the optimisation began with: the same Gaussians on the same mesh.

    Raises:
        ValueError: the two have different Gaussians.
    """
    if not torch.equal(before.gaussians.triangle, after.gaussians.triangle):
        raise ValueError("the avatars' Gaussians lie on different triangles")
    change = after.gaussians.albedo - before.gaussians.albedo
    weight = after.gaussians.opacity.sigmoid()
    mesh, triangle = after.mesh, after.gaussians.triangle
    shells = []
    for n, (surface, start, end) in enumerate(surfaces_of(after)):
        index = torch.nonzero((triangle >= start) & (triangle < end))[:, 0]
        texture = mesh.texture if n == 0 else mesh.shells[n - 1].texture
        if len(index):
            uv = gaussian_uv(after, surface, index, start)
            found = _spread(uv_colours(uv, change[index], weight[index], MAP_SIDE).albedo)
            added = _resized(found, texture)
            if n == 0:
                lids = None if mesh.lids is None else _change_lids(mesh.lids, texture, added)
                mesh = replace(mesh, texture=_add(texture, added), lids=lids)
                continue
            texture = _add(texture, added)
        if n:
            shells.append(replace(mesh.shells[n - 1], texture=texture))
    return replace(after, mesh=replace(mesh, shells=tuple(shells)))


def _spread(change: Float[np.ndarray, "s s 3"]) -> Float[np.ndarray, "s s 3"]:
    """Blur a map of change by the Gaussians' footprint."""
    import cv2

    return cv2.GaussianBlur(change, (0, 0), FOOTPRINT)


def _resized(
    change: Float[np.ndarray, "s s 3"], texture: UInt8[np.ndarray, "h w c"]
) -> Float[np.ndarray, "h w 3"]:
    """Resize a map of change to a texture's size."""
    import cv2

    height, width = texture.shape[:2]
    smaller = height < change.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return cv2.resize(change, (width, height), interpolation=how).astype(np.float32)


def _add(
    texture: UInt8[np.ndarray, "h w c"], change: Float[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "h w c"]:
    """Add a change, 0..1, to a texture's colours; its coverage stays."""
    out = texture.copy()
    colours = texture[..., :3].astype(np.float32) + 255 * change
    out[..., :3] = np.round(colours.clip(0, 255)).astype(np.uint8)
    return out


def _change_lids(lids: Lids, texture: UInt8[np.ndarray, "h w 3"], change: Float[np.ndarray, "h w 3"]) -> Lids:
    """Change the closed lids' patches where they show the texture's own skin, so that their edges fit."""
    import cv2

    def changed(patch: Patch) -> Patch:
        old = patch.inside(texture)
        off = np.abs(patch.texture.astype(np.int16) - old).max(-1) > SAME
        same = 1 - cv2.GaussianBlur(off.astype(np.float32), (0, 0), LID_MARGIN)
        same = np.where(off, np.minimum(same, 0.5), same)[..., None]
        return replace(patch, texture=_add(patch.texture, patch.inside(change) * same))

    left, right = lids.patches
    return replace(lids, patches=(changed(left), changed(right)))
