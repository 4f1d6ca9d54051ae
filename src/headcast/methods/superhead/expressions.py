"""Expressions of the anchors in ARKit weights: a base and a pool of ten (in the paper: Fig. S12)."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["BASE", "POOL"]


def both(**weights: float) -> dict[str, float]:
    """Set weights on the left and on the right."""
    return {f"{name}{side}": w for name, w in weights.items() for side in ("Left", "Right")}


BASE: Mapping[str, float] = {
    **both(mouthUpperUp=0.5, mouthLowerDown=0.45, mouthSmile=0.25, eyeWide=0.35),
    "jawOpen": 0.12,
}
"""The expression of the multi-view anchors: it shows teeth and eyeballs, as the paper asks of ψ_neu."""

POOL: tuple[Mapping[str, float], ...] = (
    {},
    both(mouthSmile=0.85, cheekSquint=0.5),
    {"jawOpen": 0.7, **both(mouthUpperUp=0.4)},
    both(eyeBlink=1.0),
    {"browInnerUp": 0.8, **both(browOuterUp=0.8, eyeWide=0.6), "jawOpen": 0.25},
    both(browDown=0.9, eyeSquint=0.6, noseSneer=0.4),
    {"mouthPucker": 0.9},
    {"mouthFunnel": 0.8, "jawOpen": 0.3},
    {"mouthLeft": 0.7, "eyeLookOutLeft": 0.6, "eyeLookInRight": 0.6, **both(mouthStretch=0.3)},
    both(mouthFrown=0.8, eyeLookDown=0.8),
)
"""The ten further expressions: every part of the face shows in one, stretched or compressed in another."""
