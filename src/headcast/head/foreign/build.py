"""A foreign head as a ``HeadModel``: its own shape, topology, identity; our names, atlas, rig and landmarks.

The steps: register ours to it, carry over what it lacks, add parts it does not have (eyeballs, teeth, gums,
tongue), make its identity orthogonal, embed the landmarks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headcast.head.embed import embed_landmarks
from headcast.head.foreign.carry import MOUTH, beside, carried_uv, same_places
from headcast.head.foreign.eyes import iris_points, profile_of
from headcast.head.foreign.lids import laid_to_rest, lid_tensors
from headcast.head.foreign.raw import GROUPS, RawHead
from headcast.head.foreign.register import Registration, register
from headcast.head.foreign.surface import MeshPoints
from headcast.head.model import JOINTS, HeadModel
from headcast.head.names import EXPRESSIONS

__all__ = ["IDENTITIES", "build_foreign_head", "placed"]

IDENTITIES = 50
"""Components kept at most."""
AROUND_JOINT = 0.025
"""Metres of skin around a joint that moves with it."""


@dataclass
class Mesh:
    """Arrays of the head being made; vertices of all parts in one list, the foreign ones first."""

    neutral: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    skin_weights: np.ndarray
    region: np.ndarray
    faces: np.ndarray
    part: np.ndarray
    uv: np.ndarray
    faces_uv: np.ndarray

    def joined(self, other: Mesh) -> Mesh:
        """Concatenate two meshes: this one first."""
        v, u = len(self.neutral), len(self.uv)
        moved = replace(other, faces=other.faces + v, faces_uv=other.faces_uv + u)
        across = {"identity": 1, "expression": 1}
        fields = {
            k: np.concatenate([getattr(self, k), getattr(moved, k)], across.get(k, 0))
            for k in self.__dataclass_fields__
        }
        return Mesh(**fields)


def placed(raw: RawHead, rotation: Float[np.ndarray, "3 3"], translation: Float[np.ndarray, "3"]) -> RawHead:
    """Transform the foreign head to our frame."""

    def turn(x: np.ndarray) -> np.ndarray:
        return x @ rotation.T

    return replace(
        raw,
        neutral=turn(raw.neutral) + translation,
        opened=turn(raw.opened) + translation,
        eyes=turn(raw.eyes) + translation,
        identity=turn(raw.identity),
        eye_identity=turn(raw.eye_identity),
        expression={k: turn(v) for k, v in raw.expression.items()},
        jaw=None if raw.jaw is None else turn(raw.jaw) + translation,
        jaw_identity=None if raw.jaw_identity is None else turn(raw.jaw_identity),
    )


def build_foreign_head(raw: RawHead, ours: HeadModel | None = None) -> tuple[HeadModel, Registration]:
    """Build the head model in our head frame; return it with its registration.

    Args:
        ours: the head to carry over from; None: the bundled one.
    """
    ours = HeadModel.load() if ours is None else ours
    registration = register(raw, ours)
    raw = placed(raw, registration.rotation, registration.translation)
    places = same_places(raw, raw.opened, ours, registration.opened)
    mesh = _whole_mesh(raw, ours, registration, places)
    mesh.identity, mix = orthogonal(mesh)
    arrays = {
        "neutral": mesh.neutral,
        "identity_basis": mesh.identity,
        "expression_basis": mesh.expression,
        "faces": mesh.faces,
        "uv": mesh.uv,
        "faces_uv": mesh.faces_uv,
        "part": mesh.part,
        "region": mesh.region,
        "mirror": mirror_of(mesh),
        "skin_weights": mesh.skin_weights,
        **joints_of(raw, ours, registration, mesh, mix),
        "eye_growth": np.zeros((len(mix), 2)),
        "eye_profile": foreign_eye_profile(raw, ours),
    }
    arrays["identity_parity"] = parity_of(arrays["identity_basis"], arrays["mirror"])
    skin = raw.faces[raw.group == GROUPS.index("skin")]
    arrays.update(lid_tensors(raw.neutral, skin, ours, registration.neutral, places))
    for count in (68, 478):
        arrays[f"landmark{count}_faces"] = np.zeros(count, np.int64)
        arrays[f"landmark{count}_bary"] = np.full((count, 3), 1 / 3)
    return with_landmarks(arrays, raw, ours, registration), registration


def _whole_mesh(raw: RawHead, ours: HeadModel, registration: Registration, places: MeshPoints) -> Mesh:
    """Make the mesh of the foreign head, with parts of ours that it lacks."""
    mesh = own_mesh(raw, ours, registration, places)
    for name in ("eyeLeft", "eyeRight"):
        if not (raw.group == GROUPS.index(name)).any():
            mesh = mesh.joined(graft_parts(raw, ours, registration, (name,)))
    if not (raw.group == GROUPS.index("mouth")).any():
        mesh = mesh.joined(graft_parts(raw, ours, registration, MOUTH))
    return mesh


def own_mesh(raw: RawHead, ours: HeadModel, registration: Registration, places: MeshPoints) -> Mesh:
    """Make the mesh of the foreign vertices with our transferred attributes."""
    faces = ours.faces.numpy()
    basis = ours.expression_basis.double().numpy()
    expression = np.stack(
        [
            raw.expression.get(name, np.zeros(0)) if name in raw.expression else places.on(basis[i], faces)
            for i, name in enumerate(EXPRESSIONS)
        ]
    )
    weights = places.on(ours.skin_weights.double().numpy(), faces)
    for joint, group in ((4, "eyeLeft"), (5, "eyeRight")):
        own = raw.vertices_of(group)
        expression[:, own] = 0
        weights[:, joint] = 0
        weights[own] = np.eye(len(JOINTS))[joint]
    weights /= weights.sum(1, keepdims=True)
    chief = faces[places.triangle, places.bary.argmax(1)]
    uv, faces_uv = carried_uv(raw, raw.opened, ours, registration.opened, places)
    part = np.median(ours.part.numpy()[places.triangle][raw.faces], axis=1).astype(np.int64)
    return Mesh(
        neutral=raw.neutral,
        identity=raw.identity,
        expression=expression,
        skin_weights=weights,
        region=ours.region.numpy()[chief],
        faces=raw.faces,
        part=part,
        uv=uv,
        faces_uv=faces_uv,
    )


def graft_parts(raw: RawHead, ours: HeadModel, registration: Registration, names: tuple[str, ...]) -> Mesh:
    """Return parts of our head that the foreign one lacks."""
    rows = ours.part_faces(*names).numpy()
    own, faces = np.unique(ours.faces.numpy()[rows], return_inverse=True)
    texels, faces_uv = np.unique(ours.faces_uv.numpy()[rows], return_inverse=True)
    neutral = registration.neutral[own]
    identity = _graft_identity(raw, names, neutral)
    weights = ours.skin_weights.double().numpy()[own]
    return Mesh(
        neutral=neutral,
        identity=identity,
        expression=ours.expression_basis.double().numpy()[:, own],
        skin_weights=weights / weights.sum(1, keepdims=True),
        region=ours.region.numpy()[own],
        faces=faces.reshape(-1, 3),
        part=ours.part.numpy()[rows],
        uv=ours.uv.double().numpy()[texels],
        faces_uv=faces_uv.reshape(-1, 3),
    )


def _graft_identity(
    raw: RawHead, names: tuple[str, ...], neutral: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "i n 3"]:
    """Return the identity basis of grafted vertices: an eyeball's, or that of the skin nearby."""
    if names[0].startswith("eye"):
        shift = raw.eye_identity[:, int(names[0] == "eyeRight")]
        return np.repeat(shift[:, None], len(neutral), 1)
    skin = raw.vertices_of("skin")
    near = skin[np.linalg.norm(raw.neutral[skin] - neutral.mean(0), axis=1) < 0.07]
    values = np.moveaxis(raw.identity[:, near], 0, 1)
    return np.moveaxis(beside(neutral, raw.neutral[near], values, 0.02), 0, 1)


def orthogonal(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Compute principal components of N(0, 1) coefficients: (K, V, 3); and (K, I), their mix of foreign ones.

    Orthogonal on the skin, whose face counts three times.
    """
    skin = np.unique(mesh.faces[mesh.part == 0])
    weight = 1 + 2.0 * (mesh.region[skin] < 5)  # face, lips, lids, nose, brows come first
    flat = (mesh.identity[:, skin] * np.sqrt(weight)[None, :, None]).reshape(len(mesh.identity), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    order = np.argsort(-values)[:IDENTITIES]
    mix = vectors[:, order].T[values[order] > 1e-12 * values.max()]
    return np.tensordot(mix, mesh.identity, 1), mix


def mirror_of(mesh: Mesh) -> Int[np.ndarray, " v"]:
    """Find the vertex nearest to each one's mirror image, among those of the mirrored part."""
    owner = np.zeros(len(mesh.neutral), np.int64)
    owner[mesh.faces.ravel()] = np.repeat(mesh.part, 3)
    swapped = {1: 2, 2: 1}
    out = np.arange(len(owner))
    for part in np.unique(owner):
        own = np.flatnonzero(owner == part)
        other = np.flatnonzero(owner == swapped.get(int(part), int(part)))
        flipped = torch.from_numpy(mesh.neutral[own] * [-1.0, 1.0, 1.0])
        for rows in torch.arange(len(own)).split(2048):
            found = torch.cdist(flipped[rows], torch.from_numpy(mesh.neutral[other])).argmin(1)
            out[own[rows.numpy()]] = other[found.numpy()]
    return out


def parity_of(identity: np.ndarray, mirror: np.ndarray) -> Float[np.ndarray, " i"]:
    """Return +1 for components that are rather even under mirroring, -1 for rather odd ones."""
    flipped = identity[:, mirror] * [-1.0, 1.0, 1.0]
    return np.where((identity * flipped).sum((1, 2)) >= 0, 1.0, -1.0)


def joints_of(
    raw: RawHead, ours: HeadModel, registration: Registration, mesh: Mesh, mix: np.ndarray
) -> dict[str, np.ndarray]:
    """Return joint positions and how identity moves them: the foreign head's own where it has them."""
    before, skin = ours.neutral.double().numpy(), np.unique(mesh.faces[mesh.part == 0])
    rest = ours.joint_neutral.double().numpy().copy()
    known = np.flatnonzero(registration.distance < 0.005)
    rest[1:4] += beside(rest[1:4], before[known], (registration.neutral - before)[known], AROUND_JOINT)
    rest[4:6] = raw.eyes
    moved = np.zeros((len(mix), len(JOINTS), 3))
    values = np.moveaxis(mesh.identity[:, skin], 0, 1)
    moved[:, 1:4] = np.moveaxis(beside(rest[1:4], mesh.neutral[skin], values, AROUND_JOINT), 0, 1)
    moved[:, 4:6] = np.tensordot(mix, raw.eye_identity, 1)
    if raw.jaw is not None and raw.jaw_identity is not None:
        rest[3], moved[:, 3] = raw.jaw, mix @ raw.jaw_identity
    return {"joint_neutral": rest, "joint_identity": moved}


def foreign_eye_profile(raw: RawHead, ours: HeadModel) -> Float[np.ndarray, "3"]:
    """Return the profile of the foreign eyeballs, or of ours in their place."""
    own = raw.vertices_of("eyeLeft")
    return profile_of(raw.neutral[own], raw.eyes[0]) if len(own) else ours.eye_profile.double().numpy()


def with_landmarks(
    arrays: dict[str, np.ndarray], raw: RawHead, ours: HeadModel, registration: Registration
) -> HeadModel:
    """Make the head with landmarks where ours lie on the registered neutral head."""
    from headcast.head.embed import usual_landmarks

    meta = {
        "name": raw.name,
        "part_names": list(ours.part_names),
        "region_names": list(ours.region_names),
        "hash": "",
        "licence": raw.licence,
        "file": raw.hash,
    }
    head = laid_to_rest(HeadModel(to_tensors(arrays), meta))
    arrays["neutral"] = head.neutral.double().numpy()
    faces = ours.faces.numpy()
    for count in (68, 478):
        triangle, bary = usual_landmarks(ours, count)
        target = np.einsum("nk,nkc->nc", bary, registration.neutral[faces[triangle]])
        if count == 478:
            target[468:] = iris_points(head)
        arrays[f"landmark{count}_faces"], arrays[f"landmark{count}_bary"] = embed_landmarks(head, target)
    tensors = to_tensors(arrays)
    return HeadModel(tensors, {**meta, "hash": hash_of(tensors)})


def to_tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Convert arrays to float32 and int32 tensors."""
    out = {}
    for name, a in arrays.items():
        kind = np.int32 if a.dtype.kind in "iu" else np.float32
        out[name] = torch.from_numpy(np.ascontiguousarray(a.astype(kind)))
    return out


def hash_of(tensors: dict[str, Tensor]) -> str:
    """Return the first 16 hex digits of the SHA-256 of all tensors."""
    h = hashlib.sha256()
    for name in sorted(tensors):
        h.update(name.encode())
        h.update(tensors[name].numpy().tobytes())
    return h.hexdigest()[:16]
