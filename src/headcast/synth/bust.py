"""The opaque body of a synthetic person as one mesh: head, a torso that continues the neck, glasses.

Texture coordinates of all of it lie in one tall atlas: the head's square on top, below it a strip of a
quarter of its height for clothes (left) and the frames of glasses (the last 1/16 of its width).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.head.model import HeadModel

__all__ = ["GLASSES", "HEAD", "STRIP", "TORSO", "Bust", "boundary_loop", "make_bust"]

STRIP = 0.25
"""Height of the strip below the head's square, in units of its side."""

HEAD, TORSO, GLASSES = 0, 1, 2
"""Kinds of faces (``Bust.kind``)."""

RINGS, FRAME_PATCH = 12, 1 / 16
RIM, ACROSS, TEMPLE = 40, 6, 8


@dataclass(frozen=True)
class Bust:
    """Topology of head, torso and glasses.

    Attributes:
        faces, faces_uv: (F, 3); uv: (U, 2) in the tall atlas, v in 0..1 over its height.
        kind: (F,) HEAD, TORSO or GLASSES. loop: vertices of the skin's lower edge, in order.
        torso: (T, 3) rest positions of the torso's own vertices; follow (T,): how much they go along with the
            skin's edge; ring (T,): which vertex of the loop each hangs on.
        head_count, torso_count, glasses_count: vertices; they come in this order.
        incident: (V, D) faces around each vertex, padded with F.
    """

    faces: Int[Tensor, "f 3"]
    faces_uv: Int[Tensor, "f 3"]
    uv: Float[Tensor, "u 2"]
    kind: Int[Tensor, " f"]
    loop: Int[Tensor, " l"]
    torso: Float[Tensor, "t 3"]
    follow: Float[Tensor, " t"]
    ring: Int[Tensor, " t"]
    head_count: int
    torso_count: int
    glasses_count: int
    incident: Int[Tensor, "v d"]


def boundary_loop(head: HeadModel) -> Int[Tensor, " l"]:
    """Return the vertices of the skin's lower open edge, ordered around the neck (subject's left first)."""
    skin = head.faces[head.part_faces("skin")]
    edges = torch.cat([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]]).sort(1).values
    unique, count = torch.unique(edges, dim=0, return_counts=True)
    rim = unique[count == 1].unique()
    rim = rim[head.neutral[rim, 1] < -0.1]
    p = head.neutral[rim]
    angle = torch.atan2(p[:, 0], p[:, 2] - p[:, 2].mean())
    return rim[angle.argsort()]


def make_bust(head: HeadModel) -> Bust:
    """Build the bust of a head model (on its device)."""
    device = head.neutral.device
    loop = boundary_loop(head)
    torso, follow = torso_rings(head.neutral[loop])
    n, v = len(loop), len(head.neutral)
    rows = torch.cat([loop[None], v + torch.arange(RINGS * n, device=device).view(RINGS, n)])
    torso_faces = strip_faces(rows)
    grid = torch.arange((RINGS + 1) * (n + 1), device=device).view(RINGS + 1, n + 1)
    glasses_faces, glasses_count = glasses_topology(device)
    first = v + RINGS * n
    faces = (head.faces, torso_faces, glasses_faces + first)
    head_uv, strip_uv, patch = atlas_uv(head, n)
    u0, u1 = len(head_uv), len(head_uv) + len(strip_uv)
    faces_uv = (head.faces_uv, strip_faces(grid, closed=False) + u0, torch.full_like(glasses_faces, u1))
    kinds = zip((HEAD, TORSO, GLASSES), faces, strict=True)
    return Bust(
        faces=torch.cat(faces),
        faces_uv=torch.cat(faces_uv),
        uv=torch.cat([head_uv, strip_uv, patch]),
        kind=torch.cat([torch.full((len(f),), k, device=device) for k, f in kinds]),
        loop=loop,
        torso=torso.reshape(-1, 3),
        follow=follow.repeat_interleave(n),
        ring=torch.arange(n, device=device).repeat(RINGS),
        head_count=v,
        torso_count=RINGS * n,
        glasses_count=glasses_count,
        incident=incident_faces(torch.cat(faces), first + glasses_count),
    )


class AtlasUv(NamedTuple):
    """Texture coordinates in the tall atlas of head, torso (a grid of rings) and glasses (one point)."""

    head: Tensor
    strip: Tensor
    patch: Tensor


def atlas_uv(head: HeadModel, around: int) -> AtlasUv:
    """Lay out head, torso and glasses; ``around``: vertices of one ring of the torso."""
    device, total = head.neutral.device, 1 + STRIP
    u = torch.linspace(0.004, 1 - FRAME_PATCH - 0.01, around + 1, device=device)
    v = torch.linspace(0.02, 0.98, RINGS + 1, device=device)
    grid = torch.stack(torch.meshgrid(v, u, indexing="ij"), -1).flip(-1).reshape(-1, 2)
    below = grid * torch.tensor([1.0, STRIP], device=device) + torch.tensor([0, 1.0], device=device)
    return AtlasUv(
        head=head.uv * torch.tensor([1.0, 1 / total], device=device),
        strip=below / torch.tensor([1.0, total], device=device),
        patch=torch.tensor([[1 - FRAME_PATCH / 2, (1 + STRIP / 2) / total]], device=device),
    )


def torso_rings(edge: Float[Tensor, "l 3"]) -> tuple[Float[Tensor, "r l 3"], Float[Tensor, " r"]]:
    """Make rings from the skin's edge to the chest; return them with how much each follows the edge."""
    depth = -0.02  # z of the torso's axis
    flat = edge - torch.tensor([0.0, 0.0, depth], device=edge.device)
    angle = torch.atan2(flat[:, 0], flat[:, 2])
    x, z = angle.sin(), angle.cos()
    start, chest = flat[:, [0, 2]].norm(dim=1), chest_radius(x, z)
    slope = 0.035 * (x * x) ** 2  # of the shoulders
    shoulder = edge[:, 1].mean() * 0.4 + edge[:, 1] * 0.6 - slope
    rings, follow = [], []
    for k in range(1, RINGS + 1):
        t = k / RINGS
        out = math.sin(min(t / 0.5, 1.0) * math.pi / 2)
        r = start + (chest - start).clamp(min=0.002) * out
        sink = 0.045 * (min(t / 0.5, 1.0)) ** 1.5 + 0.34 * max(t - 0.35, 0.0) ** 1.15
        y = edge[:, 1] * (1 - out) + shoulder * out - sink
        rings.append(torch.stack([x * r, y, z * r + depth], -1))
        follow.append(max(1 - t * 1.6, 0.0))
    return torch.stack(rings), torch.tensor(follow, device=edge.device)


def chest_radius(x: Float[Tensor, " l"], z: Float[Tensor, " l"]) -> Float[Tensor, " l"]:
    """Return the radius of the chest, a superellipse, in unit directions (x, z), metres."""
    power = 2.6
    return ((x.abs() / 0.222) ** power + (z.abs() / 0.118) ** power) ** (-1 / power)


def strip_faces(grid: Int[Tensor, "r c"], closed: bool = True) -> Int[Tensor, "f 3"]:
    """Return triangles between rows of a grid of vertices; ``closed``: the last column meets the first."""
    left = grid if closed else grid[:, :-1]
    right = grid.roll(-1, 1) if closed else grid[:, 1:]
    a, b, c, d = left[:-1], right[:-1], left[1:], right[1:]
    return torch.stack([torch.stack([a, c, b], -1), torch.stack([b, c, d], -1)], 2).reshape(-1, 3)


def glasses_topology(device: torch.device) -> tuple[Int[Tensor, "f 3"], int]:
    """Return triangles of rims, bridge and temples (tubes of ``ACROSS`` sides), and the vertex count."""
    faces, first = [], 0
    for rows, closed in ((RIM, True), (RIM, True), (TEMPLE, False), (TEMPLE, False), (TEMPLE, False)):
        grid = first + torch.arange(rows * ACROSS, device=device).view(rows, ACROSS)
        faces.append(strip_faces(torch.cat([grid, grid[:1]]) if closed else grid))
        first += rows * ACROSS
    return torch.cat(faces), first


def incident_faces(faces: Int[Tensor, "f 3"], vertices: int) -> Int[Tensor, "v d"]:
    """Return the faces around each vertex, in order, padded with the number of faces."""
    flat = faces.reshape(-1)
    order = flat.argsort(stable=True)
    owner = flat[order]
    count = torch.bincount(owner, minlength=vertices)
    rank = torch.arange(len(owner), device=faces.device) - (count.cumsum(0) - count)[owner]
    table = torch.full((vertices, int(count.max())), len(faces), device=faces.device)
    table[owner, rank] = order // 3
    return table
