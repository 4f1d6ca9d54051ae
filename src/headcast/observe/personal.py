"""Find which surface points lie under the landmarks of one person's photo.

A texture is painted with whatever residual the landmark fit leaves. The same person's other frames are fitted
with these personal points, so that what was painted lands on the landmarks of those frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int

from headcast.camera import Camera
from headcast.crops.square import box_of
from headcast.head.embed import closest_among, guards, near_triangles, usual_landmarks
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.observe.expression_reader import ExpressionReader
from headcast.observe.landmark_model import LandmarkModel, PointBasis
from headcast.observe.lid_model import LidModel
from headcast.observe.types import Detection

__all__ = ["PersonalLandmarks", "personal_landmarks", "personal_model", "with_photo_rest"]

REACH = 0.005
STEPS = 3
CANDIDATES = 96  # triangles tried for a point


@dataclass(frozen=True)
class PersonalLandmarks:
    """Surface points under 478 detected landmarks: triangle of the head's faces and barycentric weights.

    Attributes:
        rest: the person's own offset of the expected weights (``ExpressionReader.rest_of_photo``); None:
            not known.
    """

    triangle: Int[np.ndarray, "478"]
    bary: Float[np.ndarray, "478 3"]
    rest: Float[np.ndarray, " o"] | None = None


def personal_landmarks(
    head: HeadModel,
    params: HeadParams,
    camera: Camera,
    detection: Detection,
    model: LandmarkModel | None = None,
) -> PersonalLandmarks:
    """Back-project a photo's landmarks onto its fitted head.

    A point moves at most ``REACH`` metres from its usual place and stays on its own lip or eyeball; where the
    surface looks away from the camera it stays where it is.
    """
    if model is None:
        start, weight = usual_landmarks(head)
    else:
        start, weight = model.triangle, model.bary
    with torch.no_grad():
        posed = head(params).double().numpy()
    faces = head.faces.numpy()
    P, t = camera.cam_from_world.double().numpy()[:3, :3], camera.cam_from_world.double().numpy()[:3, 3]
    K = camera.K.double().numpy()
    usual = _points(posed, faces, start, weight)
    near = _candidates(head, posed, usual)
    triangle, bary, here = start, weight, usual
    for _ in range(STEPS):
        move = _moves_to_landmarks(here, P, t, K, detection)
        wanted = here + move @ P
        away = wanted - usual
        far = np.maximum(np.linalg.norm(away, axis=1, keepdims=True) / REACH, 1.0)
        wanted = usual + away / far
        triangle, bary = closest_among(wanted, posed, faces, near)
        here = _points(posed, faces, triangle, bary)
    hidden = _facing(posed, faces, start, camera) < 0.15
    triangle[hidden], bary[hidden] = start[hidden], weight[hidden]
    return PersonalLandmarks(triangle, bary)


def _moves_to_landmarks(
    here: np.ndarray, P: np.ndarray, t: np.ndarray, K: np.ndarray, detection: Detection
) -> np.ndarray:
    """Return camera frame movements at constant depth that bring points under the landmarks."""
    cam = here @ P.T + t
    uv = cam[:, :2] / cam[:, 2:] * [K[0, 0], K[1, 1]] + K[:2, 2]
    move = np.zeros_like(cam)
    move[:, :2] = (detection.points - uv) * cam[:, 2:] / [K[0, 0], K[1, 1]]
    return move


def with_photo_rest(
    personal: PersonalLandmarks, head: HeadModel, params: HeadParams, camera: Camera
) -> PersonalLandmarks:
    """Add the person's own offset of the expected weights, read from the photo's landmarks.

    Args:
        params, camera: of the photo, as it was fitted.
    """
    from headcast.observe.landmarks import FaceDetector

    with torch.no_grad():
        posed = head(params)
        corners = posed[head.faces[torch.from_numpy(personal.triangle)]]
        on_surface = (corners * torch.from_numpy(personal.bary)[..., None].to(corners)).sum(1)
        points = camera.project(on_surface).numpy()
    with FaceDetector() as detector:
        scores = detector.blendshape_scores(points)
    photo = Detection(points=points, box=box_of(points), score=1.0, blendshapes=scores)
    rest = ExpressionReader.bundled().rest_of_photo(photo, params.expression.double().numpy())
    return replace(personal, rest=rest)


def personal_model(head: HeadModel, model: LandmarkModel, personal: PersonalLandmarks) -> LandmarkModel:
    """Build the landmark model of one person's photo; its points don't drift: they come from one view."""
    points = PointBasis.of(head, personal.triangle, personal.bary)
    lids = LidModel.of(head, personal.triangle, personal.bary)
    still = np.zeros_like(model.drift)
    return replace(
        model, points=points, triangle=personal.triangle, bary=personal.bary, lids=lids, drift=still
    )


def _candidates(
    head: HeadModel, posed: Float[np.ndarray, "v 3"], usual: Float[np.ndarray, "478 3"]
) -> Int[np.ndarray, "478 k"]:
    """Return the triangles on which each point may lie: near its usual place, on its own lip or eyeball."""
    centres = posed[head.faces.numpy()].mean(1)
    out = np.empty((478, CANDIDATES), np.int64)
    for rows, allowed in guards(head, 478).values():
        pool = np.flatnonzero(allowed)
        near = pool[near_triangles(usual[rows], centres[pool], CANDIDATES)]
        out[rows] = np.pad(near, ((0, 0), (0, CANDIDATES - near.shape[1])), mode="edge")
    return out


def _points(vertices: np.ndarray, faces: np.ndarray, triangle: np.ndarray, bary: np.ndarray) -> np.ndarray:
    return (vertices[faces[triangle]] * bary[..., None]).sum(1)


def _facing(vertices: np.ndarray, faces: np.ndarray, triangle: np.ndarray, camera: Camera) -> np.ndarray:
    """Return cosines between each triangle's normal and the direction to the camera."""
    a, b, c = (vertices[faces[triangle, k]] for k in range(3))
    n, to = np.cross(b - a, c - a), camera.center.double().numpy() - a
    return (n * to).sum(1) / np.maximum(np.linalg.norm(n, axis=1) * np.linalg.norm(to, axis=1), 1e-12)
