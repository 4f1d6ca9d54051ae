"""Project eyelids onto the eyeball: they close at a blink and never cross or intersect it. Differentiable."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.interpolation import smoothstep

__all__ = ["eye_profile", "rest_lids"]

CONTACT = 0.0006
"""How far the lids' edge lies outside the eyeball, metres."""
SOFT = 0.0001
"""Width of the smooth transition of a bound, metres."""


def eye_profile(
    cosine: Float[Tensor, "*b"], profile: Float[Tensor, "3"], growth: Float[Tensor, "*c"]
) -> Float[Tensor, "*b"]:
    """Return the eyeball's radius at an angle from the optical axis, given its cosine.

    ``profile``: radius, height of the cornea's bulge (metres), cosine where it ends; ``growth``: scale.
    """
    t = ((1 - cosine) / (1 - profile[2])).clamp(0, 1)
    return (profile[0] + profile[1] * (1 - t) ** 2) * growth


def _hinge(x: Tensor) -> Tensor:
    """Compute max(x, 0) with a smooth corner."""
    return 0.5 * (x + torch.sqrt(x * x + SOFT * SOFT))


def rest_lids(
    lids: Float[Tensor, "*b 2 l 3"],
    center: Float[Tensor, "*b 2 3"],
    axis: Float[Tensor, "*b 2 3"],
    growth: Float[Tensor, "*b 2"],
    blink: Float[Tensor, "*b 2"],
    blink_shape: Float[Tensor, "2 c 3"],
    rim: Tensor,
    partner: Float[Tensor, "*s c c"],
    share: Float[Tensor, "*s c"],
    spread: Float[Tensor, "*s l c"],
    clearance: Float[Tensor, "*s l"],
    profile: Float[Tensor, "3"],
) -> Float[Tensor, "*b 2 l 3"]:
    """Project the lids' vertices (left and right eye) onto the eyeball.

    Args:
        lids: vertices after identity and expression, head frame, metres.
        center, axis, growth: the eyeballs' centres, unit optical axes and relative sizes.
        blink: weights of eyeBlink; blink_shape: that shape at the ``c`` vertices of the lids' edge.
        rim: which of the ``l`` vertices form the edge. What follows may have a leading dimension of two.
        partner: weights that express the opposite lid's edge.
        share: fraction of the distance to the opposite lid, positive for the upper one.
        spread: how an edge's movement propagates.
        clearance: minimum distance from the eyeball per vertex.
    """
    edge = lids[..., rim, :]
    b = blink.clamp(0, 1)
    full = edge + (1 - b)[..., None, None] * blink_shape
    closing = smoothstep(b, 0, 1)[..., None, None]
    edge_move = closing * share.abs()[..., None] * (partner @ full - full)
    edge = edge + edge_move
    crossing = _hinge(share.sign() * ((partner @ edge) - edge)[..., 1]) - SOFT / 2
    up = torch.zeros_like(edge)
    up[..., 1] = share * crossing.clamp(min=0)
    edge = edge + up
    ray = edge - center[..., None, :]
    distance = ray.norm(dim=-1, keepdim=True)
    cosine = (ray * axis[..., None, :]).sum(-1, keepdim=True) / distance
    target = eye_profile(cosine, profile, growth[..., None, None]) + CONTACT
    edge_move = edge_move + up + ray / distance * (target - distance)
    lids = lids + spread @ edge_move
    ray = lids - center[..., None, :]
    distance = ray.norm(dim=-1, keepdim=True)
    cosine = (ray * axis[..., None, :]).sum(-1, keepdim=True) / distance
    least = eye_profile(cosine, profile, growth[..., None, None]) + clearance[..., None]
    return lids + ray / distance * _hinge(least - distance)
