"""Priors of a fit: scales and bounds of every unknown."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from headcast.head.names import EXPRESSIONS

__all__ = ["BEYOND", "FREE", "Prior", "expression_bounds", "expression_sigma"]

FREE = np.array([i for i, n in enumerate(EXPRESSIONS) if not n.startswith("eyeLook") and n != "tongueOut"])
"""Expression weights that are fitted; eyeLook* follow from the gaze, the tongue has no landmarks."""

BEYOND = {
    "jawOpen": 1.3,
    "mouthSmile": 1.2,
    "mouthStretch": 1.2,
    "mouthLowerDown": 1.2,
    "mouthUpperUp": 1.2,
    "mouthPucker": 1.3,
    "mouthFunnel": 1.3,
    "mouthShrugLower": 1.3,
    "mouthShrugUpper": 1.3,
    "eyeBlink": 1.15,
    "eyeWide": 1.3,
    "browInnerUp": 1.2,
    "browOuterUp": 1.2,
    "browDown": 1.2,
}
"""Bounds above 1, where one person's face needs more than the mean face's movement."""

SIGMA = {
    "eyeBlink": 0.8,
    "eyeWide": 0.6,
    "eyeSquint": 0.5,
    "jawOpen": 0.8,
    "jawForward": 0.25,
    "jawLeft": 0.2,
    "jawRight": 0.2,
    "mouthClose": 0.3,
    "mouthLeft": 0.3,
    "mouthRight": 0.3,
    "cheekPuff": 0.2,
    "cheekSquint": 0.3,
    "noseSneer": 0.3,
    "mouthSmile": 0.7,
    "browInnerUp": 0.5,
    "browDown": 0.5,
    "browOuterUp": 0.5,
}


def _by_name(table: dict[str, float], default: float) -> Float[np.ndarray, "52"]:
    stems = [n.removesuffix("Left").removesuffix("Right") for n in EXPRESSIONS]
    return np.array([table.get(n, table.get(s, default)) for n, s in zip(EXPRESSIONS, stems, strict=True)])


def expression_sigma() -> Float[np.ndarray, "52"]:
    """Return the prior standard deviation of each weight."""
    return _by_name(SIGMA, 0.4)


def expression_bounds() -> Float[np.ndarray, "52"]:
    """Return the highest weight a fit may give each expression."""
    return _by_name(BEYOND, 1.0)


@dataclass(frozen=True)
class Prior:
    """Scales and weights of a fit's prior.

    Attributes:
        data: weight of one landmark; below 1 because neighbouring landmarks err together.
        outlier: standard deviations at which a landmark loses half its pull.
        identity: weight of the identity's N(0, 1). identity_limit: box of each coefficient.
        distance, log_distance_sigma: where heads stand from cameras, metres and relative scatter.
        log_focal, log_focal_sigma: what is known of the focal length in pixels; a wide sigma if nothing.
        gaze: standard deviation (radians); gaze_difference: of the eyes' (yaw, pitch) difference.
        gaze_mean: the most likely (yaw, pitch) of both eyes, radians.
        expression: standard deviations of the weights; expression_mean: their most likely values.
    """

    data: float = 0.2
    outlier: float = 5.0
    identity: float = 1.0
    identity_limit: float = 3.5
    distance: float = 1.6
    log_distance_sigma: float = 0.12
    log_focal: float = 7.5
    log_focal_sigma: float = 1e3
    gaze: float = 0.3
    gaze_limit: float = 0.6
    gaze_mean: tuple[float, float] = (0.0, 0.0)
    gaze_difference: tuple[float, float] = (0.06, 0.03)
    expression: Float[np.ndarray, "52"] = field(default_factory=expression_sigma)
    expression_mean: Float[np.ndarray, "52"] = field(default_factory=lambda: np.zeros(52))
    high: Float[np.ndarray, "52"] = field(default_factory=expression_bounds)

    def shared_cost(self, identity: np.ndarray, log_focal: float) -> float:
        """Return the cost of identity and focal length."""
        f = (log_focal - self.log_focal) / self.log_focal_sigma
        return self.identity * float(identity @ identity) + f * f

    def shared_terms(self, identity: np.ndarray, log_focal: float) -> tuple[np.ndarray, ...]:
        """Return half of Hessian and gradient, and step bounds, of identity and focal length."""
        h = np.append(np.full(len(identity), self.identity), self.log_focal_sigma**-2)
        g = h * np.append(identity, log_focal - self.log_focal)
        limit = np.full(len(identity), self.identity_limit)
        return np.diag(h), g, np.append(-limit - identity, -1.0), np.append(limit - identity, 1.0)

    def frame_cost(self, log_k: float, gaze: np.ndarray, expression: np.ndarray) -> float:
        """Return the cost of one frame's distance, gaze and expression."""
        k = (log_k + np.log(self.distance)) / self.log_distance_sigma
        d = (gaze[0] - gaze[1]) / self.gaze_difference
        e = ((expression - self.expression_mean) / self.expression)[FREE]
        away = gaze - self.gaze_mean
        return float(k * k + (away**2).sum() / self.gaze**2 + d @ d + e @ e)

    def _gaze_hessian(self) -> np.ndarray:
        """Return half of the Hessian of the eyes' (left, right) x (yaw, pitch)."""
        G = np.eye(4) / self.gaze**2
        for c in range(2):
            w = self.gaze_difference[c] ** -2
            G[[c, c + 2], [c, c + 2]] += w
            G[[c, c + 2], [c + 2, c]] -= w
        return G

    def frame_terms(self, log_k: float, gaze: np.ndarray, expression: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return Hessian, gradient and step bounds of a frame's unknowns, in the solver's order."""
        n = 10 + len(FREE)
        H, g = np.zeros((n, n)), np.zeros(n)
        H[:5, :5] = 1e-9 * np.eye(5)
        H[5, 5] = self.log_distance_sigma**-2
        g[5] = H[5, 5] * (log_k + np.log(self.distance))
        G = self._gaze_hessian()
        H[6:10, 6:10], g[6:10] = G, G @ (gaze - self.gaze_mean).reshape(-1)
        e = 1 / self.expression[FREE] ** 2
        H[range(10, n), range(10, n)] = e
        g[10:] = e * (expression - self.expression_mean)[FREE]
        low = np.r_[[-0.5] * 3, [-1e5] * 2, -0.7, -self.gaze_limit - gaze.reshape(-1), -expression[FREE]]
        high = np.r_[
            [0.5] * 3, [1e5] * 2, 0.7, self.gaze_limit - gaze.reshape(-1), (self.high - expression)[FREE]
        ]
        return H, g, low, high
