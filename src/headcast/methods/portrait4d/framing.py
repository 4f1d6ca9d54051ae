"""Cameras of Portrait4D-v2's synthetic training images (supplement A)."""

from __future__ import annotations

from headcast.synth.framing import CameraFraming, Constant, Uniform

__all__ = ["PORTRAIT4D"]

PORTRAIT4D = CameraFraming(
    "portrait4d",
    yaw=Uniform(-0.78, 0.78),
    pitch=Uniform(-0.25, 0.65),
    roll=Uniform(-0.25, 0.25),
    at=Uniform(-0.01, 0.01),
    radius=Uniform(3.65, 4.45),
    units_per_metre=3.0,
    fov=Constant(12.0),
)
"""Pitch -0.25..0.65, yaw ±0.78, roll ±0.25 rad, radius 3.65..4.45 and look-at ±0.01 in each direction, in
units of a third of a metre; field of view 12°."""
