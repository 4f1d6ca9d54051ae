"""Colours of an avatar's Gaussians as a map in the UV of the surface that they lie on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.shell import Shell
from headcast.head.model import HeadModel

__all__ = ["UvColours", "gaussian_uv", "surfaces_of", "uv_colours"]

REACHES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Standard deviations, texels, of the means that fill a map: the finest that has evidence counts."""
MIN_EVIDENCE = 0.05  # weight of a mean, in Gaussians, from which it counts in full


class UvColours(NamedTuple):
    """A map of albedo in UV and how much evidence each texel has.

    Attributes:
        albedo: (S, S, 3) sRGB display values, filled everywhere. evidence: (S, S) Gaussians about a texel.
    """

    albedo: Float[np.ndarray, "s s 3"]
    evidence: Float[np.ndarray, "s s"]


def surfaces_of(avatar: GaussianAvatar) -> list[tuple[HeadModel | Shell, int, int]]:
    """List head and shells with the range of triangles of each in the joint surface."""
    out: list[tuple[HeadModel | Shell, int, int]] = []
    start = 0
    for mesh in (avatar.head, *avatar.mesh.surface.shells):
        out.append((mesh, start, start + len(mesh.faces)))
        start += len(mesh.faces)
    return out


def gaussian_uv(
    avatar: GaussianAvatar, mesh: HeadModel | Shell, index: Int[Tensor, "n"], start: int
) -> Float[Tensor, "n 2"]:
    """Return where Gaussians ``index`` lie in the UV of ``mesh``, whose first triangle is ``start``."""
    corner = mesh.uv[mesh.faces_uv[avatar.gaussians.triangle[index] - start]]
    return (corner * avatar.bary[index][..., None]).sum(1)


def uv_colours(
    uv: Float[Tensor, "n 2"], albedo: Float[Tensor, "n 3"], weight: Float[Tensor, "n"], side: int
) -> UvColours:
    """Gather colours of points in a ``side``² map by normalized means, the finest with enough evidence."""
    import cv2

    total = np.zeros((side, side, 4), np.float32)
    at = (uv.numpy() * side - 0.5).clip(0, side - 1.001)
    low = np.floor(at).astype(int)
    part = at - low
    values = torch.cat([albedo * weight[:, None], weight[:, None]], 1).numpy()
    for dy in (0, 1):
        for dx in (0, 1):
            share = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            np.add.at(total, (low[:, 1] + dy, low[:, 0] + dx), values * share[:, None].astype(np.float32))
    evidence = total[..., 3].copy()
    out = np.full((side, side, 3), float(values[:, :3].sum() / max(3 * values[:, 3].sum(), 1e-6)), np.float32)
    for reach in reversed(REACHES):
        mean = cv2.GaussianBlur(total, (0, 0), reach)
        known = (mean[..., 3:] / MIN_EVIDENCE).clip(0, 1)
        out += known * (mean[..., :3] / np.maximum(mean[..., 3:], 1e-6) - out)
    return UvColours(out, evidence)
