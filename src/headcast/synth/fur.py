"""Hair as shell layers: surfaces with strands of varying opacity.

A hair style is its CC0 mesh (``head.hair``) and a thinner copy a little further out; a beard and a buzz cut
are copies of the skin pushed outwards; lashes are a strip on each upper lid. The pattern of strands is a
function of a point's rest position, so nothing is painted per person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from headcast.head.hair import HairAsset, HairItem
from headcast.head.model import HeadModel
from headcast.render.geometry import vertex_normals

__all__ = ["FREE_HAIR", "TEST_HAIR", "Fur", "beard_fur", "buzz_fur", "lash_fur", "merge_furs", "style_fur"]

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

STYLE, BUZZ, BEARD, LASH, CURLS = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class Fur:
    """Shell layers of one kind, V vertices.

    Attributes:
        rest (V, 3) metres, head frame; basis (I, V, 3) change by identity; joints (V, J) skin weights; for
            what stands on skin: anchor (V,) skin vertices (else -1).
        offset (V,): metres along the surface's normal (times a length for beards).
        out (V, 3): unit normals at rest. flow (V, 3): unit direction of the strands at rest.
        cover (V,): 0 at the rim of the growth, 1 well inside. level (V,): 0 inner layer .. 1 outer.
        kind (V,): style, buzz, beard or lash. faces (F, 3).
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


def style_fur(head: HeadModel, item: HairItem, mirrored: bool = False) -> Fur:
    """Make the two shell layers of a hair style, or of its mirror image."""
    item = on_device(item, head.neutral.device)
    if mirrored:
        flip = torch.tensor([-1.0, 1.0, 1.0], device=head.neutral.device)
        item = replace(item, vertices=item.vertices * flip, faces=item.faces.flip(1))
    vertices, faces = item.vertices, item.faces
    skin, weight = item.carriers(head)
    basis = (head.identity_basis[:, skin] * weight[..., None]).sum(2)
    joints = (head.skin_weights[skin] * weight[..., None]).sum(1)
    out = vertex_normals(vertices, faces)
    cover = rim_cover(head, vertices, faces)
    layers = [(vertices, o, level) for o, level in SHELLS]
    n, count = len(vertices), len(layers)
    return Fur(
        vertices.repeat(count, 1),
        basis.repeat(1, count, 1),
        joints.repeat(count, 1),
        torch.full((n * count,), -1, device=vertices.device),
        torch.cat([torch.full((n,), o, device=vertices.device) for _, o, _ in layers]),
        out.repeat(count, 1),
        hair_flow(vertices, out).repeat(count, 1),
        cover.repeat(count),
        torch.cat([torch.full((n,), level, device=vertices.device) for _, _, level in layers]),
        torch.full((n * count,), CURLS if item.name.startswith("afro") else STYLE, device=vertices.device),
        torch.cat([faces[(cover[faces] > bare).any(1)] + n * i for i, bare in enumerate(INVISIBLE)]),
    )


def on_device(item: HairItem, device: torch.device) -> HairItem:
    """Move the item's tensors to a device."""
    names = ("vertices", "faces", "uv", "faces_uv")
    return replace(item, **{n: getattr(item, n).to(device) for n in names})


def rim_cover(head: HeadModel, vertices: Tensor, faces: Tensor) -> Float[Tensor, " v"]:
    """Return 0 at a style's hairline and loose ends, rising to 1 over 6 mm and 26 mm."""
    _, welded = torch.unique((vertices / 0.0012).round().long(), dim=0, return_inverse=True)
    f = welded[faces]
    f = f[(f != f.roll(1, 1)).all(1)].sort(1).values.unique(dim=0)
    edges = torch.cat([f[:, [0, 1]], f[:, [1, 2]], f[:, [0, 2]]])
    unique, count = torch.unique(edges, dim=0, return_counts=True)
    rim = torch.isin(welded, unique[count == 1].unique()).nonzero()[:, 0]
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
) -> Fur:
    """Make shell layers: copies of part of the skin at offsets along its normals."""
    skin = head.faces[head.part_faces("skin")]
    faces = skin[keep[skin].all(1)]
    used, local = faces.unique(return_inverse=True)
    normals = head.vertex_normals(head.neutral)[used]
    rest, n = head.neutral[used], len(used)
    flow = hair_flow(rest, normals)
    if kind == BEARD:
        down = torch.tensor([0.0, -1.0, -0.25], device=rest.device) + 0.9 * normals
        flow = normalize(down - 0.5 * (down * normals).sum(-1, keepdim=True) * normals, dim=-1)
    m = len(layers)
    return Fur(
        rest.repeat(m, 1),
        head.identity_basis[:, used].repeat(1, m, 1),
        head.skin_weights[used].repeat(m, 1),
        used.repeat(m),
        torch.cat([torch.full((n,), o, device=rest.device) for o, _ in layers]),
        normals.repeat(m, 1),
        flow.repeat(m, 1),
        cover[used].repeat(m),
        torch.cat([torch.full((n,), v, device=rest.device) for _, v in layers]),
        torch.full((n * m,), kind, device=rest.device),
        torch.cat([local + n * i for i in range(m)]),
    )


def buzz_fur(head: HeadModel, cover: Float[Tensor, " v"]) -> Fur:
    """Make very short hair on the scalp."""
    return extrude_skin(head, cover > 0.02, cover, ((0.0015, 0.35), (0.0032, 1.0)), BUZZ)


def beard_fur(head: HeadModel, cover: Float[Tensor, " v"]) -> Fur:
    """Make a beard; offsets are fractions of its length."""
    return extrude_skin(head, cover > 0.02, cover, ((0.35, 0.2), (1.0, 1.0)), BEARD)


def lash_fur(head: HeadModel) -> Fur:
    """Make upper lashes: strips of two rows, offset along ``out``."""
    rows = []
    for side in range(2):
        rim = head.lid_index[side][head.lid_rim]
        upper = rim[head.lid_share > 0]
        rows.append(upper[head.neutral[upper, 0].argsort()])
    anchors, faces, offsets, outs, covers, first = [], [], [], [], [], 0
    for side, row in enumerate(rows):
        n = len(row)
        eye = head.joint_neutral[4 + side]
        p = head.neutral[row]
        lateral = normalize(p - eye, dim=-1)
        out = normalize(
            lateral * torch.tensor([1.3, 0.2, 1.0], device=p.device)
            + torch.tensor([0.0, 0.85, 0.0], device=p.device),
            dim=-1,
        )
        anchors.append(row.repeat(2))
        offsets.append(torch.tensor([0.0, 0.0085], device=p.device).repeat_interleave(n))
        outs.append(out.repeat(2, 1))
        ends = torch.linspace(0, 1, n, device=p.device)
        covers.append(
            torch.cat([torch.ones(n, device=p.device), torch.zeros(n, device=p.device)])
            * (4 * ends * (1 - ends)).clamp(max=1).sqrt().repeat(2)
        )
        i = torch.arange(n - 1, device=p.device) + first
        faces += [torch.stack([i, i + 1, i + n], 1), torch.stack([i + 1, i + n + 1, i + n], 1)]
        first += 2 * n
    anchor, out = torch.cat(anchors), torch.cat(outs)
    n = len(anchor)
    zero = torch.zeros(n, device=out.device)
    return Fur(
        head.neutral[anchor],
        head.identity_basis[:, anchor],
        head.skin_weights[anchor],
        anchor,
        torch.cat(offsets),
        out,
        out,
        torch.cat(covers),
        zero,
        torch.full((n,), LASH, device=out.device),
        torch.cat(faces),
    )


def merge_furs(parts: list[Fur]) -> Fur:
    """Merge several kinds into one mesh."""
    first, faces = 0, []
    for p in parts:
        faces.append(p.faces + first)
        first += len(p.rest)
    stacked = {
        n: torch.cat([getattr(p, n) for p in parts], 1 if n == "basis" else 0)
        for n in ("rest", "basis", "joints", "anchor", "offset", "out", "flow", "cover", "level", "kind")
    }
    return Fur(**stacked, faces=torch.cat(faces))


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
