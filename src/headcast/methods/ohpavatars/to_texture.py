"""Carry what optimisation changed in how Gaussians look over to the texture of the head below them.

Single Gaussians' colours are no texture: where many overlap only their blend is optimised, and each is noise.
So both states are rendered from a few sides, and the ratio of the renderings is unprojected to the texture.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from headcast.avatar.gaussian import GaussianAvatar
from headcast.head.model import HeadModel
from headcast.image import linear_to_srgb, sample_bilinear, srgb_to_linear
from headcast.interpolation import smoothstep
from headcast.observe.types import Detection, Observation
from headcast.texture.texels import Texels, texels_of
from headcast.texture.unproject import unproject
from headcast.view import View, head_center, source_view

if TYPE_CHECKING:
    from headcast.avatar.lids import Lids, Patch
    from headcast.render.types import Rendering

__all__ = ["bake_changes"]

SIDE = 768  # pixels of the longer side of the renderings
MAP_SIDE = 1024  # texels of the map of change
YAWS = (0.0, 30.0, -30.0)  # degrees off the source view
LEAST_LIGHT = 0.01  # added, linear, to both renderings: ratios of the dark are noise
RATIO = (0.7, 1.4)  # by which a texel may change
COVERED = 0.97  # coverage from which a pixel shows the head
HIDDEN = (0.02, 0.06)  # of the colour range: from there on hair or body lies before the head
FULL_WEIGHT = 0.2  # of the views' squared cosines, from which a change counts in full
SAME = 2  # of 255: lids' texels that differ less from the texture are that same skin
LID_MARGIN = 3.0  # texels over which the change fades where the closed lid's skin is its own


@torch.no_grad()
def bake_changes(before: GaussianAvatar, after: GaussianAvatar) -> GaussianAvatar:
    """Return ``after`` with a head texture that changed as its renderings did.

    Args:
        before: the avatar that the optimisation began with: the same Gaussians on the same mesh. Textures of
            hair and body stay, as does what no view shows.

    Raises:
        ValueError: the two have different Gaussians.
    """
    if not torch.equal(before.gaussians.triangle, after.gaussians.triangle):
        raise ValueError("the avatars' Gaussians lie on different triangles")
    texels = texels_of(after.head, min(MAP_SIDE, after.mesh.texture.shape[0]))
    change = _change_map(before, after, texels)
    texture = after.mesh.texture
    lids = None if after.mesh.lids is None else _change_lids(after.mesh.lids, texture, change)
    return replace(after, mesh=replace(after.mesh, texture=_changed(texture, change), lids=lids))


def _change_map(before: GaussianAvatar, after: GaussianAvatar, texels: Texels) -> Float[np.ndarray, "h w 3"]:
    """Compute by how much each texel of the texture changes, linear: 0 where it stays."""
    import cv2

    total = np.zeros((len(texels.index), 3), np.float32)
    weight = np.zeros(len(texels.index), np.float32)
    bare = after.gaussians.triangle < len(after.head.faces)
    head_alone = replace(after, gaussians=after.gaussians[torch.nonzero(bare)[:, 0]])
    kept = ~_near_eyes(after.head)[texels.triangle]
    for view in _views(after):
        shown, old, own = (a.render(view.params, view.camera) for a in (after, before, head_alone))
        ratio = (_linear(shown) + LEAST_LIGHT) / (_linear(old) + LEAST_LIGHT) - 1
        seen = ((shown.alpha > COVERED) & (old.alpha > COVERED)).numpy().astype(np.float32)
        off = (shown.rgb - own.rgb).abs().amax(-1) + (shown.alpha - own.alpha).abs()
        seen *= 1 - smoothstep(off, *HIDDEN).numpy()
        found = unproject(_as_observation(view), after.head, texels)
        values = sample_bilinear(np.dstack([ratio, seen]).astype(np.float32), found.pixel)
        counted = found.visible * np.maximum(found.facing, 0) ** 2 * values[:, 3] * kept
        total += counted[:, None] * values[:, :3]
        weight += counted
    mean = total / np.maximum(weight, 1e-6)[:, None] * np.minimum(weight / FULL_WEIGHT, 1)[:, None]
    size = after.mesh.texture.shape[:2]
    image = texels.to_image(mean.clip(RATIO[0] - 1, RATIO[1] - 1).astype(np.float32))
    return image if image.shape[:2] == size else cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)


def _near_eyes(head: HeadModel) -> Bool[np.ndarray, "f"]:
    """Return which triangles are eyes or lids, at whose rims what is behind shows."""
    around = head.region_mask("lids")[head.faces].any(1)
    eyes = torch.tensor([k for k, name in enumerate(head.part_names) if name.startswith("eye")])
    return (around | torch.isin(head.part, eyes)).numpy()


def _views(avatar: GaussianAvatar) -> list[View]:
    """Return the source view at the renderings' size, and views from both sides."""
    view = source_view(avatar)
    scale = SIDE / max(view.camera.width, view.camera.height)
    size = round(view.camera.width * scale), round(view.camera.height * scale)
    view, center = view.resized(size), head_center(avatar, view.params)
    return [view.orbited(center, yaw, 0.0) for yaw in YAWS]


def _linear(rendering: Rendering) -> Float[np.ndarray, "h w 3"]:
    """Return a rendering's colours in linear light."""
    return srgb_to_linear(rendering.rgb.clamp(0, 1)).numpy()


def _as_observation(view: View) -> Observation:
    """Describe a view for ``unproject``, whose colours are not used."""
    blank = np.zeros((view.camera.height, view.camera.width, 3), np.uint8)
    nowhere = Detection(points=np.zeros((478, 2)), box=(0.0, 0.0, 0.0, 0.0), score=0.0)
    return Observation(
        image=blank,
        detection=nowhere,
        masks=None,
        camera=view.camera,
        params=view.params,
        light=None,
        landmark_error=0.0,
        name="rendering",
    )


def _changed(
    texture: UInt8[np.ndarray, "h w 3"], change: Float[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Multiply a texture's colours, in linear light, by one plus a change."""
    linear = srgb_to_linear(torch.from_numpy(texture.astype(np.float32) / 255)) * torch.from_numpy(1 + change)
    new = np.round(linear_to_srgb(linear.clamp(0, 1)).numpy() * 255).astype(np.uint8)
    return np.where(change == 0, texture, new)


def _change_lids(lids: Lids, texture: UInt8[np.ndarray, "h w 3"], change: Float[np.ndarray, "h w 3"]) -> Lids:
    """Change the closed lids' patches where they show the texture's own skin, so that their edges fit."""
    import cv2

    def changed(patch: Patch) -> Patch:
        off = np.abs(patch.texture.astype(np.int16) - patch.inside(texture)).max(-1) > SAME
        own = cv2.GaussianBlur(off.astype(np.float32), (0, 0), LID_MARGIN)
        same = np.where(off, 0, 1 - own).astype(np.float32)[..., None]
        if not off.any():
            same = np.ones_like(same)
        return replace(patch, texture=_changed(patch.texture, patch.inside(change) * same))

    left, right = lids.patches
    return replace(lids, patches=(changed(left), changed(right)))
