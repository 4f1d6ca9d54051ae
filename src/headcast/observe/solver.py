"""Gauss-Newton fit of the head's landmarks to detected ones: residuals, derivatives, priors and the loop.

Projection of a head frame point p, in pixels relative to the image's centre:
    x = R p,  w = 1 / (1 - k x_z),  u = (f k x_x + o_x) w,  v = (o_y - f k x_y) w
with the head at depth 1/k, focal length f and o the projected origin: nearly linear in every unknown.
Residuals are in iris distances.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from headcast.observe.boxstep import NormalEquations, box_step
from headcast.observe.expression_reader import ExpectedExpression
from headcast.observe.landmark_model import (
    SLIDE_STEPS,
    LandmarkModel,
    PointBasis,
    combined_weights,
    expression_weights,
)
from headcast.observe.landmark_points import OVAL
from headcast.observe.prior import FREE, Prior

__all__ = [
    "Frame",
    "LandmarkTarget",
    "Shared",
    "normal_equations",
    "positions",
    "residuals",
    "rotation_of",
    "slid_basis",
    "solve",
    "with_lids",
]

POSE = 10
"""Frame unknowns before the expression: rotation 3, offset 2, log k, gaze 4."""

LIDS_AT = (0, 2, 5, 9, 14)
"""Iterations before which the eyelids are re-projected; in between they keep their shift."""

PAIRS = np.array(
    [
        *((13, 14), (82, 87), (312, 317), (81, 178), (311, 402), (80, 88), (310, 318), (191, 95), (415, 324)),
        *((159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373)),
    ]
)
"""Upper and lower points of the inner lips and of the eyelids. Their distances are residuals besides their
positions, so that what is closed in the image is closed in the fit, whatever its offset."""

PAIR_SIGMA = 0.003
"""Standard deviation of such a distance, iris distances."""

PAIR_HUBER = 6.0
"""Standard deviations beyond which a pair pulls no harder."""

REFRESH = float(np.cos(np.radians(2.0)))
"""Visibility and the sliding contour are found again when the head has turned this far."""


@dataclass(frozen=True)
class LandmarkTarget:
    """One frame's landmarks as the solver's target, in iris distances relative to the image's centre.

    Attributes:
        points: (478, 2). weight: (478,) 0 leaves a point out. whiten: (478, 2, 2) maps a residual to
        standard deviations. unit: pixels per iris distance.
        expected: weights and gaze that the detection itself suggests; None: those of the prior.
    """

    points: Float[np.ndarray, "478 2"]
    weight: Float[np.ndarray, "478"]
    whiten: Float[np.ndarray, "478 2 2"]
    unit: float
    expected: ExpectedExpression | None = None

    def prior(self, usual: Prior) -> Prior:
        """Return the prior of this frame's own unknowns."""
        e = self.expected
        if e is None:
            return usual
        yaw, pitch = e.gaze.clip(-usual.gaze_limit, usual.gaze_limit)
        return replace(
            usual,
            gaze=float(e.gaze_sigma.mean()),
            gaze_mean=(float(yaw), float(pitch)),
            expression=np.minimum(usual.expression, e.sigma),
            expression_mean=e.weights,
        )


@dataclass
class Shared:
    """Unknowns common to the frames of one person: identity and log focal length in pixels."""

    identity: Float[np.ndarray, " i"]
    log_focal: float


@dataclass
class Frame:
    """One frame's unknowns.

    offset: pixels from the image's centre; log_k: log of 1/depth in metres; gaze: radians.

    ``weight`` is no unknown: the confidence in each point by how its surface faces the camera, found when the
    rotation's last row was ``view_axis``.
    """

    rotation: Float[np.ndarray, "3 3"]
    offset: Float[np.ndarray, "2"]
    log_k: float
    gaze: Float[np.ndarray, "2 2"]
    expression: Float[np.ndarray, "52"]
    weight: Float[np.ndarray, "478"] = field(default_factory=lambda: np.ones(478))
    view_axis: Float[np.ndarray, "3"] | None = None
    lid_shift: Float[np.ndarray, "478 3"] = field(default_factory=lambda: np.zeros((478, 3)))

    @cached_property
    def combined(self) -> Float[np.ndarray, "52"]:
        """Shape weights after the head model's rules, the eyes' from the gaze."""
        return combined_weights(self.expression, self.gaze)


def rotation_of(axis_angle: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3 3"]:
    """Return rotation matrices of axis-angle vectors by Rodrigues' formula, in numpy."""
    a = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(axis_angle, -1, 0)
    o = np.zeros_like(x)
    k = np.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*axis_angle.shape[:-1], 3, 3)
    a = np.maximum(a, 1e-9)
    return np.eye(3) + np.sin(a) / a * k + (1 - np.cos(a)) / (a * a) * (k @ k)


def _eye_rotation(gaze: np.ndarray) -> np.ndarray:
    return rotation_of(np.stack([-gaze[..., 1], gaze[..., 0], np.zeros_like(gaze[..., 0])], -1))


def positions(
    model: LandmarkModel, basis: PointBasis, identity: Float[np.ndarray, " i"], frame: Frame
) -> Float[np.ndarray, "478 3"]:
    """Return head frame positions of the 478 points, eyelids at rest on the eyeballs, eyes turned."""
    p = basis.at_identity(identity) + basis.expression @ frame.combined + frame.lid_shift
    return p + _eye_shift(model, basis, p, identity, _eye_rotation(frame.gaze) - np.eye(3))


def with_lids(model: LandmarkModel, identity: Float[np.ndarray, " i"], frame: Frame) -> Frame:
    """Re-project the frame's eyelids onto the eyeballs."""
    shift = model.lids.shift(identity, frame.combined, frame.gaze, model.eye_centres(identity))
    return replace(frame, lid_shift=shift)


def _eye_shift(
    model: LandmarkModel, basis: PointBasis, p: np.ndarray, identity: np.ndarray, turn: np.ndarray
) -> np.ndarray:
    centre = model.eye_centres(identity)
    shift = np.zeros_like(p)
    for s in range(2):
        rows = np.flatnonzero(basis.eye_weight[:, s])
        shift[rows] += basis.eye_weight[rows, s, None] * ((p[rows] - centre[s]) @ turn[s].T)
    return shift


def _project(x: np.ndarray, focal: float, frame: Frame, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, 2) image positions and (n,) perspective factors of rotated points."""
    k = np.exp(frame.log_k)
    w = 1 / (1 - k * x[:, 2])
    s = focal * k / unit
    return (x[:, :2] * [s, -s] + frame.offset / unit) * w[:, None], w


def residuals(
    model: LandmarkModel, basis: PointBasis, shared: Shared, frame: Frame, target: LandmarkTarget
) -> Float[np.ndarray, "478 2"]:
    """Return fitted minus detected landmarks, in iris distances."""
    p = positions(model, basis, shared.identity, frame)
    return _project(p @ frame.rotation.T, np.exp(shared.log_focal), frame, target.unit)[0] - target.points


def slid_basis(
    model: LandmarkModel, shared: Shared, frame: Frame, unit: float, from_degrees: float = 12.0
) -> PointBasis:
    """Return points as detected on a turned head: the far side's oval slides to the silhouette."""
    forward = frame.rotation[:, 2]
    yaw = np.degrees(np.arctan2(forward[0], forward[2]))
    points = model.turned(float(yaw))
    if abs(yaw) < from_degrees:
        return points
    p = model.slide.at_identity(shared.identity) + model.slide.expression @ frame.combined
    x, _ = _project(p @ frame.rotation.T, np.exp(shared.log_focal), frame, unit)
    n = len(SLIDE_STEPS)
    out = x[:, 0].reshape(-1, n) * np.sign(yaw)
    best = out.argmax(1)
    oval = np.array(OVAL)
    side = model.points.neutral[oval, 0]
    far = (np.sign(side) == np.sign(yaw)) & (np.abs(side) > 0.03)
    rows = (np.arange(len(oval)) * n + best)[far]
    return points.replaced(oval[far], model.slide[rows])


class _CameraDerivatives(NamedTuple):
    """Image positions uv (n, 2) and their derivatives by the rotated position (n, 2, 3), by rotation, offset
    and log k (n, 2, 6), and by log focal length (n, 2)."""

    uv: np.ndarray
    by_position: np.ndarray
    by_pose: np.ndarray
    by_focal: np.ndarray


def _jacobian(
    model: LandmarkModel,
    basis: PointBasis,
    shared: Shared,
    frame: Frame,
    target: LandmarkTarget,
    with_identity: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return residuals (n, 2) and derivatives (n, 2, shared + frame unknowns), not whitened."""
    combined, by_e, by_gaze = expression_weights(frame.expression, frame.gaze, FREE)
    still = basis.at_identity(shared.identity) + basis.expression @ combined + frame.lid_shift
    turn = _eye_rotation(frame.gaze) - np.eye(3)
    p = still + _eye_shift(model, basis, still, shared.identity, turn)
    uv, by_position, by_pose, by_focal = _camera_derivatives(p, shared, frame, target.unit)
    by_point = by_position @ frame.rotation
    identity_count = len(shared.identity) if with_identity else 0
    J = np.zeros((len(p), 2, identity_count + 1 + POSE + len(FREE)))
    if with_identity:
        J[:, :, :identity_count] = by_point @ _identity_columns(model, basis, turn)
    J[:, :, identity_count] = by_focal
    f = identity_count + 1
    J[:, :, f : f + 6] = by_pose
    J[:, :, f + 6 : f + 10] = by_point @ (
        basis.expression @ by_gaze + _gaze_columns(model, basis, still, shared, frame)
    )
    J[:, :, f + 10 :] = by_point @ (basis.expression @ by_e)
    return uv - target.points, J


def _camera_derivatives(points: np.ndarray, shared: Shared, frame: Frame, unit: float) -> _CameraDerivatives:
    """Project head frame points and differentiate by position, pose and log focal length."""
    k, focal = np.exp(frame.log_k), np.exp(shared.log_focal)
    x = points @ frame.rotation.T
    uv, w = _project(x, focal, frame, unit)
    s = focal * k / unit
    n = len(x)
    by_position = np.zeros((n, 2, 3))
    by_position[:, 0, 0], by_position[:, 1, 1], by_position[:, :, 2] = s * w, -s * w, uv * (w * k)[:, None]
    by_focal = x[:, :2] * [s, -s] * w[:, None]
    zero = np.zeros(n)
    cross = np.stack([zero, x[:, 2], -x[:, 1], -x[:, 2], zero, x[:, 0], x[:, 1], -x[:, 0], zero], -1)
    by_pose = np.zeros((n, 2, 6))
    by_pose[:, :, :3] = by_position @ cross.reshape(n, 3, 3)
    by_pose[:, 0, 3] = by_pose[:, 1, 4] = w / unit
    by_pose[:, :, 5] = by_focal + uv * (w * k * x[:, 2])[:, None]
    return _CameraDerivatives(uv, by_position, by_pose, by_focal)


def _identity_columns(model: LandmarkModel, basis: PointBasis, turn: np.ndarray) -> np.ndarray:
    out = basis.identity
    rows = np.flatnonzero(basis.eye_weight.any(1))
    if len(rows):
        out = out.copy()
        for s in range(2):
            relative = basis.identity[rows] - model.eye_identity[s]
            out[rows] += basis.eye_weight[rows, s, None, None] * (turn[s] @ relative)
    return out


TURNS = np.array([[[0.0, 0, 1], [0, 0, 0], [-1, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, -1, 0]]])
"""Infinitesimal turns of an eye by yaw (about +y) and pitch (about -x)."""


def _gaze_columns(
    model: LandmarkModel, basis: PointBasis, still: np.ndarray, shared: Shared, frame: Frame
) -> np.ndarray:
    """Return derivatives of eyeball points by (left, right) x (yaw, pitch), to first order in the gaze."""
    out = np.zeros((len(still), 3, 4))
    centre = model.eye_centres(shared.identity)
    turn = _eye_rotation(frame.gaze)
    for s in range(2):
        rows = np.flatnonzero(basis.eye_weight[:, s])
        arm = (still[rows] - centre[s]) @ turn[s].T * basis.eye_weight[rows, s, None]
        for c in range(2):
            out[rows, :, 2 * s + c] = arm @ TURNS[c].T
    return out


class _RobustResiduals(NamedTuple):
    """Whitened residuals, their robust weights and their cost."""

    white: np.ndarray
    weight: np.ndarray
    cost: float


def _robust(r: np.ndarray, target: LandmarkTarget, frame: Frame, prior: Prior) -> _RobustResiduals:
    """Return whitened residuals, their robust weights and their cost.

    Points are weighed after Geman and McClure: outliers are ignored. Pairs after Huber: a blink is far
    from the frame before, and must go on pulling.
    """
    white = _with_pairs((target.whiten @ r[..., None])[..., 0], r)
    d2 = (white * white).sum(1)
    each = target.weight * frame.weight
    trust = prior.data * np.concatenate([each, each[PAIRS].min(1)])
    c2, n = prior.outlier**2, len(each)
    d = np.sqrt(np.maximum(d2[n:], 1e-12))
    near = np.minimum(1.0, PAIR_HUBER / d)
    weight = trust * np.concatenate([(c2 / (c2 + d2[:n])) ** 2, near])
    cost = np.concatenate([c2 * d2[:n] / (c2 + d2[:n]), near * (2 - near) * d2[n:]])
    return _RobustResiduals(white, weight, float((trust * cost).sum()))


def _with_pairs(white: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Append the whitened differences of ``PAIRS`` of the plain rows to the whitened rows (478, ...)."""
    return np.concatenate([white, (plain[PAIRS[:, 0]] - plain[PAIRS[:, 1]]) / PAIR_SIGMA])


def solve(
    model: LandmarkModel,
    targets: list[LandmarkTarget],
    shared: Shared,
    frames: list[Frame],
    prior: Prior,
    free_identity: bool = True,
    iterations: int = 12,
    tolerance: float = 1e-4,
) -> tuple[Shared, list[Frame]]:
    """Minimise landmark residuals plus priors over identity, focal length, poses, gazes and expressions."""
    frames, bases = list(frames), [model.points] * len(frames)
    priors = [t.prior(prior) for t in targets]
    cost = np.inf
    for n in range(iterations):
        start = cost
        fresh = _refresh(model, targets, shared, frames, bases, n)
        if fresh or n in LIDS_AT:
            start = _cost(model, bases, shared, frames, targets, priors)
        step_s, step_f = box_step(
            normal_equations(model, bases, shared, frames, targets, priors, free_identity)
        )
        for damping in (1.0, 0.5, 0.25, 0.1):
            s2 = _moved_shared(shared, step_s * damping, free_identity)
            f2 = [_moved(f, step_f[i] * damping) for i, f in enumerate(frames)]
            cost = _cost(model, bases, s2, f2, targets, priors)
            if cost < start:
                shared, frames = s2, f2
                break
        else:
            break
        if not fresh and start - cost < tolerance * max(start, 1.0):
            break
    return shared, frames


def _refresh(
    model: LandmarkModel,
    targets: list[LandmarkTarget],
    shared: Shared,
    frames: list[Frame],
    bases: list[PointBasis],
    iteration: int,
) -> bool:
    """Re-project eyelids and find visibility and contours again, in place, where due.

    Return whether visibility and contours of any frame were found again.
    """
    fresh = False
    for i, (frame, target) in enumerate(zip(frames, targets, strict=True)):
        if iteration in LIDS_AT:
            frames[i] = with_lids(model, shared.identity, frames[i])
        if iteration == 0 or frame.view_axis is None or frame.view_axis @ frame.rotation[2] < REFRESH:
            frames[i] = replace(frames[i], weight=_facing(model, frame), view_axis=frame.rotation[2])
            bases[i], fresh = slid_basis(model, shared, frame, target.unit), True
    return fresh


def _facing(model: LandmarkModel, frame: Frame) -> Float[np.ndarray, "478"]:
    """Weigh down points whose surface faces away from the camera."""
    z = model.normal @ frame.rotation[2]
    return ((z + 0.35) / 0.6).clip(0.15, 1.0)


def _cost(
    model: LandmarkModel,
    bases: list[PointBasis],
    shared: Shared,
    frames: list[Frame],
    targets: list[LandmarkTarget],
    priors: list[Prior],
) -> float:
    total = priors[0].shared_cost(shared.identity, shared.log_focal)
    for basis, frame, target, prior in zip(bases, frames, targets, priors, strict=True):
        total += _robust(residuals(model, basis, shared, frame, target), target, frame, prior)[2]
        total += prior.frame_cost(frame.log_k, frame.gaze, frame.expression)
    return total


def normal_equations(
    model: LandmarkModel,
    bases: list[PointBasis],
    shared: Shared,
    frames: list[Frame],
    targets: list[LandmarkTarget],
    priors: list[Prior],
    free_identity: bool,
) -> NormalEquations:
    """Return the Gauss-Newton normal equations of landmark terms and priors at the current unknowns."""
    identity = shared.identity if free_identity else shared.identity[:0]
    H_ss, g_s, low_s, high_s = priors[0].shared_terms(identity, shared.log_focal)
    blocks = []
    ns = len(g_s)
    for basis, frame, target, prior in zip(bases, frames, targets, priors, strict=True):
        H, g = _frame_normal(model, basis, shared, frame, target, free_identity, prior)
        h, gp, low, high = prior.frame_terms(frame.log_k, frame.gaze, frame.expression)
        H_ss, g_s = H_ss + H[:ns, :ns], g_s + g[:ns]
        blocks.append((H[:ns, ns:], H[ns:, ns:] + h, g[ns:] + gp, low, high))
    H_sf, H_ff, g_f, low_f, high_f = (np.stack(b) for b in zip(*blocks, strict=True))
    return NormalEquations(
        H_ss=H_ss,
        g_s=g_s,
        H_sf=H_sf,
        H_ff=H_ff,
        g_f=g_f,
        low_s=low_s,
        high_s=high_s,
        low_f=low_f,
        high_f=high_f,
    )


def _frame_normal(
    model: LandmarkModel,
    basis: PointBasis,
    shared: Shared,
    frame: Frame,
    target: LandmarkTarget,
    free_identity: bool,
    prior: Prior,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the landmark term of one frame: half of Hessian and gradient over shared and frame unknowns."""
    r, J = _jacobian(model, basis, shared, frame, target, free_identity)
    white, weight, _ = _robust(r, target, frame, prior)
    root = np.sqrt(weight)[:, None]
    Jw = (_with_pairs(target.whiten @ J, J) * root[..., None]).reshape(-1, J.shape[-1])
    H, g = Jw.T @ Jw, Jw.T @ (white * root).reshape(-1)
    return H, g


def _moved_shared(shared: Shared, step: np.ndarray, free_identity: bool) -> Shared:
    identity = shared.identity + step[:-1] if free_identity else shared.identity
    return Shared(identity, shared.log_focal + float(step[-1]))


def _moved(frame: Frame, step: np.ndarray) -> Frame:
    expression = frame.expression.copy()
    expression[FREE] += step[POSE:]
    return Frame(
        rotation=rotation_of(step[:3]) @ frame.rotation,
        offset=frame.offset + step[3:5],
        log_k=frame.log_k + float(step[5]),
        gaze=frame.gaze + step[6:10].reshape(2, 2),
        expression=expression,
        weight=frame.weight,
        view_axis=frame.view_axis,
        lid_shift=frame.lid_shift,
    )
