"""What a part of one picture looks like: small mixtures of Gaussians over colour and texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from headcast.observe.filters import blur

__all__ = ["Mixture", "features", "fit_mixture"]

SAMPLES = 3000
# Least standard deviations: lightness is least reliable, since light falls unevenly.
FLOOR = np.array([6.0, 2.5, 2.5, 0.35], np.float32)


def features(rgb: UInt8[np.ndarray, "h w 3"], unit: float) -> Float[np.ndarray, "h w 4"]:
    """CIE L, a, b and the logarithm of how much L varies within a hundredth of the face's height."""
    import cv2

    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = blur(lab, 0.004 * unit)
    light = lab[..., 0]
    near = blur(light, 0.012 * unit)
    texture = np.sqrt(np.maximum(blur((light - near) ** 2, 0.015 * unit), 0))
    return np.dstack([lab, np.log(texture + 0.5)]).astype(np.float32)


@dataclass(frozen=True)
class Mixture:
    """Weights (K,), means (K, 4), and Cholesky factors of the precisions (K, 4, 4)."""

    weights: Float[np.ndarray, "k"]
    means: Float[np.ndarray, "k 4"]
    precision_roots: Float[np.ndarray, "k 4 4"]

    def squared(self, f: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n k"]:
        """Squared Mahalanobis distances to the components."""
        pairs = zip(self.means, self.precision_roots, strict=True)
        return np.stack([(((f - mean) @ root) ** 2).sum(-1) for mean, root in pairs], -1)

    def distance(self, f: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n"]:
        """Mahalanobis distance to the nearest component."""
        return np.sqrt(self.squared(f).min(-1))

    def log_density(self, f: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n"]:
        """Log density without the constant, never below that of a uniform background."""
        dets = np.log(np.abs(np.linalg.det(self.precision_roots)))
        logs = np.log(self.weights) + dets - 0.5 * self.squared(f)
        top = logs.max(-1)
        return np.maximum(top + np.log(np.exp(logs - top[..., None]).sum(-1)), -16.0)


def fit_mixture(samples: Float[np.ndarray, "n 4"], components: int, rounds: int = 8) -> Mixture:
    """Expectation maximisation from a split along lightness; the same samples give the same mixture."""
    x = samples[:: max(1, len(samples) // SAMPLES)].astype(np.float64)
    order = np.argsort(x[:, 0])
    responsibility = np.zeros((len(x), components))
    for k, part in enumerate(np.array_split(order, components)):
        responsibility[part, k] = 1
    mixture = None
    for _ in range(rounds):
        n = responsibility.sum(0) + 1e-3
        means = responsibility.T @ x / n[:, None]
        roots = []
        for k in range(components):
            d = x - means[k]
            cov = (responsibility[:, k, None] * d).T @ d / n[k] + np.diag(FLOOR.astype(np.float64) ** 2)
            roots.append(np.linalg.cholesky(np.linalg.inv(cov)))
        weights = (n + 0.02 * n.sum()) / (n.sum() * (1 + 0.02 * components))
        mixture = Mixture(
            weights.astype(np.float32), means.astype(np.float32), np.stack(roots).astype(np.float32)
        )
        logs = np.log(mixture.weights) + np.log(np.abs(np.linalg.det(mixture.precision_roots)))
        logs = logs - 0.5 * mixture.squared(x.astype(np.float32))
        logs -= logs.max(-1, keepdims=True)
        responsibility = np.exp(logs).astype(np.float64)
        responsibility /= responsibility.sum(-1, keepdims=True)
    assert mixture is not None
    return mixture
