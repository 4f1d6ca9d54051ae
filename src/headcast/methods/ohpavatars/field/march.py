"""Samples along rays through posed heads: empty space is skipped, each sample carried to canonical space.

A posed head is a grid of cells that know their nearest triangle, and every triangle's affine map
(``head.warp.deformation_gradients``). A sample takes, of the triangles around its cell, the one whose middle
is nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headcast.camera import Camera
from headcast.head.warp import deformation_gradients
from headcast.methods.ohpavatars.field.march_kernels import fill_nearest, march_rays
from headcast.render.jit import parallel
from headcast.rotation import axis_angle_to_matrix

if TYPE_CHECKING:
    from headcast.head.model import HeadModel
    from headcast.head.params import HeadParams

__all__ = [
    "CELLS",
    "CUBE_LOW",
    "CUBE_SIDE",
    "HeadRays",
    "PosedHeads",
    "Samples",
    "camera_rays",
    "march",
    "pose_heads",
]

CUBE_SIDE = 0.44  # metres: the cube of the head frame in which the field lives, hair included
CUBE_LOW = (-0.22, -0.20, -0.20)  # metres, its lowest corner
CELLS = 44  # along a side of the grid of nearest triangles
REACH = 0.06  # metres from the middle of the nearest triangle beyond which there is nothing
STEP = 0.004  # metres between samples of a ray
OCCUPANCY_CELLS = 64
RAYS = 256  # rays a thread takes at a time
MOUTH = ("lips", "teeth", "gums", "tongue", "mouth")


class PosedHeads(NamedTuple):
    """F posed heads, in their own head frames (global pose undone), and how triangles map to canonical space.

    Attributes:
        nearest: (F, n, n, n) the triangle nearest to each cell, z running slowest; -1: none within reach.
        middle: (F, T, 3) middles of the triangles, metres.
        affine: (F, T, 12) rows of (3, 4) matrices to the canonical frame, metres.
        mouth: (T,) 1 on triangles in and around the mouth, where expressions change colours.
        expression: (F, 52) weights by ARKit name.
    """

    nearest: Int[Tensor, "f n n n"]
    middle: Float[Tensor, "f t 3"]
    affine: Float[Tensor, "f t 12"]
    mouth: Float[Tensor, " t"]
    expression: Float[Tensor, "f e"]


class _PosedHead(NamedTuple):
    """Nearest triangles, middles and affine maps of one head, as ``PosedHeads`` stacks them."""

    nearest: Int[Tensor, "n n n"]
    middle: Float[Tensor, "t 3"]
    affine: Float[Tensor, "t 12"]


class HeadRays(NamedTuple):
    """Rays in the head frames of the heads that they meet.

    Attributes:
        origin, direction: metres; unit length. head: row of ``PosedHeads``.
    """

    origin: Float[Tensor, "r 3"]
    direction: Float[Tensor, "r 3"]
    head: Int[Tensor, " r"]


class Samples(NamedTuple):
    """Packed samples of rays, near to far.

    Attributes:
        start, counts: of each ray. points: canonical, 0..1 in the cube. depth: metres from the origin.
        mouth: of the triangle. ray: of each sample. after: (r,) distance at which the next march goes on.
    """

    start: Int[Tensor, " r"]
    counts: Int[Tensor, " r"]
    points: Float[Tensor, "n 3"]
    depth: Float[Tensor, " n"]
    mouth: Float[Tensor, " n"]
    ray: Int[Tensor, " n"]
    after: Float[Tensor, " r"]


def pose_heads(head: HeadModel, params: Sequence[HeadParams], canonical: Float[Tensor, "v 3"]) -> PosedHeads:
    """Pose a head for every frame, and prepare how space around it maps to the canonical head's.

    Args:
        head: bound to the person. params: unbatched; the global pose is left out.
        canonical: vertices of the same mesh in the canonical pose, metres.
    """
    found = [_pose_head(head, p, canonical) for p in params]
    nearest, middle, affine = (torch.stack(x) for x in zip(*found, strict=True))
    wanted = [i for i, n in enumerate(head.region_names) if n in MOUTH]
    in_mouth = torch.isin(head.region, torch.tensor(wanted))[head.faces].any(1).float()
    return PosedHeads(nearest, middle, affine, in_mouth, torch.stack([p.expression for p in params]).float())


def _pose_head(head: HeadModel, params: HeadParams, canonical: Float[Tensor, "v 3"]) -> _PosedHead:
    """Pose one head without its global pose."""
    still = torch.zeros(3)
    with torch.no_grad():
        posed = head(params.replace(rotation=still, translation=still)).float()
    gradient, offset = deformation_gradients(posed, canonical.float(), head.faces)
    affine = torch.cat([gradient, offset[..., None]], -1).reshape(-1, 12).contiguous()
    middle = posed[head.faces].mean(1).contiguous()
    nearest = np.full((CELLS,) * 3, -1, np.int32)
    low = np.array(CUBE_LOW, np.float32)
    fill_nearest(middle.numpy(), low, CUBE_SIDE / CELLS, REACH, nearest)
    return _PosedHead(torch.from_numpy(nearest), middle, affine)


def camera_rays(camera: Camera, params: HeadParams, pixels: Float[Tensor, "r 2"], head: int) -> HeadRays:
    """Cast rays through pixels (x, y; centres at +0.5) into the frame of a posed head.

    Args:
        head: row of ``PosedHeads`` that they meet.
    """
    K, pose = camera.K, camera.cam_from_world
    x = (pixels - K[:2, 2]) / torch.stack([K[0, 0], K[1, 1]])
    in_camera = torch.cat([x, torch.ones_like(x[:, :1])], -1)
    turn = axis_angle_to_matrix(params.rotation)
    direction = torch.nn.functional.normalize(in_camera @ pose[:3, :3] @ turn, dim=-1)
    origin = (camera.center - params.translation) @ turn
    rows = torch.full((len(pixels),), head, dtype=torch.long)
    return HeadRays(origin.expand_as(direction).contiguous(), direction.contiguous(), rows)


def march(
    heads: PosedHeads,
    rays: HeadRays,
    occupied: Bool[Tensor, "m m m"] | None,
    *,
    jitter: Float[Tensor, " r"] | None = None,
    after: Float[Tensor, " r"] | None = None,
    most: int = 64,
) -> Samples:
    """Take the next samples of rays, at most ``most`` of each, where something may be.

    Args:
        occupied: cells of canonical space where there is density; None: everywhere within reach.
        jitter: 0..1 of a step, by which each ray's samples are moved on.
        after: distances at which rays go on; None: where they enter the cube.
    """
    r = len(rays.origin)
    points, depth, mouth = (
        np.empty((r, most, 3), np.float32),
        np.empty((r, most), np.float32),
        np.empty((r, most), np.float32),
    )
    count, end = np.zeros(r, np.int64), np.zeros(r, np.float32)
    cells = np.ones((1, 1, 1), bool) if occupied is None else occupied.numpy()
    shift = np.full(r, 0.5, np.float32) if jitter is None else jitter.numpy()
    begin = np.full(r, -1.0, np.float32) if after is None else after.contiguous().numpy()
    given = (rays.origin.numpy(), rays.direction.numpy(), rays.head.numpy(), shift, begin)
    space = (heads.nearest.numpy(), heads.middle.numpy(), heads.affine.numpy(), heads.mouth.numpy(), cells)
    low, numbers = np.array(CUBE_LOW, np.float32), np.array([CUBE_SIDE, STEP], np.float32)
    out = (points, depth, mouth, count, end)
    parallel(
        lambda k: march_rays(*given, *space, low, numbers, *out, k * RAYS, min((k + 1) * RAYS, r)),
        -(-r // RAYS),
    )
    kept = np.arange(most)[None] < count[:, None]
    counts = torch.from_numpy(count)
    return Samples(
        start=torch.cumsum(counts, 0) - counts,
        counts=counts,
        points=torch.from_numpy(points[kept]),
        depth=torch.from_numpy(depth[kept]),
        mouth=torch.from_numpy(mouth[kept]),
        ray=torch.repeat_interleave(torch.arange(r), counts),
        after=torch.from_numpy(end),
    )
