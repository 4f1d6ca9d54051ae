"""What the runtime's lid step needs: which vertices, their edge, its opposite, and how movement spreads."""

from __future__ import annotations

import numpy as np
import torch

from head_model.parts import BULGE_ANGLE, BULGE_HEIGHT, EYE_RADIUS
from head_model.source import FLIP, Source
from head_model.surface import EYE_RINGS, HalfSkin
from headcast.head.lids import CONTACT, rest_lids
from headcast.head.names import EXPRESSION_INDEX

__all__ = ["lid_tensors", "settle"]

REACH = 0.0085
UPPER_SHARE = 0.85
EDGE_RING = 2
"""ICT's ring where a lid's margin turns outward; landmarks lie on it."""


def _partner(points: np.ndarray, closed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, C) weights of the closed opposite edge's nearest point; (C,) share, upper > 0 > lower.

    The share fades out over the vertices next to each corner.
    """
    n = len(points)
    inner, outer = int(points[:, 0].argmin()), int(points[:, 0].argmax())
    one = np.arange(inner, inner + (outer - inner) % n + 1) % n
    two = np.arange(outer, outer + (inner - outer) % n + 1)[::-1] % n
    upper, lower = (one, two) if points[one, 1].mean() > points[two, 1].mean() else (two, one)
    weights, share = np.zeros((n, n)), np.zeros(n)
    for run, other, amount in ((upper, lower, UPPER_SHARE), (lower, upper, UPPER_SHARE - 1)):
        a, b = closed[other[:-1]], closed[other[1:]]
        for k, v in enumerate(run):
            t = np.clip(((closed[v] - a) * (b - a)).sum(1) / ((b - a) ** 2).sum(1), 0, 1)
            j = int(np.linalg.norm(a + t[:, None] * (b - a) - closed[v], axis=1).argmin())
            weights[v] = 0
            weights[v, other[j]] += 1 - t[j]
            weights[v, other[j + 1]] += t[j]
            share[v] = amount * min(1.0, min(k, len(run) - 1 - k) / 1.5) + np.copysign(1e-3, amount)
    return weights, share


def lid_tensors(arrays: dict[str, np.ndarray], skin: HalfSkin, source: Source) -> dict[str, np.ndarray]:
    """Buffers ``lid_*`` and ``eye_profile`` of the asset (left eye's order; the right one mirrors it)."""
    p = skin.vertices
    rim = skin.eye_rings[EYE_RINGS.index(EDGE_RING)]
    distance = np.linalg.norm(p[:, None] - p[rim], axis=-1)
    rings = np.unique(skin.eye_rings)
    ids = np.union1d(np.flatnonzero(distance.min(1) < REACH), rings)
    d = distance[ids]
    near = np.exp(-((d / np.maximum(d.min(1, keepdims=True), 0.0008)) ** 2))
    spread = near / near.sum(1, keepdims=True)
    t = np.clip((d.min(1) - 0.0012) / (REACH - 0.0012), 0, 1)
    spread *= (1 - t * t * (3 - 2 * t))[:, None]
    place = {int(v): i for i, v in enumerate(ids)}
    for row, ring in zip(EYE_RINGS, skin.eye_rings, strict=True):
        for c, v in enumerate(ring):
            if row <= EDGE_RING:
                spread[place[int(v)]] = np.eye(len(rim))[c]
    blink = arrays["expression_basis"][EXPRESSION_INDEX["eyeBlinkLeft"]]
    partner, share = _partner(p[rim], (p + blink[: len(p)])[rim])
    radial = np.linalg.norm(p[ids] - source.eye_center, axis=1) - EYE_RADIUS
    clearance = np.minimum(CONTACT + 0.12 * d.min(1), np.clip(0.85 * radial, CONTACT, 0.002))
    for row, ring in zip(EYE_RINGS, skin.eye_rings, strict=True):
        if row < EDGE_RING:
            clearance[[place[int(v)] for v in ring]] = 0.0002 if row < 1 else 0.0003
    return {
        "lid_index": np.stack([ids, arrays["mirror"][ids]]),
        "lid_rim": np.array([place[int(v)] for v in rim]),
        "lid_partner": partner,
        "lid_share": share,
        "lid_spread": spread,
        "lid_clearance": clearance,
        "eye_profile": np.array([EYE_RADIUS, BULGE_HEIGHT, np.cos(BULGE_ANGLE)]),
    }


def settle(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The neutral head with its lids at rest on eyeballs that look ahead; the runtime step keeps it."""
    t = {
        k: torch.from_numpy(np.asarray(arrays[k])).double() for k in arrays if k.startswith(("lid_", "eye_"))
    }
    v = arrays["neutral"].copy()
    ids = arrays["lid_index"]
    center = torch.from_numpy(arrays["joint_neutral"][4:6])
    rim = arrays["lid_rim"]
    blink = np.stack(
        [
            arrays["expression_basis"][EXPRESSION_INDEX[f"eyeBlink{s}"]][ids[k][rim]]
            for k, s in enumerate(("Left", "Right"))
        ]
    )
    axis = torch.tensor([[0.0, 0, 1]] * 2).double()
    for _ in range(3):
        moved = rest_lids(
            torch.from_numpy(v[ids]),
            center,
            axis,
            torch.ones(2).double(),
            torch.zeros(2).double(),
            torch.from_numpy(blink),
            torch.from_numpy(rim),
            t["lid_partner"],
            t["lid_share"],
            t["lid_spread"],
            t["lid_clearance"],
            t["eye_profile"],
        )
        left = moved[0].numpy()
        v[ids[0]], v[ids[1]] = left, left * FLIP
    return v
