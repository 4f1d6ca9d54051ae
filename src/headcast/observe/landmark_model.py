"""The head model reduced to its landmarks for fitting, in numpy, independent of the topology."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from headcast.head.embed import embed_landmarks, landmark_table, usual_landmarks
from headcast.head.model import HeadModel, combine
from headcast.head.params import eye_look_from_gaze
from headcast.observe.landmark_points import MIRROR, OVAL
from headcast.observe.lid_model import LidModel

__all__ = ["INNER", "LandmarkModel", "PointBasis", "combined_weights", "expression_weights"]

INNER = np.setdiff1d(np.arange(478), OVAL)
"""Everything but the oval."""

SLIDE_STEPS = np.array([-0.018, -0.012, -0.006, 0.0, 0.006, 0.012, 0.018, 0.024])
"""Where a far side contour point may slide, metres towards the middle of the face."""

DRIFT_LIMIT = 40.0
"""Degrees beyond which the detector's points wander no further."""

GAZE_STEP = 1e-4


@dataclass(frozen=True)
class PointBasis:
    """Surface points linear in identity and expression weights, with their attachment to the eyeballs."""

    neutral: Float[np.ndarray, "n 3"]
    identity: Float[np.ndarray, "n 3 i"]
    expression: Float[np.ndarray, "n 3 52"]
    eye_weight: Float[np.ndarray, "n 2"]

    @staticmethod
    def of(head: HeadModel, triangle: Int[np.ndarray, " n"], bary: Float[np.ndarray, "n 3"]) -> PointBasis:
        """Build the basis of points with these triangles and barycentric weights."""
        rows = head.faces[torch.from_numpy(np.asarray(triangle))]
        w = torch.from_numpy(np.asarray(bary, np.float32))

        def take(x: torch.Tensor) -> np.ndarray:
            """Select some of the points."""
            return torch.einsum("...nck,nc->...nk", x[..., rows, :], w).double().numpy()

        return PointBasis(
            neutral=take(head.neutral),
            identity=np.ascontiguousarray(np.moveaxis(take(head.identity_basis), 0, -1)),
            expression=np.ascontiguousarray(np.moveaxis(take(head.expression_basis), 0, -1)),
            eye_weight=take(head.skin_weights)[:, 4:6],
        )

    def __getitem__(self, rows: np.ndarray) -> PointBasis:
        return PointBasis(
            self.neutral[rows], self.identity[rows], self.expression[rows], self.eye_weight[rows]
        )

    def replaced(self, rows: np.ndarray, other: PointBasis) -> PointBasis:
        """Copy with the given rows replaced by another basis' points."""
        arrays = [getattr(self, k).copy() for k in self.__dataclass_fields__]
        for a, k in zip(arrays, self.__dataclass_fields__, strict=True):
            a[rows] = getattr(other, k)
        return PointBasis(*arrays)

    def at_identity(self, identity: np.ndarray) -> Float[np.ndarray, "n 3"]:
        """Return the positions of an identity at rest."""
        return self.neutral + self.identity @ identity


@dataclass(frozen=True)
class LandmarkModel:
    """478 points of a head, the far side contour's alternatives, and the eyes' centres.

    Attributes:
        points: the 478. slide: 36 x len(SLIDE_STEPS) alternatives for the face oval, row by row.
        eye_neutral, eye_identity: eyeball centres (left, right) at rest and their identity basis.
        sigma: (478,) scale of each point's residual, in iris distances.
        normal: (478, 3) outward unit normals on the neutral head.
        triangle, bary: the 478 on the mesh. lids: what the resting lids add.
        drift: (478, 3) metres by which the detector's points drift over a head that is turned to its left,
            by the sine of the angle; mirrored when it is turned to its right.
    """

    points: PointBasis
    slide: PointBasis
    eye_neutral: Float[np.ndarray, "2 3"]
    eye_identity: Float[np.ndarray, "2 3 i"]
    sigma: Float[np.ndarray, "478"]
    normal: Float[np.ndarray, "478 3"]
    triangle: Int[np.ndarray, "478"]
    bary: Float[np.ndarray, "478 3"]
    lids: LidModel
    drift: Float[np.ndarray, "478 3"]

    @staticmethod
    def of(head: HeadModel, table: dict | None = None) -> LandmarkModel:
        """Reduce a head to its landmarks; positions and scales come from the bundled table by default."""
        if table is None:
            table = landmark_table()
            triangle, bary = usual_landmarks(head)
        else:
            triangle, bary = embed_landmarks(head, np.asarray(table["points478"]))
        points = PointBasis.of(head, triangle, bary)
        a, b, c = (head.neutral[head.faces[triangle, k]].double().numpy() for k in range(3))
        normal = np.cross(b - a, c - a)
        return LandmarkModel(
            points=points,
            slide=PointBasis.of(head, *_slide(head, points.neutral[list(OVAL)])),
            eye_neutral=head.joint_neutral[4:6].double().numpy(),
            eye_identity=np.moveaxis(head.joint_identity[:, 4:6].double().numpy(), 0, -1),
            sigma=np.asarray(table["sigma478"]),
            normal=normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12),
            triangle=triangle,
            bary=bary,
            lids=LidModel.of(head, triangle, bary),
            drift=np.asarray(table.get("drift478", np.zeros((478, 3)))),
        )

    def turned(self, yaw: float) -> PointBasis:
        """Return the 478 points as the detector places them on a head turned by ``yaw`` degrees."""
        sine = float(np.sin(np.radians(np.clip(yaw, -DRIFT_LIMIT, DRIFT_LIMIT))))
        drift = self.drift if sine > 0 else self.drift[MIRROR] * [-1.0, 1.0, 1.0]
        return replace(self.points, neutral=self.points.neutral + abs(sine) * drift)

    def eye_centres(self, identity: Float[np.ndarray, " i"]) -> Float[np.ndarray, "2 3"]:
        """Return the centres of an identity's eyeballs (left, right)."""
        return self.eye_neutral + self.eye_identity @ identity


def _slide(head: HeadModel, oval: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points before and behind each oval point, along the surface in its horizontal plane."""
    from headcast.head.embed import closest_on_mesh

    skin = head.part.numpy() == head.part_names.index("skin")
    vertices, faces = head.neutral.numpy(), head.faces.numpy()
    targets = np.repeat(oval[:, None], len(SLIDE_STEPS), 1)
    inward = np.zeros_like(oval)
    middle = oval[:, 2].mean()
    inward[:, 0] = -np.sign(oval[:, 0]) * (np.abs(oval[:, 0]) > 0.03)
    inward[:, 2] = np.where(oval[:, 2] < middle + 0.02, 1.0, 0.3)
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    targets = targets + SLIDE_STEPS[None, :, None] * inward[:, None]
    return closest_on_mesh(targets.reshape(-1, 3), vertices, faces, skin)


def combined_weights(
    expression: Float[np.ndarray, "52"], gaze: Float[np.ndarray, "2 2"]
) -> Float[np.ndarray, "52"]:
    """Return shape weights for expression and gaze after the head model's combination rules."""
    return combine(eye_look_from_gaze(torch.from_numpy(expression), torch.from_numpy(gaze))).numpy()


class ShapeWeights(NamedTuple):
    """Shape weights and their derivatives."""

    weights: Float[np.ndarray, "52"]
    by_expression: Float[np.ndarray, "52 e"]
    by_gaze: Float[np.ndarray, "52 4"]


def expression_weights(
    expression: Float[np.ndarray, "52"], gaze: Float[np.ndarray, "2 2"], columns: Int[np.ndarray, " e"]
) -> ShapeWeights:
    """Return shape weights for expression and gaze, and their derivatives by ``columns`` and by the gaze.

    Forward differences over the model's own rules, so that a change there needs none here.
    """
    n = len(columns)
    e = np.repeat(expression[None], 1 + n + 4, 0)
    g = np.repeat(gaze.reshape(1, 4), 1 + n + 4, 0)
    e[np.arange(1, n + 1), columns] += GAZE_STEP
    g[np.arange(n + 1, n + 5), np.arange(4)] += GAZE_STEP
    out = combine(eye_look_from_gaze(torch.from_numpy(e), torch.from_numpy(g.reshape(-1, 2, 2)))).numpy()
    jacobian = ((out[1:] - out[0]) / GAZE_STEP).T
    return ShapeWeights(out[0], jacobian[:, :n], jacobian[:, n:])
