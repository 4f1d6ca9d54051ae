"""Model the look of one part of an image: small mixtures of Gaussians over colour and texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from headcast.observe.filters import blur

__all__ = ["Mixture", "features", "fit_mixture", "monomials"]

SAMPLES = 3000
UNIFORM = -16.0  # log density of what no component explains
# Least standard deviations: lightness is least reliable, since light falls unevenly.
FLOOR = np.array([7.0, 2.5, 2.5, 0.6], np.float32)


def features(rgb: UInt8[np.ndarray, "h w 3"], unit: float) -> Float[np.ndarray, "h w 4"]:
    """Return CIE L, a, b and the log of L's standard deviation within a hundredth of the face's height."""
    import cv2

    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = blur(lab, 0.004 * unit)
    light = lab[..., 0]
    near = blur(light, 0.012 * unit)
    texture = np.sqrt(np.maximum(blur((light - near) ** 2, 0.015 * unit), 0))
    return np.dstack([lab, np.log(texture + 0.5)]).astype(np.float32)


PAIRS = [(i, j) for i in range(4) for j in range(i, 4)]
CENTRE = np.array([50, 0, 0, 0], np.float32)


def monomials(f: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "15 *n"]:
    """Return constant, linear and quadratic terms of the features; Gaussians are linear in them."""
    x = [f[..., i] - CENTRE[i] for i in range(4)]
    return np.stack([np.ones_like(x[0]), *x, *(x[i] * x[j] for i, j in PAIRS)]).astype(np.float32)


@dataclass(frozen=True)
class Mixture:
    """K Gaussians: logarithms of weight times normaliser (K,), and exponents (K, 15) by monomial."""

    logs: Float[np.ndarray, "k"]
    exponents: Float[np.ndarray, "k 15"]

    def squared(self, terms: Float[np.ndarray, "15 *n"]) -> Float[np.ndarray, "k *n"]:
        """Return squared Mahalanobis distances to the components."""
        return np.maximum(np.tensordot(self.exponents, terms, 1), 0)

    def distance(self, terms: Float[np.ndarray, "15 *n"]) -> Float[np.ndarray, "*n"]:
        """Return the Mahalanobis distance to the nearest component."""
        return np.sqrt(self.squared(terms).min(0))

    def joint(self, terms: Float[np.ndarray, "15 *n"]) -> Float[np.ndarray, "k *n"]:
        """Return log densities of the components, weights included, up to a constant."""
        return self.logs.reshape(-1, *[1] * (terms.ndim - 1)) - 0.5 * self.squared(terms)

    def log_density(self, terms: Float[np.ndarray, "15 *n"]) -> Float[np.ndarray, "*n"]:
        """Return the log density, up to a constant, never below that of a uniform background."""
        logs = self.joint(terms)
        top = logs.max(0)
        return np.maximum(top + np.log(np.exp(logs - top).sum(0)), UNIFORM)


def gaussian(mean: Float[np.ndarray, "4"], cov: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "15"]:
    """Return the squared Mahalanobis distance as coefficients of the monomials."""
    P = np.linalg.inv(cov)
    m = mean - CENTRE
    quadratic = [P[i, j] * (1 if i == j else 2) for i, j in PAIRS]
    return np.array([m @ P @ m, *(-2 * P @ m), *quadratic])


def fit_mixture(samples: Float[np.ndarray, "n 4"], components: int, rounds: int = 8) -> Mixture:
    """Fit a mixture by expectation maximisation from a split along lightness (deterministic)."""
    x = samples[:: max(1, len(samples) // SAMPLES)].astype(np.float64)
    terms = monomials(x)
    order = np.argsort(x[:, 0], kind="stable")
    responsibility = np.zeros((components, len(x)))
    for k, part in enumerate(np.array_split(order, components)):
        responsibility[k, part] = 1
    mixture = None
    for _ in range(rounds):
        mixture = _maximise(responsibility, x, components)
        joint = mixture.joint(terms)
        responsibility = np.exp((joint - joint.max(0)).astype(np.float64))
        responsibility /= responsibility.sum(0)
    assert mixture is not None
    return mixture


def _maximise(responsibility: np.ndarray, x: np.ndarray, components: int) -> Mixture:
    """Return the mixture that fits the samples best under given responsibilities (components, n)."""
    n = responsibility.sum(1) + 1e-3
    means = responsibility @ x / n[:, None]
    weights = (n / n.sum() + 0.02) / (1 + 0.02 * components)
    logs, exponents = np.log(weights), []
    for k in range(components):
        d = x - means[k]
        cov = (responsibility[k, :, None] * d).T @ d / n[k] + np.diag(FLOOR.astype(np.float64) ** 2)
        logs[k] -= 0.5 * np.linalg.slogdet(cov)[1]
        exponents.append(gaussian(means[k], cov))
    return Mixture(logs.astype(np.float32), np.stack(exponents).astype(np.float32))
