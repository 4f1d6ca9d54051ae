"""Hair as shell layers: surfaces with strands of varying opacity.

A hair style is its CC0 mesh (``head.hair``) and a thinner copy a little further out; a beard and a buzz cut
are copies of the skin pushed outwards; lashes are a strip on each upper lid. The pattern of strands is a
function of a point's rest position, so nothing is painted per person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from headcast.head.hair import HairAsset, HairItem
from headcast.head.model import HeadModel
from headcast.render.geometry import vertex_normals

__all__ = [
    "FREE_HAIR",
    "TEST_HAIR",
    "HairShells",
    "beard_shells",
    "buzz_shells",
    "lash_shells",
    "merge_shells",
    "style_shells",
]

CROWN = (0.0, 0.075, -0.012)
CROWN_AXIS = (0.0, 0.91, -0.41)
"""Where strands start: a point inside the head, and the direction of the whorl."""

TEST_HAIR = ("short02", "bob02", "braid01")
"""Styles that only the test split wears."""

FREE_HAIR = ("bald", "buzzed")
"""Styles that are no meshes; both splits wear them."""

SHELLS = ((0.0, 0.0), (0.0045, 1.0))
"""Offset (metres) and level of a style's two copies."""

INVISIBLE = (0.1, 0.24)
"""Cover up to which the copies are transparent: such triangles would only use up layers."""

LASH_LENGTH = 0.0085
"""Metres."""

STYLE, BUZZ, BEARD, LASH, CURLS = 0, 1, 2, 3, 4
"""Kinds of hair (``HairShells.kind``)."""


@dataclass(frozen=True)
class HairShells:
    """Shell layers of one kind, V vertices.

    Attributes:
        rest (V, 3) metres, head frame; basis (I, V, 3) change by identity; joints (V, J) skin weights; for
            what stands on skin: anchor (V,) skin vertices (else -1).
        offset (V,): metres along the surface's normal (times a length for beards).
        out (V, 3): unit normals at rest. flow (V, 3): unit direction of the strands at rest.
        cover (V,): 0 at the rim of the growth, 1 well inside. level (V,): 0 inner layer .. 1 outer.
        kind (V,): STYLE, BUZZ, BEARD, LASH or CURLS. faces (F, 3).
    """

    rest: Float[Tensor, "v 3"]
    basis: Float[Tensor, "i v 3"]
    joints: Float[Tensor, "v j"]
    anchor: Int[Tensor, " v"]
    offset: Float[Tensor, " v"]
    out: Float[Tensor, "v 3"]
    flow: Float[Tensor, "v 3"]
    cover: Float[Tensor, " v"]
    level: Float[Tensor, " v"]
    kind: Int[Tensor, " v"]
    faces: Int[Tensor, "f 3"]


def hair_flow(points: Float[Tensor, "v 3"], out: Float[Tensor, "v 3"]) -> Float[Tensor, "v 3"]:
    """Return the direction of combed hair: away from the whorl, along the surface; down below the ears."""
    axis = torch.tensor(CROWN_AXIS, device=points.device)
    d = normalize(points - torch.tensor(CROWN, device=points.device), dim=-1)
    away = (d * axis).sum(-1, keepdim=True) * d - axis
    low = ((-0.01 - points[:, 1]) / 0.06).clamp(0, 1)[:, None]
    away = normalize(away, dim=-1) * (1 - low) + low * torch.tensor([0.0, -1.0, 0.0], device=points.device)
    return normalize(away - (away * out).sum(-1, keepdim=True) * out, dim=-1)


def style_shells(head: HeadModel, item: HairItem, mirrored: bool = False) -> HairShells:
    """Make the two shell layers of a hair style, or of its mirror image."""
    item = on_device(item, head.neutral.device)
    if mirrored:
        flip = torch.tensor([-1.0, 1.0, 1.0], device=head.neutral.device)
        item = replace(item, vertices=item.vertices * flip, faces=item.faces.flip(1))
    vertices, faces = item.vertices, item.faces
    skin, weight = item.carriers(head)
    out = vertex_normals(vertices, faces)
    cover = rim_cover(head, vertices, faces)
    surface = ShellSurface(
        rest=vertices,
        basis=(head.identity_basis[:, skin] * weight[..., None]).sum(2),
        joints=(head.skin_weights[skin] * weight[..., None]).sum(1),
        anchor=torch.full((len(vertices),), -1, device=vertices.device),
        out=out,
        flow=hair_flow(vertices, out),
        cover=cover,
    )
    kind = CURLS if item.name.startswith("afro") else STYLE
    return stack_shells(surface, SHELLS, kind, [faces[(cover[faces] > bare).any(1)] for bare in INVISIBLE])


class ShellSurface(NamedTuple):
    """A surface that shell layers are copies of; fields as in ``HairShells``."""

    rest: Tensor
    basis: Tensor
    joints: Tensor
    anchor: Tensor
    out: Tensor
    flow: Tensor
    cover: Tensor


def stack_shells(
    surface: ShellSurface, layers: tuple[tuple[float, float], ...], kind: int, faces: list[Tensor]
) -> HairShells:
    """Copy a surface once for each layer: its offset, level and faces."""
    n, count, device = len(surface.rest), len(layers), surface.rest.device
    return HairShells(
        rest=surface.rest.repeat(count, 1),
        basis=surface.basis.repeat(1, count, 1),
        joints=surface.joints.repeat(count, 1),
        anchor=surface.anchor.repeat(count),
        offset=torch.cat([torch.full((n,), offset, device=device) for offset, _ in layers]),
        out=surface.out.repeat(count, 1),
        flow=surface.flow.repeat(count, 1),
        cover=surface.cover.repeat(count),
        level=torch.cat([torch.full((n,), level, device=device) for _, level in layers]),
        kind=torch.full((n * count,), kind, device=device),
        faces=torch.cat([f + n * i for i, f in enumerate(faces)]),
    )


def on_device(item: HairItem, device: torch.device) -> HairItem:
    """Move the item's tensors to a device."""
    names = ("vertices", "faces", "uv", "faces_uv")
    return replace(item, **{n: getattr(item, n).to(device) for n in names})


def rim_cover(head: HeadModel, vertices: Tensor, faces: Tensor) -> Float[Tensor, " v"]:
    """Return 0 at a style's hairline and loose ends, rising to 1 over 6 mm and 26 mm."""
    rim = open_edge_vertices(vertices, faces)
    rim = rim[has_nothing_beyond(vertices, faces, rim)]
    skin = head.region_mask("scalp", "face", "ears", "neck").nonzero()[:, 0]
    gap, nearest = torch.cdist(vertices[rim], head.neutral[skin]).min(1)
    p, bald = vertices[rim], ~head.region_mask("scalp")[skin[nearest]]
    hanging = (p[:, 1] < 0.02) | ((p[:, 2] > 0.062) & (p[:, 1] < 0.08))
    rim, gap = (x[torch.where(gap < 0.01, bald, hanging)] for x in (rim, gap))
    if not len(rim):
        return torch.ones(len(vertices), device=vertices.device)
    reach = 0.006 + 0.02 * ((gap - 0.008) / 0.012).clamp(0, 1)
    distance, nearest = torch.cdist(vertices, vertices[rim]).min(1)
    return (distance / reach[nearest]).clamp(max=1)


def open_edge_vertices(vertices: Tensor, faces: Tensor) -> Int[Tensor, " r"]:
    """Find vertices of edges with one face only; vertices within 1.2 mm of each other count as one."""
    _, welded = torch.unique((vertices / 0.0012).round().long(), dim=0, return_inverse=True)
    f = welded[faces]
    f = f[(f != f.roll(1, 1)).all(1)].sort(1).values.unique(dim=0)
    edges = torch.cat([f[:, [0, 1]], f[:, [1, 2]], f[:, [0, 2]]])
    unique, count = torch.unique(edges, dim=0, return_counts=True)
    return torch.isin(welded, unique[count == 1].unique()).nonzero()[:, 0]


def has_nothing_beyond(vertices: Tensor, faces: Tensor, rim: Tensor) -> Bool[Tensor, " r"]:
    """Find vertices of open edges with no other piece of the mesh beyond them: styles are many patches."""
    corners = vertices[faces]
    middle = corners.mean(1)
    total = torch.zeros_like(vertices).index_add_(0, faces.reshape(-1), middle.repeat_interleave(3, 0))
    count = torch.zeros_like(vertices[:, 0]).index_add_(
        0, faces.reshape(-1), torch.ones_like(middle[:, 0]).repeat_interleave(3)
    )
    inward = normalize(total / count.clamp(min=1)[:, None] - vertices, dim=-1)[rim]
    ahead = vertices[rim] - 0.009 * inward
    samples = torch.cat([middle, *(0.5 * (corners[:, k] + corners[:, k - 1]) for k in range(3)), vertices])
    gap = torch.cat([torch.cdist(a, samples).amin(1) for a in ahead.split(512)])
    return gap > 0.0065


def extrude_skin(
    head: HeadModel, keep: Tensor, cover: Tensor, layers: tuple[tuple[float, float], ...], kind: int
) -> HairShells:
    """Make shell layers: copies of part of the skin at offsets along its normals."""
    skin = head.faces[head.part_faces("skin")]
    faces = skin[keep[skin].all(1)]
    used, local = faces.unique(return_inverse=True)
    normals = head.vertex_normals(head.neutral)[used]
    rest = head.neutral[used]
    flow = hair_flow(rest, normals)
    if kind == BEARD:
        down = torch.tensor([0.0, -1.0, -0.25], device=rest.device) + 0.9 * normals
        flow = normalize(down - 0.5 * (down * normals).sum(-1, keepdim=True) * normals, dim=-1)
    basis, joints = head.identity_basis[:, used], head.skin_weights[used]
    surface = ShellSurface(rest, basis, joints, used, normals, flow, cover[used])
    return stack_shells(surface, layers, kind, [local] * len(layers))


def buzz_shells(head: HeadModel, cover: Float[Tensor, " v"]) -> HairShells:
    """Make very short hair on the scalp."""
    return extrude_skin(head, cover > 0.02, cover, ((0.0015, 0.35), (0.0032, 1.0)), BUZZ)


def beard_shells(head: HeadModel, cover: Float[Tensor, " v"]) -> HairShells:
    """Make a beard; offsets are fractions of its length."""
    return extrude_skin(head, cover > 0.02, cover, ((0.35, 0.2), (1.0, 1.0)), BEARD)


def lash_shells(head: HeadModel) -> HairShells:
    """Make upper lashes: strips of two rows, offset along ``out``."""
    rows = [lash_line(head, side) for side in range(2)]
    anchor = torch.cat([row.repeat(2) for row in rows])
    out = torch.cat([lash_directions(head, side, row).repeat(2, 1) for side, row in enumerate(rows)])
    zero = torch.zeros(len(anchor), device=out.device)
    tip = torch.tensor([0.0, LASH_LENGTH], device=out.device)
    return HairShells(
        rest=head.neutral[anchor],
        basis=head.identity_basis[:, anchor],
        joints=head.skin_weights[anchor],
        anchor=anchor,
        offset=torch.cat([tip.repeat_interleave(len(row)) for row in rows]),
        out=out,
        flow=out,
        cover=torch.cat([lash_cover(len(row), out.device) for row in rows]),
        level=zero,
        kind=torch.full((len(anchor),), LASH, device=out.device),
        faces=lash_faces([len(row) for row in rows], out.device),
    )


def lash_line(head: HeadModel, side: int) -> Int[Tensor, " n"]:
    """Return the vertices of an upper lid's margin, by x; side 0 is the subject's left."""
    rim = head.lid_index[side][head.lid_rim]
    upper = rim[head.lid_share > 0]
    return upper[head.neutral[upper, 0].argsort()]


def lash_directions(head: HeadModel, side: int, row: Int[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """Return where lashes point: away from the eyeball, upwards."""
    lateral = normalize(head.neutral[row] - head.joint_neutral[4 + side], dim=-1)
    sideways = torch.tensor([1.3, 0.2, 1.0], device=row.device)
    up = torch.tensor([0.0, 0.85, 0.0], device=row.device)
    return normalize(lateral * sideways + up, dim=-1)


def lash_cover(n: int, device: torch.device) -> Float[Tensor, " m"]:
    """Return the cover of a strip's two rows: 1 at the roots, less towards the eye's corners, 0 at tips."""
    ends = torch.linspace(0, 1, n, device=device)
    roots = torch.cat([torch.ones(n, device=device), torch.zeros(n, device=device)])
    return roots * (4 * ends * (1 - ends)).clamp(max=1).sqrt().repeat(2)


def lash_faces(lengths: list[int], device: torch.device) -> Int[Tensor, "f 3"]:
    """Return triangles between the two rows of each strip."""
    faces, first = [], 0
    for n in lengths:
        i = torch.arange(n - 1, device=device) + first
        faces += [torch.stack([i, i + 1, i + n], 1), torch.stack([i + 1, i + n + 1, i + n], 1)]
        first += 2 * n
    return torch.cat(faces)


def merge_shells(parts: list[HairShells]) -> HairShells:
    """Merge several kinds into one mesh."""
    first, faces = 0, []
    for p in parts:
        faces.append(p.faces + first)
        first += len(p.rest)
    stacked = {
        n: torch.cat([getattr(p, n) for p in parts], 1 if n == "basis" else 0)
        for n in ("rest", "basis", "joints", "anchor", "offset", "out", "flow", "cover", "level", "kind")
    }
    return HairShells(**stacked, faces=torch.cat(faces))


def cut_height(rest: Float[Tensor, "*b 3"], cut: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b"]:
    """Return the height (at rest, metres) at which hair ends: ``cut`` is that of the fringe and the rest."""
    front = ((rest[..., 2] - 0.062) / 0.02).clamp(0, 1) * ((0.074 - rest[..., 0].abs()) / 0.012).clamp(0, 1)
    return cut[..., 1] + (cut[..., 0] - cut[..., 1]) * front


def strand_coordinates(rest: Float[Tensor, "m 3"]) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Return coordinates across (turns around the whorl) and along (metres from it) the strands."""
    axis = torch.tensor(CROWN_AXIS, device=rest.device)
    d = rest - torch.tensor(CROWN, device=rest.device)
    up = (d * axis).sum(-1)
    forward = torch.tensor([0.0, -axis[2], axis[1]], device=rest.device)
    front = (d * forward).sum(-1)
    turn = torch.atan2(d[:, 0], front) / (2 * math.pi)
    polar = torch.atan2((d - up[:, None] * axis).norm(dim=-1), up)
    low = (-0.02 - rest[:, 1]).clamp(min=0)
    return turn, 0.1 * polar + low


def load_styles(head: HeadModel) -> dict[str, HairItem]:
    """Load the bundled styles by name."""
    asset = HairAsset.load()
    return {n: asset[n] for n in sorted(asset.of_kind("hair"))}
