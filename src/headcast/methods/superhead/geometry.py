"""Geometry refinement: the shape β alone, from landmarks on the super-resolved anchors (Eq. 7)."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.avatar.gaussian import GaussianAvatar
from headcast.avatar.source import SurfacePoints
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.superhead.anchors import Anchor, AnchorSet
from headcast.observe.landmark_model import INNER
from headcast.rotation import axis_angle_to_matrix

__all__ = ["Refined", "refine_shape", "with_shape"]

ROUNDS = 4
HUBER = 1.5  # pixels, beyond which a landmark counts by its distance
PRIOR = 400.0  # squared pixels that a standard deviation of a coefficient costs
MAX_CHANGE = 0.6  # standard deviations of a coefficient
MIN_GAIN = 0.03  # of the mean error, below which the input's shape is kept


class Refined(NamedTuple):
    """The refined shape and the mean landmark error before and after, pixels."""

    identity: Float[Tensor, "i"]
    before: float
    after: float


def refine_shape(avatar: GaussianAvatar, anchors: AnchorSet) -> Refined:
    """Minimise Eq. 7 over β, robustly and with a prior around the input's shape.

    Pose, expression and camera of each anchor stay as it was rendered. Landmarks lie where this person's
    were found on the mesh, if the avatar knows, so that the detector's own habits do not bend the shape.
    """
    start = avatar.source.params.identity
    used = [a for a in anchors.anchors if a.points is not None]
    if not used:
        return Refined(start, 0.0, 0.0)
    places = landmark_places(avatar)
    beta = start.double()
    before = mean_error(avatar.head, places, used, start)
    for _ in range(ROUNDS):
        beta = beta + gauss_newton_step(avatar.head, places, used, beta.float(), start)
        beta = start + (beta - start).clamp(-MAX_CHANGE, MAX_CHANGE)
    after = mean_error(avatar.head, places, used, beta.float())
    if after > (1 - MIN_GAIN) * before:
        return Refined(start, before, before)
    return Refined(beta.float(), before, after)


def landmark_places(avatar: GaussianAvatar) -> SurfacePoints:
    """Return where landmarks lie on the mesh: this person's own places, else the head model's."""
    own = avatar.source.landmarks
    faces: Tensor = avatar.head.get_buffer("landmark478_faces")
    if own is not None and len(own.triangle) == len(faces):
        return own
    return SurfacePoints(faces, avatar.head.get_buffer("landmark478_bary"))


def posed_landmarks(head: HeadModel, places: SurfacePoints, params: HeadParams) -> Float[Tensor, "n 3"]:
    """Return X_i of Eq. 7, the inner landmarks in the world."""
    with torch.no_grad():
        return places.on(head(params), head.faces)[INNER].double()


def gauss_newton_step(
    head: HeadModel, places: SurfacePoints, used: list[Anchor], beta: Float[Tensor, "i"], start: Tensor
) -> Float[Tensor, "i"]:
    """Return one step: X moves with β as the rest shape does (poses are close to rigid at landmarks)."""
    basis = (head.identity_basis[:, head.faces[places.triangle]] * places.bary[..., None]).sum(2)
    basis = basis[:, INNER].double()
    normal = PRIOR * torch.eye(len(beta), dtype=torch.float64)
    right = PRIOR * (start - beta).double()
    for anchor in used:
        params = anchor.params.replace(identity=beta)
        points = posed_landmarks(head, places, params)
        R = axis_angle_to_matrix(params.rotation).double()
        moved = basis @ R.T
        jacobian = projection_jacobian(anchor, points)
        A = torch.einsum("nij,knj->nik", jacobian, moved)
        assert anchor.points is not None
        error = torch.from_numpy(anchor.points[INNER]).double() - anchor.camera.project(points)
        weight = HUBER / error.norm(dim=-1).clamp(min=HUBER)
        normal += torch.einsum("n,nik,nil->kl", weight, A, A)
        right += torch.einsum("n,nik,ni->k", weight, A, error)
    return torch.linalg.solve(normal, right)


def projection_jacobian(anchor: Anchor, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 2 3"]:
    """Return the derivatives of pixels by world positions."""
    T, K = anchor.camera.cam_from_world.double(), anchor.camera.K.double()
    x, y, z = anchor.camera.to_camera(points).unbind(-1)
    zero = torch.zeros_like(z)
    rows = torch.stack(
        [
            torch.stack([K[0, 0] / z, zero, -K[0, 0] * x / z**2], -1),
            torch.stack([zero, K[1, 1] / z, -K[1, 1] * y / z**2], -1),
        ],
        1,
    )
    return rows @ T[:3, :3]


def mean_error(
    head: HeadModel, places: SurfacePoints, used: list[Anchor], identity: Float[Tensor, "i"]
) -> float:
    """Return the mean distance of projected and detected landmarks, pixels (the sum of Eq. 7, divided)."""
    errors = []
    for anchor in used:
        points = posed_landmarks(head, places, anchor.params.replace(identity=identity))
        assert anchor.points is not None
        errors.append(
            np.linalg.norm(anchor.camera.project(points).numpy() - anchor.points[INNER], axis=1).mean()
        )
    return float(np.mean(errors))


def with_shape(avatar: GaussianAvatar, identity: Float[Tensor, "i"]) -> GaussianAvatar:
    """Return the avatar with another shape β; Gaussians stay in the frames of their triangles."""
    source = avatar.source
    source = replace(source, params=source.params.replace(identity=identity))
    mesh = replace(avatar.mesh, bound=replace(avatar.mesh.bound, source=source))
    return GaussianAvatar(mesh, avatar.gaussians)
