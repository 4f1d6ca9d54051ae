"""The head model: ``HeadParams`` to vertices. Frame: metres, +X subject's left, +Y up, +Z out of the face."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from headcast.head.check import check_model_file
from headcast.head.combine import combine
from headcast.head.lids import rest_lids
from headcast.head.names import EXPRESSION_INDEX as E
from headcast.head.params import HeadParams, eye_look_from_gaze, gaze_from_eye_look
from headcast.rotation import axis_angle_to_matrix

__all__ = ["JOINTS", "HeadModel", "combine"]

JOINTS = ("root", "neck", "head", "jaw", "eyeLeft", "eyeRight")
PARENTS = (-1, 0, 1, 2, 2, 2)
BLINKS = (E["eyeBlinkLeft"], E["eyeBlinkRight"])


class HeadModel(nn.Module):
    """A linear head (identity + 52 ARKit expressions) with neck, head, jaw and eye joints, and resting lids.

    Buffers (V vertices, F triangles, U texture coordinates, I identity components, J joints):
        neutral (V, 3) metres; identity_basis (I, V, 3); expression_basis (52, V, 3);
        faces (F, 3); uv (U, 2) in 0..1 with the origin at the texture's top left (glTF); faces_uv (F, 3);
        part (F,) index into ``part_names``; region (V,) index into ``region_names``; mirror (V,) the other
        side's vertex; identity_parity (I,): ``identity * identity_parity`` is the mirrored head;
        joint_neutral (J, 3), joint_identity (I, J, 3): joint positions at rest;
        skin_weights (V, J); landmark68_faces (68,), landmark68_bary (68, 3), the same for 478 (MediaPipe);
        lid_*, eye_profile, eye_growth: see :mod:`headcast.head.lids`.
    ``.double()`` gives a float64 model.
    """

    neutral: Tensor
    identity_basis: Tensor
    identity_parity: Tensor
    expression_basis: Tensor
    faces: Tensor
    uv: Tensor
    faces_uv: Tensor
    part: Tensor
    region: Tensor
    mirror: Tensor
    joint_neutral: Tensor
    joint_identity: Tensor
    skin_weights: Tensor
    landmark68_faces: Tensor
    landmark68_bary: Tensor
    eye_growth: Tensor
    eye_profile: Tensor
    lid_index: Tensor
    lid_rim: Tensor
    lid_partner: Tensor
    lid_share: Tensor
    lid_spread: Tensor
    lid_clearance: Tensor

    def __init__(self, tensors: dict[str, Tensor], meta: dict) -> None:
        super().__init__()
        for name, value in tensors.items():
            self.register_buffer(name, value.float() if value.is_floating_point() else value.long())
        self.name: str = meta["name"]
        self.hash: str = meta["hash"]
        self.licence: str = meta.get("licence", "")
        self.part_names: tuple[str, ...] = tuple(meta["part_names"])
        self.region_names: tuple[str, ...] = tuple(meta["region_names"])

    @staticmethod
    def load(path: str | Path | None = None) -> HeadModel:
        """Load the bundled head model, or another one in the same format.

        Raises:
            HeadcastError: the file is missing, damaged or not a head model.
        """
        from headcast.weights import load_tensors, weights_path

        tensors, metadata, digest = load_tensors(path or "head")
        facts = check_model_file(tensors, metadata, path or weights_path("head"))
        return HeadModel(tensors, {**facts, "hash": digest})

    @property
    def identities(self) -> int:
        """Return the number of identity components."""
        return self.identity_basis.shape[0]

    def region_mask(self, *names: str) -> Bool[Tensor, " v"]:
        """Return which vertices belong to the named regions."""
        wanted = torch.tensor([self.region_names.index(n) for n in names], device=self.region.device)
        return torch.isin(self.region, wanted)

    def part_faces(self, *names: str) -> Int[Tensor, " n"]:
        """Return indices of the triangles of the named parts."""
        wanted = torch.tensor([self.part_names.index(n) for n in names], device=self.part.device)
        return torch.isin(self.part, wanted).nonzero()[:, 0]

    def shape(self, identity: Float[Tensor, "*b i"]) -> Float[Tensor, "*b v 3"]:
        """Return rest vertices (head frame, metres) of an identity, before the lids are projected."""
        return self.neutral + _blend(identity, self.identity_basis)

    def joints(self, identity: Float[Tensor, "*b i"]) -> Float[Tensor, "*b j 3"]:
        """Return joint positions at rest (head frame, metres) of an identity, in the order of ``JOINTS``."""
        return self.joint_neutral + _blend(identity, self.joint_identity)

    def forward(self, params: HeadParams) -> Float[Tensor, "*b v 3"]:
        """Return world vertices, metres, of posed parameters."""
        expression = params.expression
        if params.gaze is None:
            gaze = gaze_from_eye_look(expression)
        else:
            gaze = params.gaze
            expression = eye_look_from_gaze(expression, gaze)
        expression = combine(expression)
        v = self.shape(params.identity) + _blend(expression, self.expression_basis)
        joints = self.joints(params.identity)
        v = self.lay_lids(v, joints, params.identity, expression, gaze)
        v = self.skin(v, joints, params, gaze)
        R = axis_angle_to_matrix(params.rotation)
        return v @ R.transpose(-1, -2) + params.translation[..., None, :]

    def lay_lids(
        self,
        vertices: Float[Tensor, "*b v 3"],
        joints: Float[Tensor, "*b j 3"],
        identity: Float[Tensor, "*b i"],
        expression: Float[Tensor, "*b 52"],
        gaze: Float[Tensor, "*b 2 2"],
    ) -> Float[Tensor, "*b v 3"]:
        """Return vertices (head frame, before skinning) with lids projected onto the eyes."""
        yaw, pitch = gaze.unbind(-1)
        axis = torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()], -1)
        blinks = torch.tensor(BLINKS, device=expression.device)
        edge = self.lid_index[:, self.lid_rim]
        shape = torch.stack([self.expression_basis[b, edge[s]] for s, b in enumerate(BLINKS)])
        projected = rest_lids(
            vertices[..., self.lid_index, :],
            joints[..., 4:6, :],
            axis,
            1 + identity @ self.eye_growth,
            expression[..., blinks],
            shape,
            self.lid_rim,
            self.lid_partner,
            self.lid_share,
            self.lid_spread,
            self.lid_clearance,
            self.eye_profile,
        )
        return vertices.index_copy(-2, self.lid_index.reshape(-1), projected.flatten(-3, -2))

    def skin(
        self,
        vertices: Float[Tensor, "*b v 3"],
        joints: Float[Tensor, "*b j 3"],
        params: HeadParams,
        gaze: Float[Tensor, "*b 2 2"],
    ) -> Float[Tensor, "*b v 3"]:
        """Apply linear blend skinning in the head frame.

        ``params.neck`` is bent half at the neck joint and half at the head joint; the root (shoulders) stays.
        ``params.jaw`` turns the jaw joint, ``gaze`` the eyeballs.
        """
        M = (self.skin_weights @ self.transforms(joints, params, gaze)).unflatten(-1, (3, 4))
        return (M[..., :3] @ vertices[..., None])[..., 0] + M[..., 3]

    def transforms(
        self, joints: Float[Tensor, "*b j 3"], params: HeadParams, gaze: Float[Tensor, "*b 2 2"]
    ) -> Float[Tensor, "*b j 12"]:
        """Return the transform of each joint on rest points (head frame): rows of (3, 4) matrices."""
        half = params.neck / 2
        eye = torch.stack([-gaze[..., 1], gaze[..., 0], torch.zeros_like(gaze[..., 0])], -1)
        local = [torch.zeros_like(half), half, half, params.jaw, eye[..., 0, :], eye[..., 1, :]]
        A: list[tuple[Tensor, Tensor]] = []  # per joint: x -> R x + t
        for j, parent in enumerate(PARENTS):
            R = axis_angle_to_matrix(local[j])
            t = joints[..., j, :] - (R @ joints[..., j, :, None])[..., 0]
            if parent >= 0:
                Rp, tp = A[parent]
                R, t = Rp @ R, (Rp @ t[..., None])[..., 0] + tp
            A.append((R, t))
        return torch.stack([torch.cat([R, t[..., None]], -1) for R, t in A], -3).flatten(-2)

    def skin_points(
        self, rest: Float[Tensor, "n 3"], skin_weights: Float[Tensor, "n j"], params: HeadParams
    ) -> Float[Tensor, "*b n 3"]:
        """Pose points at rest (head frame) by linear blend skinning alone; return world positions."""
        gaze = torch.zeros_like(params.neck[..., None, :2].expand(*params.batch, 2, 2))
        joints = self.joints(params.identity)
        M = (skin_weights @ self.transforms(joints, params, gaze)).unflatten(-1, (3, 4))
        v = (M[..., :3] @ rest[..., None])[..., 0] + M[..., 3]
        return v @ axis_angle_to_matrix(params.rotation).transpose(-1, -2) + params.translation[..., None, :]

    def landmarks(self, vertices: Float[Tensor, "*b v 3"], which: int = 478) -> Float[Tensor, "*b n 3"]:
        """Return points of the iBUG-68 or MediaPipe-478 embedding on given vertices."""
        faces = getattr(self, f"landmark{which}_faces")
        bary = getattr(self, f"landmark{which}_bary")
        return (vertices[..., self.faces[faces], :] * bary[..., None]).sum(-2)

    def vertex_normals(self, vertices: Float[Tensor, "*b v 3"]) -> Float[Tensor, "*b v 3"]:
        """Compute area-weighted unit vertex normals."""
        a, b, c = (vertices[..., self.faces[:, k], :] for k in range(3))
        n = torch.linalg.cross(b - a, c - a)
        out = torch.zeros_like(vertices)
        for k in range(3):
            out.index_add_(-2, self.faces[:, k], n)
        return nn.functional.normalize(out, dim=-1)


def _blend(weights: Float[Tensor, "*b k"], basis: Float[Tensor, "k n 3"]) -> Float[Tensor, "*b n 3"]:
    """Compute the weighted sum of fields, as one matrix product."""
    return (weights @ basis.flatten(1)).unflatten(-1, basis.shape[1:])
