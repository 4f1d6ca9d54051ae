"""Fit head parameters and camera to detected landmarks: one photo, several photos, one frame of a clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams, eye_look_from_gaze
from headcast.observe.expression_reader import ExpectedExpression, ExpressionReader
from headcast.observe.landmark_model import INNER, LandmarkModel
from headcast.observe.landmark_points import OVAL, iris_distance
from headcast.observe.prior import FREE, Prior
from headcast.observe.solver import Frame, LandmarkTarget, Shared, residuals, slid_basis, solve, with_lids
from headcast.observe.types import Detection
from headcast.rotation import matrix_to_axis_angle

__all__ = ["Fitter", "FrameFit", "eye_openness", "target_of"]

RING = np.array(OVAL)
TANGENT = 3.0
IRIS_OF_HEIGHT = 0.36
SENSOR_35MM = 43.27


@dataclass(frozen=True)
class FrameFit:
    """The head fitted to one frame.

    Attributes:
        params: unbatched, gaze as eyeLook* weights. camera: at the origin looking along -Z.
        points: (478, 2) fitted landmarks, pixels.
        error: median distance of the inner landmarks, % of the iris distance.
        shared, frame: the solver's own state, to go on from.
    """

    params: HeadParams
    camera: Camera
    points: Float[np.ndarray, "478 2"]
    error: float
    shared: Shared
    frame: Frame


def eye_openness(points: Float[np.ndarray, "478 2"]) -> tuple[float, float]:
    """Return eyelid gap over eye width, (left, right)."""

    def one(upper: int, lower: int, a: int, b: int) -> float:
        return float(np.linalg.norm(points[upper] - points[lower]) / np.linalg.norm(points[a] - points[b]))

    return one(386, 374, 362, 263), one(159, 145, 33, 133)


def target_of(
    detection: Detection,
    width: int,
    height: int,
    model: LandmarkModel,
    use: np.ndarray | None = None,
    expected: ExpectedExpression | None = None,
) -> LandmarkTarget:
    """Convert detected landmarks to the solver's target.

    Along the face oval a point counts little; across it fully. Irises of closing eyes count little.

    Args:
        use: (478,) weights; None takes all points.
        expected: the expression that the detection suggests.
    """
    p = detection.points.astype(np.float64)
    unit = max(iris_distance(p), IRIS_OF_HEIGHT * float(np.linalg.norm(p[10] - p[152])))
    whiten = np.eye(2) / model.sigma[:, None, None]
    along = np.roll(p[RING], -1, 0) - np.roll(p[RING], 1, 0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    whiten[RING] = np.stack([across, along / TANGENT], 1) / model.sigma[RING, None, None]
    weight = np.ones(478) if use is None else use.astype(np.float64)
    for rows, openness in zip((range(473, 478), range(468, 473)), eye_openness(p), strict=True):
        weight[rows] = weight[rows] * np.clip((openness - 0.08) / 0.12, 0.02, 1.0)
    return LandmarkTarget(
        points=(p - [width / 2, height / 2]) / unit,
        weight=weight,
        whiten=whiten,
        unit=unit,
        expected=expected,
    )


class Fitter:
    """Fit a head model to landmarks; keep the model's landmark bases, so that calls are cheap."""

    def __init__(
        self,
        head: HeadModel,
        model: LandmarkModel | None = None,
        prior: Prior | None = None,
        reader: ExpressionReader | None = None,
    ) -> None:
        self.head = head
        self.model = LandmarkModel.of(head) if model is None else model
        self.prior = Prior() if prior is None else prior
        self.reader = ExpressionReader.bundled() if reader is None else reader

    def fit_photo(
        self,
        detection: Detection,
        width: int,
        height: int,
        focal_35mm: float | None = None,
        use: np.ndarray | None = None,
    ) -> FrameFit:
        """Fit one photo by itself.

        Args:
            focal_35mm: the lens in 35 mm terms when the file records it and was not cropped.
            use: (478,) landmark weights, e.g. to hold some out.
        """
        return self.fit_photos([detection], [(width, height)], [focal_35mm], use)[0]

    def fit_photos(
        self,
        detections: Sequence[Detection],
        sizes: Sequence[tuple[int, int]],
        focals_35mm: Sequence[float | None] | None = None,
        use: np.ndarray | None = None,
        identity: np.ndarray | None = None,
        rest: np.ndarray | None = None,
        width: float | None = None,
    ) -> list[FrameFit]:
        """Fit photos of one person: a common identity, own poses; one focal length per image size.

        Args:
            identity: given, it is kept and only the rest is fitted.
            rest: the person's own offset of the expected weights (``ExpressionReader.rest``).
            width: of their prior, see ``ExpressionReader.expect``.
        """
        focals = list(focals_35mm or [None] * len(detections))
        fits: dict[int, FrameFit] = {}
        groups: dict[tuple[int, int], list[int]] = {}
        for i, size in enumerate(sizes):
            groups.setdefault(size, []).append(i)
        if len(groups) > 1 and identity is None:
            identity = self._common_identity(detections, sizes, focals)
        for (w, h), members in groups.items():
            targets = [
                target_of(
                    detections[i], w, h, self.model, use, self.reader.expect(detections[i], rest, width)
                )
                for i in members
            ]
            prior = self._with_focal(w, h, focals[members[0]], len(members))
            shared, frames = self._start(targets, prior, identity)
            shared, frames = solve(self.model, targets, shared, frames, prior, identity is None, 20)
            for i, f, t in zip(members, frames, targets, strict=True):
                fits[i] = self.result(shared, f, t, detections[i], w, h)
        return [fits[i] for i in range(len(detections))]

    def fit_frame(
        self,
        detection: Detection,
        width: int,
        height: int,
        last: FrameFit,
        rest: np.ndarray | None = None,
        prior_width: float | None = None,
    ) -> FrameFit:
        """Fit a clip's next frame, starting from ``last``, whose identity and focal length are kept.

        Args:
            rest, prior_width: see ``fit_photos``, there ``width``.
        """
        prior = self.prior
        expected = self.reader.expect(detection, rest, prior_width)
        target = target_of(detection, width, height, self.model, expected=expected)
        log_focal = last.shared.log_focal
        prior = replace(prior, log_focal=log_focal, log_focal_sigma=1e-4)
        shared, frames = solve(self.model, [target], last.shared, [last.frame], prior, False, 6, 1e-3)
        return self.result(shared, frames[0], target, detection, width, height)

    def _common_identity(
        self,
        detections: Sequence[Detection],
        sizes: Sequence[tuple[int, int]],
        focals: Sequence[float | None],
    ) -> np.ndarray:
        """Average the identities of photos of different sizes, weighted by their faces' pixels."""
        own = [self.fit_photo(d, *s, f) for d, s, f in zip(detections, sizes, focals, strict=True)]
        w = np.array([iris_distance(d.points) for d in detections])
        return np.average([f.shared.identity for f in own], axis=0, weights=w)

    def _with_focal(self, width: int, height: int, focal_35mm: float | None, images: int = 1) -> Prior:
        """Return the prior for photos of this size and lens.

        For n images that share a lens the distance prior counts once, not n times: the turning head itself
        informs the distance.
        """
        if focal_35mm is None:
            return replace(self.prior, log_distance_sigma=self.prior.log_distance_sigma * math.sqrt(images))
        pixels = focal_35mm / SENSOR_35MM * math.hypot(width, height)
        return replace(self.prior, log_focal=math.log(pixels), log_focal_sigma=0.06, log_distance_sigma=1.0)

    def _start(
        self, targets: list[LandmarkTarget], prior: Prior, identity: np.ndarray | None
    ) -> tuple[Shared, list[Frame]]:
        """Estimate weak-perspective poses of the resting head, at the likely distance."""
        identity = np.zeros(self.head.identities) if identity is None else identity
        rest = self.model.points.at_identity(identity)
        k = 1 / prior.distance
        poses = [weak_perspective(rest, t.points, t.weight) for t in targets]
        focals = [s * t.unit / k for (_, s, _), t in zip(poses, targets, strict=True)]
        log_focal = float(np.log(np.median(focals)))
        if prior.log_focal_sigma < 1:
            log_focal = prior.log_focal
        frames, resting = [], np.zeros(52)
        resting[FREE] = 0.02
        for (R, s, offset), t in zip(poses, targets, strict=True):
            log_k = float(np.log(s * t.unit) - log_focal)
            frames.append(
                Frame(
                    rotation=R,
                    offset=offset * t.unit,
                    log_k=log_k,
                    gaze=np.zeros((2, 2)),
                    expression=resting.copy() if t.expected is None else t.expected.weights.copy(),
                )
            )
        return Shared(identity.copy(), log_focal), frames

    def result(
        self,
        shared: Shared,
        frame: Frame,
        target: LandmarkTarget,
        detection: Detection,
        width: int,
        height: int,
    ) -> FrameFit:
        """Convert the solver's state to ``Fit``."""
        frame = with_lids(self.model, shared.identity, frame)
        basis = slid_basis(self.model, shared, frame, target.unit)
        r = residuals(self.model, basis, shared, frame, target) * target.unit
        error = float(np.median(np.linalg.norm(r[INNER], axis=1)) / iris_distance(detection.points) * 100)
        focal = math.exp(shared.log_focal)
        depth = math.exp(-frame.log_k)
        offset = frame.offset / focal * depth
        t = torch.tensor([offset[0], -offset[1], -depth], dtype=torch.float32)
        expression = eye_look_from_gaze(torch.from_numpy(frame.expression), torch.from_numpy(frame.gaze))
        params = HeadParams(
            identity=torch.from_numpy(shared.identity).float(),
            expression=expression.float(),
            rotation=matrix_to_axis_angle(torch.from_numpy(frame.rotation)).float(),
            translation=t,
            neck=torch.zeros(3),
            jaw=torch.zeros(3),
        )
        camera = Camera.make(focal, width, height)
        return FrameFit(
            params=params, camera=camera, points=detection.points + r, error=error, shared=shared, frame=frame
        )


class WeakPerspective(NamedTuple):
    """Rotation (3, 3), scale and offset (2,) of a scaled orthographic view."""

    rotation: np.ndarray
    scale: float
    offset: np.ndarray


def weak_perspective(
    points: Float[np.ndarray, "n 3"], image: Float[np.ndarray, "n 2"], weight: Float[np.ndarray, " n"]
) -> WeakPerspective:
    """Solve for rotation, scale and offset of a scaled orthographic view (image +y down) by least squares."""
    w = np.sqrt(weight)[:, None]
    A = np.concatenate([points, np.ones((len(points), 1))], 1) * w
    M = np.linalg.lstsq(A, image * [1, -1] * w, rcond=None)[0]
    u, s, vt = np.linalg.svd(M[:3].T, full_matrices=False)
    rows = u @ vt
    return WeakPerspective(
        np.stack([rows[0], rows[1], np.cross(rows[0], rows[1])]), float(s.mean()), M[3] * [1, -1]
    )
