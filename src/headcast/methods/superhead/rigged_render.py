"""Gaussians of a prior, with those that stay the input's, under every anchor's pose: Eq. 8, T_j, Eq. 3."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.rig import Gaussians
from headcast.methods.superhead.anchors import Anchor, depth_target
from headcast.render.gaussians import GaussianRendering, render_gaussians
from headcast.splats.shade import shade_and_place
from headcast.splats.targets import PosedTarget, ViewTarget, pose_target

__all__ = ["PosedAnchor", "Rigged", "kept_gaussians", "pose_anchor", "render_anchor"]

GREY = 128 / 255


@dataclass(frozen=True)
class Rigged:
    """The avatar that is optimised: the prior's Gaussians first, then those that stay the input's.

    Attributes:
        avatar: of both, as they were when last bound.
        own: how many of its Gaussians are the prior's.
    """

    avatar: GaussianAvatar
    own: int

    @staticmethod
    def bind(template: GaussianAvatar, own: Gaussians, kept: Gaussians) -> Rigged:
        """Join the prior's Gaussians and the kept ones on the template's mesh."""
        detached = Gaussians(*(getattr(own, k).detach() for k in Gaussians.__dataclass_fields__))
        return Rigged(GaussianAvatar(template.mesh, Gaussians.join([detached, kept])), len(own))


@dataclass(frozen=True)
class PosedAnchor:
    """An anchor with the Gaussians visible in it and what does not depend on the prior.

    Attributes:
        own: which of the prior's Gaussians are visible (all before those of the input in ``posed.index``).
        kept: the input's visible Gaussians.
        bare, closure: for each of ``own``, albedo when lids are closed, and its weight here.
        depth: (H, W) of the refined mesh, metres. mask: where the prior's surface is in front.
    """

    anchor: Anchor
    posed: PosedTarget
    own: Int[Tensor, "m"]
    kept: Gaussians
    bare: Float[Tensor, "m 3"]
    closure: Float[Tensor, "m 1"]
    depth: Float[Tensor, "h w"]
    mask: Bool[Tensor, "h w"]


def kept_gaussians(avatar: GaussianAvatar, covered: Bool[Tensor, "f"]) -> Gaussians:
    """Return the input's Gaussians on triangles that the prior does not cover."""
    padded = torch.zeros(len(avatar.mesh.surface.faces), dtype=torch.bool)
    padded[: len(covered)] = covered
    return avatar.gaussians[~padded[avatar.gaussians.triangle]]


@torch.no_grad()
def pose_anchor(rigged: Rigged, anchor: Anchor, covered: Bool[Tensor, "f"]) -> PosedAnchor:
    """Deform the rig to the anchor's pose and keep what its camera sees."""
    empty = torch.zeros_like(anchor.alpha)
    target = ViewTarget(
        camera=anchor.camera, params=anchor.params, image=anchor.image, alpha=anchor.alpha, weight=empty
    )
    posed = pose_target(rigged.avatar, target)
    own = posed.index[posed.index < rigged.own]
    kept = rigged.avatar.gaussians[posed.index[len(own) :]]
    kept = replace(kept, albedo=rigged.avatar.albedo_for_pose(anchor.params)[posed.index[len(own) :]])
    bare, closure = closed_lids(rigged, anchor, own)
    depth, mask = depth_target(rigged.avatar, anchor, covered)
    return PosedAnchor(
        anchor=anchor,
        posed=posed,
        own=own,
        kept=kept,
        bare=bare,
        closure=closure,
        depth=depth,
        mask=mask,
    )


def closed_lids(
    rigged: Rigged, anchor: Anchor, own: Int[Tensor, "m"]
) -> tuple[Float[Tensor, "m 3"], Float[Tensor, "m 1"]]:
    """Return the bare albedo and its weight for the prior's Gaussians on lids that close in this anchor."""
    avatar = rigged.avatar
    bare, closure = torch.zeros(len(avatar.gaussians), 3), torch.zeros(len(avatar.gaussians), 1)
    lids = avatar.mesh.lids
    if lids is not None and bool((fraction := lids.closed_fraction(anchor.params)).any()):
        index, side, albedo = avatar.lid_points
        bare[index], closure[index] = albedo, fraction[side][:, None].float()
    return bare[own], closure[own]


def render_anchor(view: PosedAnchor, own: Gaussians) -> GaussianRendering:
    """Render the prior's Gaussians and the input's as the anchor's camera sees them, over grey.

    Args:
        own: all of the prior's Gaussians, in the frames of their triangles.
    """
    posed, which = view.posed, view.own
    albedo = torch.lerp(own.albedo[which], view.bare, view.closure)
    position = torch.cat([own.position[which], view.kept.position])
    world, colours = shade_and_place(
        position, torch.cat([albedo, view.kept.albedo]), posed.origin, posed.matrix, posed.shading
    )
    return render_gaussians(
        world,
        torch.cat([own.log_scale[which], view.kept.log_scale]) + posed.log_scale_offset,
        posed.quaternion,
        torch.cat([own.opacity[which], view.kept.opacity]),
        colours,
        view.anchor.camera,
        background=torch.full((3,), GREY),
    )
