"""People in a moment as triangles: the opaque bust and the layers of hair, posed in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from headcast.device import is_cuda
from headcast.head.model import HeadModel
from headcast.head.occlusion import INSIDE, mouth_occlusion
from headcast.head.params import HeadParams
from headcast.render.geometry import vertex_normals
from headcast.rotation import axis_angle_to_matrix
from headcast.synth.appearance import PersonAppearance
from headcast.synth.bust import Bust
from headcast.synth.glasses import make_glasses
from headcast.synth.hair_shells import BEARD, CURLS, STYLE, HairShells, cut_height

__all__ = ["PosedPeople", "bust_normals", "pose_people"]


@dataclass(frozen=True)
class PosedPeople:
    """N posed people: bust and hair, world frame.

    Attributes:
        vertices, normals (N, V, 3): of the bust, world. tangents (N, V, 3): direction of +u on it.
        openness (N, V): visible fraction of a vertex's surroundings.
        hair, hair_normals, hair_flow (N, W, 3), world.
        hair_facts (N, W, 7): rest position, cover, level, kind, whether it is not cut off.
        hair_faces (N, G, 3), padded with triangles of one point.
        head (N, H, 3): the head model's vertices, for landmarks.
    """

    vertices: Tensor
    normals: Tensor
    tangents: Tensor
    openness: Tensor
    hair: Tensor
    hair_normals: Tensor
    hair_flow: Tensor
    hair_facts: Tensor
    hair_faces: Tensor
    head: Tensor

    def __getitem__(self, index: Tensor) -> PosedPeople:
        """Return the people at an index, in any order."""
        return PosedPeople(**{n: getattr(self, n)[index] for n in self.__dataclass_fields__})


def pose_people(
    head: HeadModel,
    bust: Bust,
    params: HeadParams,
    appearance: PersonAppearance,
    shells: list[HairShells],
    tangent: Float[Tensor, "v 3"],
    openness: Float[Tensor, "n v"],
) -> PosedPeople:
    """Pose bust and hair of N heads. ``shells``: of each head, merged; ``tangent``: of the resting bust."""
    posed = head(params)
    R = axis_angle_to_matrix(params.rotation)
    t = params.translation[:, None]
    turn = joint_transforms(head.joints(params.identity), params)
    local = (posed - t) @ R
    body = [local, follow_neck(head, bust, local), pose_glasses(head, params, turn, appearance)]
    world = torch.cat(body, 1) @ R.transpose(1, 2) + t
    normals = bust_normals(world, bust)
    hair = [
        pose_shells(f, local[i], normals[i] @ R[i], params[i], turn[i], appearance[i : i + 1])
        for i, f in enumerate(shells)
    ]
    packed = PosedHair(*(pad_stack(x) for x in zip(*hair, strict=True)))
    return PosedPeople(
        vertices=world,
        normals=normals,
        tangents=tangent @ (R @ turn[:, 2, :, :3]).transpose(1, 2),
        openness=open_mouths(head, posed, openness),
        hair=packed.vertices @ R.transpose(1, 2) + t,
        hair_normals=packed.normals @ R.transpose(1, 2),
        hair_flow=packed.flow @ R.transpose(1, 2),
        hair_facts=packed.facts,
        hair_faces=pad_stack([f.faces for f in shells]),
        head=posed,
    )


def follow_neck(head: HeadModel, bust: Bust, vertices: Float[Tensor, "n h 3"]) -> Float[Tensor, "n t 3"]:
    """Return torsos whose upper rings go along with the skin's lower edge (head frame)."""
    edge = vertices[:, bust.loop] - head.neutral[bust.loop]
    return bust.torso + edge[:, bust.ring] * bust.follow[:, None]


def pose_glasses(
    head: HeadModel, params: HeadParams, turn: Float[Tensor, "n 3 3 4"], appearance: PersonAppearance
) -> Float[Tensor, "n g 3"]:
    """Return glasses (head frame) that fit each head at rest and turn with it."""
    points = head.landmarks(head.shape(params.identity), 68)
    eyes = head.joints(params.identity)[:, 4:6]
    frames = make_glasses(points, eyes, appearance.frame, appearance.glasses)
    return frames @ turn[:, 2, :, :3].transpose(1, 2) + turn[:, None, 2, :, 3]


def open_mouths(
    head: HeadModel, posed: Float[Tensor, "n h 3"], openness: Float[Tensor, "n v"]
) -> Float[Tensor, "n v"]:
    """Return openness with that of the mouth's inside as far as each mouth is open."""
    mouth = mouth_vertices(head)
    openness = openness.clone()
    openness[:, mouth] = mouth_occlusion(head, posed)[:, mouth]
    return openness


def mouth_vertices(head: HeadModel) -> Int[Tensor, " n"]:
    """Return the vertices of the parts inside the mouth."""
    return head.faces[head.part_faces(*INSIDE)].unique()


def pad_stack(rows: Sequence[Tensor]) -> Tensor:
    """Stack tensors of unequal length, with rows of zeros below the shorter ones."""
    longest = max(len(x) for x in rows)
    return torch.stack([torch.nn.functional.pad(x, (0, 0, 0, longest - len(x))) for x in rows])


def joint_transforms(joints: Float[Tensor, "n 6 3"], params: HeadParams) -> Float[Tensor, "n 3 3 4"]:
    """Return x -> R x + t of root, neck and head in the head frame (see ``HeadModel.skin``)."""
    half = axis_angle_to_matrix(params.neck / 2)
    zero = torch.zeros_like(half[..., :1])
    eye = torch.eye(3, device=half.device).expand_as(half)
    R, t = half, joints[:, 1] - (half @ joints[:, 1, :, None])[..., 0]
    own = joints[:, 2] - (half @ joints[:, 2, :, None])[..., 0]
    R2, t2 = R @ half, (R @ own[..., None])[..., 0] + t
    return torch.stack(
        [torch.cat([eye, zero], -1), torch.cat([R, t[..., None]], -1), torch.cat([R2, t2[..., None]], -1)], 1
    )


class PosedHair(NamedTuple):
    """Hair of one head (or of several, stacked), head frame; ``facts`` as ``PosedPeople.hair_facts``."""

    vertices: Tensor
    normals: Tensor
    flow: Tensor
    facts: Tensor


def pose_shells(
    shells: HairShells,
    head_vertices: Tensor,
    head_normals: Tensor,
    params: HeadParams,
    turn: Float[Tensor, "3 3 4"],
    appearance: PersonAppearance,
) -> PosedHair:
    """Pose one head's hair: styles follow the joints, what stands on skin follows the skin."""
    rise = (shells.offset * growth_length(shells, appearance))[:, None]
    shaped = shells.rest + (params.identity @ shells.basis.flatten(1)).view(-1, 3)
    M = blend_transforms(shells.joints, turn)
    v = (M[..., :3] @ (shaped + shells.out * rise)[..., None])[..., 0] + M[..., 3]
    n, flow = ((M[..., :3] @ x[..., None])[..., 0] for x in (shells.out, shells.flow))
    on_skin = (shells.anchor >= 0)[:, None]
    anchor = shells.anchor.clamp(min=0)
    skin_normal = torch.where((shells.kind == BEARD)[:, None], head_normals[anchor], n)
    v = torch.where(on_skin, head_vertices[anchor] + skin_normal * rise, v)
    n = torch.where(on_skin, skin_normal, n)
    facts = (shells.cover, shells.level, shells.kind, uncut(shells, appearance))
    facts = torch.cat([shells.rest, *(x[:, None].float() for x in facts)], 1)
    return PosedHair(v, normalize(n, dim=-1), normalize(flow, dim=-1), facts)


def blend_transforms(joints: Float[Tensor, "v j"], turn: Float[Tensor, "3 3 4"]) -> Float[Tensor, "v 3 4"]:
    """Return each vertex's transform by linear blend skinning; joints past the neck's turn with the head."""
    weights = torch.cat([joints[:, :2], joints[:, 2:].sum(1, keepdim=True)], 1)
    return (weights @ turn.flatten(1)).view(-1, 3, 4)


def growth_length(shells: HairShells, appearance: PersonAppearance) -> Float[Tensor, " v"]:
    """Return the factor on each vertex's offset: length of beard or hair, 1 for buzz cuts and lashes."""
    styled = (shells.kind == STYLE) | (shells.kind == CURLS)
    hair = torch.where(styled, appearance.hair_length, 1.0)
    return torch.where(shells.kind == BEARD, appearance.beard_length, hair)


def uncut(shells: HairShells, appearance: PersonAppearance) -> Bool[Tensor, " v"]:
    """Return which vertices of hair are left by the person's cut."""
    end = cut_height(shells.rest, appearance.hair_cut.expand(len(shells.rest), 2))
    return ((shells.kind != STYLE) & (shells.kind != CURLS)) | (shells.rest[:, 1] > end)


def bust_normals(vertices: Float[Tensor, "n v 3"], bust: Bust) -> Float[Tensor, "n v 3"]:
    """Return unit vertex normals, weighted by face area."""
    if not is_cuda(vertices):
        return torch.stack([vertex_normals(v, bust.faces) for v in vertices])
    a, b, c = (vertices[:, bust.faces[:, k]] for k in range(3))
    n = torch.linalg.cross(b - a, c - a)
    n = torch.cat([n, torch.zeros_like(n[:, :1])], 1)
    return normalize(n[:, bust.incident].sum(2), dim=-1, eps=1e-30)
