"""Estimate what expression weights and gaze a detected face most likely shows, before any head is fitted.

A small network, learned on synthetic heads with known weights (``tools/learn_expressions.py``), reads
landmarks without pose and size together with the scores of MediaPipe's blendshape network. The estimate is
the prior mean of the fit; how well each weight was estimated on heads held out is its standard deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS, mirrored_name
from headcast.observe.confidence import prior_width
from headcast.observe.landmark_points import MIRROR
from headcast.observe.prior import FREE, expression_bounds
from headcast.observe.types import Detection

__all__ = [
    "COORDINATES",
    "ExpectedExpression",
    "ExpressionReader",
    "encode",
    "frontal_features",
    "mirrored_features",
    "mirrored_targets",
    "resting_offset",
]

WEIGHTS = Path(__file__).parents[1] / "weights" / "expressions.safetensors"
RIGID = (
    *(33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 1, 2, 98, 327),
    *(10, 151, 9, 8, 127, 356, 234, 454, 93, 323, 132, 361, 70, 300),
)
"""Landmarks that expressions move little: nose, corners of the eyes, forehead, temples."""
LOOSE = 0.05
"""Weight of all others in finding the pose."""
FLOOR = 0.01
"""Added to scores before the logarithm."""
COORDINATES = 956
"""Features that are landmarks, x and y in turn."""
CUT = 4.0
"""Standard deviations at which whitened features are cut."""
FLIP = [EXPRESSION_INDEX[mirrored_name(n)] for n in EXPRESSIONS]
FREE_FLIP = [list(FREE).index(FLIP[i]) for i in FREE]
SQUINTS = [EXPRESSION_INDEX[f"eyeSquint{side}"] for side in ("Left", "Right")]
REST_QUANTILE = 0.2
"""Of the estimates over a clip: what a face that mostly rests shows at rest."""
REST_LIMIT = 1.5
"""Largest offset, in its standard deviations over people."""


@dataclass(frozen=True)
class ExpectedExpression:
    """Most likely weights of one frame.

    Attributes:
        weights, sigma: (52,) mean and standard deviation that a fit takes as its prior (``prior_width``);
            eyeLook* and the tongue are not estimated.
        gaze, gaze_sigma: (yaw, pitch) of both eyes, radians.
    """

    weights: Float[np.ndarray, "52"]
    sigma: Float[np.ndarray, "52"]
    gaze: Float[np.ndarray, "2"]
    gaze_sigma: Float[np.ndarray, "2"]


@dataclass(frozen=True)
class ExpressionReader:
    """The learned network; e is the number of weights that are fitted (``FREE``).

    Attributes:
        reference: (478, 3) head frame metres, the shape relative to which landmarks are read.
        centre: (f,) mean features. basis: (956, k) principal directions of the landmarks, whitened.
        spread: (54,) standard deviations of the other features.
        weight1, bias1 ...: layers; the last gives weights, then gaze yaw and pitch.
        threshold, gain: (2, e) a weight is ``gain`` times what its estimate exceeds ``threshold`` by; first
            for one image of a person, second where the person's own offset is known.
        sigma: (2, e + 2) error that remained on held-out heads.
        personal: (e,) scatter of the estimate over people at rest.
    """

    reference: Float[np.ndarray, "478 3"]
    centre: Float[np.ndarray, " f"]
    basis: Float[np.ndarray, "956 k"]
    spread: Float[np.ndarray, "54"]
    weight1: Float[np.ndarray, "i h"]
    bias1: Float[np.ndarray, " h"]
    weight2: Float[np.ndarray, "h j"]
    bias2: Float[np.ndarray, " j"]
    weight3: Float[np.ndarray, "j o"]
    bias3: Float[np.ndarray, " o"]
    threshold: Float[np.ndarray, "2 e"]
    gain: Float[np.ndarray, "2 e"]
    sigma: Float[np.ndarray, "2 o"]
    personal: Float[np.ndarray, " e"]

    @staticmethod
    @cache
    def bundled() -> ExpressionReader:
        """Load the bundled map."""
        return ExpressionReader.load(WEIGHTS)

    @staticmethod
    def load(path: Path) -> ExpressionReader:
        """Load a map that ``tools/learn_expressions.py`` wrote."""
        from safetensors.numpy import load_file

        return ExpressionReader(**{k: v.astype(np.float32) for k, v in load_file(path).items()})

    def estimate(self, detection: Detection) -> Float[np.ndarray, " o"]:
        """Return the estimate of a scored detection: weights, gaze yaw and pitch; not yet limited."""
        assert detection.blendshapes is not None
        features = frontal_features(detection.points, detection.blendshapes, self.reference)
        both = self.network(np.stack([features, mirrored_features(features)]))
        return (both[0] + mirrored_targets(both[1])) / 2

    def network(self, features: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n o"]:
        """Run the layers on features of faces."""
        x = encode(features, self.centre, self.basis, self.spread)
        x = silu(x @ self.weight1 + self.bias1)
        x = silu(x @ self.weight2 + self.bias2)
        return x @ self.weight3 + self.bias3

    def rest(self, detections: Sequence[Detection]) -> Float[np.ndarray, " o"] | None:
        """Estimate what one person's face shows at rest, from several frames; None when there is only one.

        At most ``REST_LIMIT`` times what is usual between people; 0 for eyeBlink, since eyes that are half
        closed at rest are no error.
        """
        if len(detections) < 2:
            return None
        return resting_offset(np.stack([self.estimate(d) for d in detections]), self.personal)

    def rest_of_photo(self, photo: Detection, fitted: Float[np.ndarray, "52"]) -> Float[np.ndarray, " o"]:
        """Return the offset with which the photo itself is expected to show the weights fitted to it.

        Differences to the photo then count in full, eyeSquint among them.
        """
        out = self.estimate(photo)
        count = len(FREE)
        out[:count] -= self.threshold[1] + fitted[FREE] / self.gain[1]
        out[count:] = 0
        return out

    def expect(
        self,
        detection: Detection,
        rest: Float[np.ndarray, " o"] | None = None,
        width: float | None = None,
    ) -> ExpectedExpression | None:
        """Return the most likely weights of a detection; None when it has no scores.

        Args:
            rest: the person's own offset (see ``rest``), which is taken off. Without it eyeSquint is not
                estimated: narrow eyes and a squint look alike in one photo.
            width: standard deviation of the prior as a fraction of the error of every weight; None: each
                weight's own (``prior_width``).
        """
        if detection.blendshapes is None:
            return None
        found = self.estimate(detection)
        known = int(rest is not None)
        if rest is not None:
            found = found - rest
        count = len(FREE)
        weights, sigma = np.zeros(52), np.full(52, 0.3)
        moved = self.gain[known] * (found[:count] - self.threshold[known])
        weights[FREE] = moved.clip(0, expression_bounds()[FREE])
        sigma[FREE] = self.sigma[known, :count] * (width or prior_width(bool(known))[FREE])
        if rest is None:
            weights[SQUINTS] = 0
        return ExpectedExpression(
            weights=weights, sigma=sigma, gaze=found[count:], gaze_sigma=self.sigma[known, count:]
        )


def silu(x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Return x times its logistic function."""
    return x / (1 + np.exp(-x))


def encode(
    features: Float[np.ndarray, "n f"],
    centre: Float[np.ndarray, " f"],
    basis: Float[np.ndarray, "956 k"],
    spread: Float[np.ndarray, "54"],
) -> Float[np.ndarray, "n i"]:
    """Return whitened features, cut at ``CUT``: a face unlike those learned from gives no wild estimate."""
    away = features - centre
    rows = np.concatenate([away[:, :COORDINATES] @ basis, away[:, COORDINATES:] / spread], 1)
    return rows.clip(-CUT, CUT).astype(np.float32)


def mirrored_features(features: Float[np.ndarray, "*n f"]) -> Float[np.ndarray, "*n f"]:
    """Return the features of mirrored faces."""
    points = features[..., :COORDINATES].reshape(*features.shape[:-1], 478, 2)[..., MIRROR, :] * [-1.0, 1.0]
    scores = features[..., COORDINATES:-2][..., FLIP]
    turn = features[..., -2:] * [-1.0, 1.0]
    return np.concatenate([points.reshape(*features.shape[:-1], COORDINATES), scores, turn], -1)


def mirrored_targets(estimate: Float[np.ndarray, "*n o"]) -> Float[np.ndarray, "*n o"]:
    """Return the estimates (weights, yaw, pitch) of mirrored faces."""
    count = len(FREE)
    return np.concatenate([estimate[..., :count][..., FREE_FLIP], estimate[..., count:] * [-1.0, 1.0]], -1)


def resting_offset(
    estimates: Float[np.ndarray, "n o"], personal: Float[np.ndarray, " e"]
) -> Float[np.ndarray, " o"]:
    """Return a person's own offset, from estimates of several frames (see ``ExpressionReader.rest``)."""
    low, count = np.quantile(estimates, REST_QUANTILE, axis=0), len(FREE)
    out = np.zeros_like(low)
    out[:count] = low[:count].clip(-REST_LIMIT * personal, REST_LIMIT * personal)
    out[[list(FREE).index(EXPRESSION_INDEX[f"eyeBlink{s}"]) for s in ("Left", "Right")]] = 0
    return out


def frontal_features(
    points: Float[np.ndarray, "478 k"],
    scores: Float[np.ndarray, "52"],
    reference: Float[np.ndarray, "478 3"],
) -> Float[np.ndarray, " f"]:
    """Return a face's features free of pose and size.

    In order: 956 coordinates of landmarks in the head frame relative to the reference shape, millimetres at
    its size, x and y in turn; logarithms of the 52 scores; yaw and pitch, radians.

    Args:
        points: pixels of an image (+y down). reference: the shape whose pose is found, head frame, metres.
    """
    weight = np.full(478, LOOSE)
    weight[list(RIGID)] = 1.0
    root = np.sqrt(weight)[:, None]
    target = (points[:, :2] - points[:, :2].mean(0)) * [1.0, -1.0]
    A = np.concatenate([reference, np.ones((478, 1))], 1) * root
    M = np.linalg.lstsq(A, target * root, rcond=None)[0]
    u, s, vt = np.linalg.svd(M[:3].T, full_matrices=False)
    rows = u @ vt
    flat = (target - M[3]) / s.mean()
    xy = np.linalg.solve(rows[:, :2], (flat - reference[:, 2:] * rows[:, 2]).T).T
    x, y, z = np.cross(rows[0], rows[1])  # the camera's axis in the head frame, which knows no roll
    yaw, pitch = np.arcsin(np.clip(-x, -1, 1)), -np.arctan2(y, z)
    moved = (xy - reference[:, :2]).reshape(-1) * 1000
    return np.concatenate([moved, np.log(scores + FLOOR), [yaw, pitch]])
