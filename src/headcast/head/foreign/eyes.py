"""Geometry of our eyeballs, and the profile of foreign ones."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headcast.head.model import HeadModel

__all__ = ["OUR_LIMBUS", "iris_points", "profile_of"]

LIMBUS = 0.00585
"""Radius of an iris, metres."""
OUR_RADIUS = 0.01535
OUR_LIMBUS = float(np.arcsin(LIMBUS / OUR_RADIUS))
"""Angle of our iris's edge from the optical axis."""
BULGE_ENDS = 0.50
"""Angle at which a cornea's bulge ends, radians."""


def profile_of(vertices: Float[np.ndarray, "n 3"], centre: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """Return radius, height of the cornea and cosine where it ends, for ``HeadModel.eye_profile``."""
    d = vertices - centre
    radius = np.linalg.norm(d, axis=1)
    angle = np.arccos(np.clip(d[:, 2] / np.maximum(radius, 1e-12), -1, 1))
    ball = (angle > BULGE_ENDS) & (angle < 1.6)
    base = float(np.median(radius[ball] if ball.any() else radius))
    front = angle < 0.15
    bulge = float(np.median(radius[front])) - base if front.any() else 0.0
    return np.array([base, max(bulge, 0.0), np.cos(BULGE_ENDS)])


def iris_points(head: HeadModel) -> Float[np.ndarray, "10 3"]:
    """Return MediaPipe's iris points on a head at rest, right eye first.

    Centre, then left, up, right, down (the subject's) on the limbus.
    """
    radius, bulge, ends = head.eye_profile.double().tolist()
    angle = np.arcsin(LIMBUS / radius)
    t = np.clip((1 - np.cos(angle)) / (1 - ends), 0, 1)
    depth = np.cos(angle) * (radius + bulge * (1 - t) ** 2)
    ring = [(0.0, 0.0, radius + bulge)]
    ring += [(x * LIMBUS, y * LIMBUS, depth) for x, y in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    left, right = head.joint_neutral[4:6].double().numpy()
    return np.concatenate([np.array(ring) + right, np.array(ring) + left])
