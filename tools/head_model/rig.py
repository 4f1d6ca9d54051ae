"""Joints, skinning weights and the authored shape tongueOut."""

from __future__ import annotations

import numpy as np

from head_model.source import FLIP, Source
from headcast.head.model import JOINTS

__all__ = ["jaw_hinge", "joints", "skin_weights", "tongue_out"]

NECK = np.array([0.0, -0.135, -0.032])
HEAD = np.array([0.0, -0.008, -0.008])


def smooth(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def jaw_hinge(source: Source) -> tuple[np.ndarray, float]:
    """Axis point (on x = 0) and angle of the rotation about x that the lower teeth make in jawOpen."""
    f = source.faces[source.faces_of("teeth")]
    v = np.unique(f)
    d = source.expression[17][v]
    v, d = v[np.linalg.norm(d, axis=1) > 0.01], d[np.linalg.norm(d, axis=1) > 0.01]
    a, b = source.neutral[v][:, 1:], (source.neutral[v] + d)[:, 1:]
    ca, cb = a - a.mean(0), b - b.mean(0)
    angle = float(np.arctan2((ca[:, 0] * cb[:, 1] - ca[:, 1] * cb[:, 0]).sum(), (ca * cb).sum()))
    c, s = np.cos(angle), np.sin(angle)
    r = np.array([[c, -s], [s, c]])
    t = b.mean(0) - r @ a.mean(0)
    return np.array([0.0, *np.linalg.solve(np.eye(2) - r, t)]), angle


def joints(
    source: Source, neutral: np.ndarray, identity: np.ndarray, eye_shift: np.ndarray, parity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rest positions (J, 3) and how identity moves them (I, J, 3): the mean of the skin around each."""
    hinge, _ = jaw_hinge(source)
    eye = source.eye_center
    rest = np.stack([np.zeros(3), NECK, HEAD, hinge, eye, eye * FLIP])
    moved = np.zeros((len(identity), len(JOINTS), 3))
    near = {
        1: np.exp(-(((neutral[:, 1] - NECK[1]) / 0.015) ** 2)) * (np.abs(neutral[:, 0]) < 0.075),
        2: np.exp(-(((neutral[:, 1] - HEAD[1]) / 0.02) ** 2)) * (neutral[:, 2] < 0.03),
        3: np.exp(-(((neutral - [0, *hinge[1:]]) * [0, 1, 1] / 0.015) ** 2).sum(1))
        * (np.abs(neutral[:, 0]) > 0.05),
    }
    for j, w in near.items():
        moved[:, j] = np.einsum("v,ivk->ik", w / w.sum(), identity)
    moved[:, 4] = eye_shift
    moved[:, 5] = eye_shift * FLIP * parity[:, None]
    return rest, moved


def skin_weights(
    neutral: np.ndarray,
    jaw_open: np.ndarray,
    owner: np.ndarray,
    part_names: list[str],
    hinge: np.ndarray,
    angle: float,
) -> np.ndarray:
    """(V, J). The head's part is 1 above a slanted plane through chin and nape; the jaw's follows jawOpen."""
    slanted = neutral[:, 1] + 0.406 * neutral[:, 2]
    head = smooth(slanted, -0.118, -0.046)
    neck = smooth(neutral[:, 1] + 0.1 * neutral[:, 2], -0.195, -0.12)
    inside = owner != part_names.index("skin")
    head[inside] = neck[inside] = 1
    c, s = np.cos(angle), np.sin(angle)
    arm = neutral[:, 1:] - hinge[1:]
    turn = arm @ np.array([[c, -s], [s, c]]).T - arm
    jaw = (turn * jaw_open[:, 1:]).sum(1) / np.maximum((turn * turn).sum(1), 1e-9)
    jaw = np.clip(jaw, 0, 1) * (np.linalg.norm(jaw_open, axis=1) > 2e-4)
    jaw[owner == part_names.index("teethLower")] = 1
    weights = np.zeros((len(neutral), len(JOINTS)))
    weights[:, 0] = 1 - neck
    weights[:, 1] = neck * (1 - head)
    weights[:, 2] = neck * head * (1 - jaw)
    weights[:, 3] = neck * head * jaw
    for j, name in ((4, "eyeLeft"), (5, "eyeRight")):
        weights[owner == part_names.index(name)] = np.eye(len(JOINTS))[j]
    return weights


def tongue_out(vertices: np.ndarray) -> np.ndarray:
    """Movement of the tongue's vertices: out between the lips, over the lower one and down."""
    z = vertices[:, 2]
    along = (z - z.min()) / np.ptp(z)
    reach = smooth(along, 0.05, 1.0)
    out = np.zeros_like(vertices)
    out[:, 2] = 0.058 * reach
    forward = z + out[:, 2]
    lift = 0.010 * smooth(forward, 0.075, 0.105)
    droop = 0.026 * np.clip((forward - 0.112) / 0.03, 0, 1.3) ** 1.6
    out[:, 1] = lift - droop
    middle = (vertices[:, 1].max() + vertices[:, 1].min()) / 2
    out[:, 1] -= 0.35 * reach * (vertices[:, 1] - middle)
    return out
