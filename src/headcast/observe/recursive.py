"""Fit one person's identity frame by frame: what earlier frames say of it is kept as normal equations.

A frame's landmarks are linearised where they were fitted; its own unknowns (pose, gaze, expression) are
eliminated, and what remains, a quadratic in identity and logarithm of the focal length, is added to a sum.
The sum is the prior of the next frame. Its size and the cost of a frame do not depend on how many came
before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from headcast.observe.fit import Fitter, FrameFit, target_of
from headcast.observe.prior import Prior
from headcast.observe.solver import LandmarkTarget, normal_equations, slid_basis, solve
from headcast.observe.types import Detection

__all__ = ["AccumulatedPrior", "ShapeEvidence", "add_frame", "fit_to_evidence"]

ITERATIONS = 20
FREE_DISTANCE = 1.0  # logarithm: prior of later frames' distance, which counts once for a person
UNKNOWN_FOCAL = 1e-6  # precision of the logarithm of a focal length of which nothing is known
ON_BOUND = 1e-9  # of an unknown from its bound, which then does not move


@dataclass(frozen=True)
class ShapeEvidence:
    """What the frames so far say of one person's identity: x' P x - 2 x' r over x = (identity, log focal).

    Attributes:
        precision: (i + 1, i + 1) P, the identity's N(0, 1) prior included. right: (i + 1,) r.
        size: width and height of the images whose focal length (pixels) is the last unknown.
        count: number of frames.
    """

    precision: Float[np.ndarray, "k k"]
    right: Float[np.ndarray, "k"]
    size: tuple[int, int]
    count: int = 0

    @staticmethod
    def empty(identities: int, size: tuple[int, int], prior: Prior) -> ShapeEvidence:
        """Return the prior alone."""
        diagonal = np.append(np.full(identities, prior.identity), prior.log_focal_sigma**-2)
        right = np.append(np.zeros(identities), prior.log_focal * prior.log_focal_sigma**-2)
        return ShapeEvidence(np.diag(diagonal), right, size)

    @property
    def mean(self) -> Float[np.ndarray, "k"]:
        """Return the most likely identity and logarithm of the focal length."""
        return np.linalg.solve(self.precision, self.right)

    def for_size(self, size: tuple[int, int], prior: Prior) -> ShapeEvidence:
        """Return the evidence with the focal length of images of another size, of which nothing is known."""
        if size == self.size:
            return self
        precision, right = eliminate_last(self.precision, self.right)
        n = len(right)
        out = np.zeros((n + 1, n + 1))
        out[:n, :n] = precision
        out[n, n] = max(prior.log_focal_sigma**-2, UNKNOWN_FOCAL)
        return ShapeEvidence(out, np.append(right, out[n, n] * prior.log_focal), size, self.count)


@dataclass(frozen=True)
class AccumulatedPrior(Prior):
    """A prior whose shared part is the evidence of earlier frames.

    Attributes:
        precision, mean: of identity and logarithm of the focal length.
    """

    precision: Float[np.ndarray, "k k"] = field(default_factory=lambda: np.zeros((1, 1)))
    mean: Float[np.ndarray, "k"] = field(default_factory=lambda: np.zeros(1))

    def shared_cost(self, identity: np.ndarray, log_focal: float) -> float:
        """Return the cost of identity and focal length."""
        off = np.append(identity, log_focal) - self.mean
        return float(off @ self.precision @ off)

    def shared_terms(self, identity: np.ndarray, log_focal: float) -> tuple[np.ndarray, ...]:
        """Return half of Hessian and gradient, and step bounds, of identity and focal length."""
        _, _, low, high = super().shared_terms(identity, log_focal)
        P = self.precision
        off = np.append(identity, log_focal) - self.mean
        if len(identity) == 0:  # the identity is given: the focal length is what it makes likely
            return P[-1:, -1:], P[-1:, -1:] @ off[-1:], low, high
        return P, P @ off, low, high


def add_frame(
    fitter: Fitter,
    evidence: ShapeEvidence | None,
    detection: Detection,
    size: tuple[int, int],
    focal_35mm: float | None = None,
) -> tuple[ShapeEvidence, FrameFit]:
    """Fit one more frame with what earlier ones say of the identity; return the sum with it, and the fit.

    Args:
        evidence: None: the first frame.
        size: width and height of the image, pixels.
    """
    start = fitter.fit_photo(detection, *size, focal_35mm)
    usual = fitter.prior
    known = ShapeEvidence.empty(len(start.shared.identity), size, usual) if evidence is None else evidence
    known = known.for_size(size, usual)
    if known.count:
        usual = replace(usual, log_distance_sigma=FREE_DISTANCE)
    prior = AccumulatedPrior(**vars(usual), precision=known.precision, mean=known.mean)
    target = target_of(detection, *size, fitter.model, None, fitter.reader.expect(detection, None, None))
    shared, frame = start.shared, start.frame
    if known.count:
        shared = replace(shared, identity=known.mean[:-1].copy())
    shared, frames = solve(fitter.model, [target], shared, [frame], prior, True, ITERATIONS)
    fit = fitter.result(shared, frames[0], target, detection, *size)
    precision, right = frame_information(fitter, fit, target, prior)
    total = ShapeEvidence(known.precision + precision, known.right + right, size, known.count + 1)
    if evidence is not None and evidence.size != size:  # the sum stays one of the first images' focal length
        total = return_to_size(evidence, known, precision, right)
    return total, fit


def fit_to_evidence(
    fitter: Fitter,
    evidence: ShapeEvidence,
    detection: Detection,
    size: tuple[int, int],
    identity: Float[np.ndarray, "i"] | None = None,
) -> FrameFit:
    """Fit a frame's own unknowns with the identity and the focal length that the evidence makes likely.

    Args:
        identity: None: the most likely one.
    """
    known = evidence.for_size(size, fitter.prior)
    mean = known.mean
    own = mean[:-1] if identity is None else identity
    start = fitter.fit_photos([detection], [size], None, None, own)[0]
    usual = replace(fitter.prior, log_distance_sigma=FREE_DISTANCE)
    prior = AccumulatedPrior(**vars(usual), precision=known.precision, mean=mean)
    target = target_of(detection, *size, fitter.model, None, fitter.reader.expect(detection, None, None))
    shared, frames = solve(fitter.model, [target], start.shared, [start.frame], prior, False, ITERATIONS)
    return fitter.result(shared, frames[0], target, detection, *size)


def return_to_size(
    evidence: ShapeEvidence, known: ShapeEvidence, precision: np.ndarray, right: np.ndarray
) -> ShapeEvidence:
    """Add what a frame of another size says of the identity alone."""
    n = len(right) - 1
    own, other = precision.copy(), right.copy()
    own[n, n] += known.precision[n, n]
    other[n] += known.right[n]
    by_identity, right_identity = eliminate_last(own, other)
    P, r = evidence.precision.copy(), evidence.right.copy()
    P[:n, :n] += by_identity
    r[:n] += right_identity
    return ShapeEvidence(P, r, evidence.size, evidence.count + 1)


def frame_information(
    fitter: Fitter, fit: FrameFit, target: LandmarkTarget, prior: Prior
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k"]]:
    """Return P and r of one frame at its fit, without any prior on the shared unknowns."""
    basis = slid_basis(fitter.model, fit.shared, fit.frame, target.unit)
    own = target.prior(prior)
    e = normal_equations(fitter.model, [basis], fit.shared, [fit.frame], [target], [own], True)
    given, given_right, _, _ = own.shared_terms(fit.shared.identity, fit.shared.log_focal)
    H_ss, g_s = e.H_ss - given, e.g_s - given_right
    H_sf, H_ff, g_f = e.H_sf[0], e.H_ff[0], e.g_f[0]
    moves = (e.low_f[0] < -ON_BOUND) & (e.high_f[0] > ON_BOUND)
    H_sf, H_ff, g_f = H_sf[:, moves], H_ff[np.ix_(moves, moves)], g_f[moves]
    back = np.linalg.solve(H_ff, np.concatenate([H_sf.T, g_f[:, None]], 1))
    precision = H_ss - H_sf @ back[:, :-1]
    gradient = g_s - H_sf @ back[:, -1]
    precision = (precision + precision.T) / 2
    at = np.append(fit.shared.identity, fit.shared.log_focal)
    return precision, precision @ at - gradient


def eliminate_last(
    precision: Float[np.ndarray, "k k"], right: Float[np.ndarray, "k"]
) -> tuple[Float[np.ndarray, "j j"], Float[np.ndarray, "j"]]:
    """Minimise a quadratic over its last unknown; return that over the others."""
    c = precision[:-1, -1] / max(precision[-1, -1], math.ulp(1.0))
    return precision[:-1, :-1] - np.outer(c, precision[-1, :-1]), right[:-1] - c * right[-1]
