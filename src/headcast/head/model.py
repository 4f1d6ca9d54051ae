"""The head model: ``HeadParams`` to vertices. Frame: metres, +X subject's left, +Y up, +Z out of the face."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from headcast.head.names import EXPRESSION_INDEX as E
from headcast.head.params import HeadParams, eye_look_from_gaze, gaze_from_eye_look
from headcast.rotation import axis_angle_to_matrix

__all__ = ["HeadModel"]

JOINTS = ("root", "neck", "head", "jaw", "eyeLeft", "eyeRight")
PARENTS = (-1, 0, 1, 2, 2, 2)


class HeadModel(nn.Module):
    """A linear head (identity + 52 ARKit expressions) with neck, head, jaw and eye joints.

    Buffers (V vertices, F triangles, U texture coordinates, I identity components, J joints):
        neutral (V, 3) metres; identity_basis (I, V, 3); expression_basis (52, V, 3);
        faces (F, 3); uv (U, 2) in 0..1 with the origin at the texture's top left (glTF); faces_uv (F, 3);
        part (F,) index into ``part_names``; region (V,) index into ``region_names``; mirror (V,);
        joint_neutral (J, 3), joint_identity (I, J, 3): joint positions at rest;
        skin_weights (V, J); landmark68_faces (68,), landmark68_bary (68, 3), the same for 478 (MediaPipe).
    """

    neutral: Tensor
    identity_basis: Tensor
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

    def __init__(self, tensors: dict[str, Tensor], meta: dict) -> None:
        super().__init__()
        for name, value in tensors.items():
            self.register_buffer(name, value.float() if value.is_floating_point() else value.long())
        self.name: str = meta["name"]
        self.hash: str = meta["hash"]
        self.part_names: tuple[str, ...] = tuple(meta["part_names"])
        self.region_names: tuple[str, ...] = tuple(meta["region_names"])

    @staticmethod
    def load(path: str | Path | None = None) -> HeadModel:
        """The bundled head model, or another one in the same format."""
        from headcast.weights import load_tensors

        tensors, metadata, digest = load_tensors(path or "head")
        return HeadModel(tensors, {**json.loads(metadata["head"]), "hash": digest})

    @property
    def identities(self) -> int:
        """Number of identity components."""
        return self.identity_basis.shape[0]

    def shape(self, identity: Float[Tensor, "*b i"]) -> Float[Tensor, "*b v 3"]:
        """Vertices at rest (head frame, metres) of an identity."""
        return self.neutral + torch.tensordot(identity, self.identity_basis, 1)

    def joints(self, identity: Float[Tensor, "*b i"]) -> Float[Tensor, "*b j 3"]:
        """Joint positions at rest (head frame, metres) of an identity, in the order of ``JOINTS``."""
        return self.joint_neutral + torch.tensordot(identity, self.joint_identity, 1)

    def forward(self, params: HeadParams) -> Float[Tensor, "*b v 3"]:
        """World vertices, metres."""
        expression = params.expression
        if params.gaze is None:
            gaze = gaze_from_eye_look(expression)
        else:
            gaze = params.gaze
            expression = eye_look_from_gaze(expression, gaze)
        v = self.shape(params.identity) + torch.tensordot(combine(expression), self.expression_basis, 1)
        v = self.skin(v, self.joints(params.identity), params, gaze)
        R = axis_angle_to_matrix(params.rotation)
        return v @ R.transpose(-1, -2) + params.translation[..., None, :]

    def skin(
        self, vertices: Float[Tensor, "*b v 3"], joints: Float[Tensor, "*b j 3"], params: HeadParams,
        gaze: Float[Tensor, "*b 2 2"],
    ) -> Float[Tensor, "*b v 3"]:  # fmt: skip
        """Linear blend skinning by neck, jaw and eyes, in the head frame.

        The head joint keeps its place: the neck rotation moves the shoulders' side relative to the head
        only through ``neck`` being bent half at the neck joint and half at the head joint.
        """
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
        R = torch.stack([a[0] for a in A], -3)
        t = torch.stack([a[1] for a in A], -2)
        Rv = torch.einsum("vj,...jkl->...vkl", self.skin_weights, R)
        tv = torch.einsum("vj,...jk->...vk", self.skin_weights, t)
        return (Rv @ vertices[..., None])[..., 0] + tv

    def landmarks(self, vertices: Float[Tensor, "*b v 3"], which: int = 478) -> Float[Tensor, "*b n 3"]:
        """Points of the iBUG-68 or MediaPipe-478 embedding on given vertices."""
        faces = getattr(self, f"landmark{which}_faces")
        bary = getattr(self, f"landmark{which}_bary")
        return (vertices[..., self.faces[faces], :] * bary[..., None]).sum(-2)

    def vertex_normals(self, vertices: Float[Tensor, "*b v 3"]) -> Float[Tensor, "*b v 3"]:
        """Unit normals, area weighted."""
        a, b, c = (vertices[..., self.faces[:, k], :] for k in range(3))
        n = torch.linalg.cross(b - a, c - a)
        out = torch.zeros_like(vertices)
        for k in range(3):
            out.index_add_(-2, self.faces[:, k], n)
        return nn.functional.normalize(out, dim=-1)


def combine(expression: Float[Tensor, "*b 52"]) -> Float[Tensor, "*b 52"]:
    """Weights after the rules for shapes that were not made to be added.

    A closing lid takes over from lookDown and squint, whose sum with it would carry the upper lid through the
    lower one; ``mouthClose`` undoes ``jawOpen`` and so never exceeds it.
    """
    e = list(expression.unbind(-1))
    for side in ("Left", "Right"):
        open_ = 1 - e[E[f"eyeBlink{side}"]].clamp(0, 1)
        for name in (f"eyeLookDown{side}", f"eyeSquint{side}"):
            e[E[name]] = e[E[name]] * open_
    e[E["mouthClose"]] = torch.minimum(e[E["mouthClose"]], e[E["jawOpen"]])
    return torch.stack(e, -1)


Faces = Int[Tensor, "f 3"]
