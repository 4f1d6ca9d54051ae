"""Ambient occlusion of the mouth interior."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headcast.head.model import HeadModel

__all__ = ["INSIDE", "inside_mouth", "mouth_occlusion"]

INSIDE = ("teethUpper", "teethLower", "gums", "tongue", "mouth")
BOUNCE = 0.05
"""Fraction of the light that arrives by reflection at any depth."""
CLOSED = 4e-4
"""Metres added to the gap between the lips: they are never light-tight."""


def inside_mouth(head: HeadModel) -> Bool[Tensor, "v"]:
    """Return which vertices belong to the parts inside the mouth."""
    inside = torch.zeros(len(head.neutral), dtype=torch.bool, device=head.neutral.device)
    for name in INSIDE:
        if name in head.part_names:
            inside[head.faces[head.part == head.part_names.index(name)]] = True
    return inside


def mouth_occlusion(
    head: HeadModel, vertices: Float[Tensor, "*b v 3"], inside: Bool[Tensor, "v"] | None = None
) -> Float[Tensor, "*b v"]:
    """Compute the factor on the light that each vertex receives: 1 outside the mouth, less behind the lips.

    The opening between the inner lips is taken as a rectangle, as wide as the mouth and as high as the gap; a
    point at depth d behind a slit of half height a sees the fraction a / sqrt(a² + d²) of the light through
    it, and here the product of those of both directions. Depth counts from the lips' curve, which recedes
    towards the corners. ``BOUNCE`` of the rest arrives by reflection.

    Args:
        vertices: of a posed head, in any rigid frame, metres.
        inside: ``inside_mouth(head)`` where it is known already.
    """
    inside = inside_mouth(head) if inside is None else inside
    points = head.landmarks(vertices, 68)
    lips = points[..., 60:68, :]
    corners = lips[..., 0, :], lips[..., 4, :]
    gap = (lips[..., [1, 2, 3], :] - lips[..., [7, 6, 5], :]).norm(dim=-1).mean(-1)
    width = (corners[0] - corners[1]).norm(dim=-1)
    sides = torch.stack([gap + CLOSED, width], -1)[..., None, :]
    depth = _depth(points, lips, vertices[..., inside, :]).clamp(min=0)
    factor = torch.ones_like(vertices[..., 0])
    seen = (sides / (sides**2 + 4 * depth[..., None] ** 2).sqrt()).prod(-1)
    factor[..., inside] = BOUNCE + (1 - BOUNCE) * seen
    return factor


def _depth(
    points: Float[Tensor, "*b 68 3"], lips: Float[Tensor, "*b 8 3"], deep: Float[Tensor, "*b n 3"]
) -> Float[Tensor, "*b n"]:
    """Return how far points lie behind the parabola through the inner lips' front and corners, metres."""
    corners = lips[..., 0, :], lips[..., 4, :]
    out = _mouth_direction(points, corners)[..., None]
    across = corners[1] - corners[0]
    front, side = lips[..., [1, 2, 3, 5, 6, 7], :].mean(-2, keepdim=True), (corners[0] + corners[1]) / 2
    recession = ((front - side[..., None, :]) @ out).clamp(min=0)[..., 0]
    half = (across**2).sum(-1, keepdim=True)[..., None] / 2
    lateral = ((deep - side[..., None, :]) @ across[..., None] / half.clamp(min=1e-9)).clamp(-1, 1)[..., 0]
    return ((front - deep) @ out)[..., 0] - recession * lateral**2


def _mouth_direction(points: Tensor, corners: tuple[Tensor, Tensor]) -> Tensor:
    """Return the unit direction out of the mouth."""
    up = points[..., [21, 22], :].mean(-2) - points[..., 8, :]
    across = torch.nn.functional.normalize(corners[1] - corners[0], dim=-1)
    return torch.nn.functional.normalize(torch.linalg.cross(across, up), dim=-1)
