"""Check that what was fitted is one upright head before an avatar is made of it."""

from __future__ import annotations

import numpy as np

from headcast.errors import HeadcastError
from headcast.observe.detection import Detection
from headcast.observe.fit import FrameFit
from headcast.observe.landmark_points import EYE_LEFT, EYE_RIGHT, LIPS_OUTER, face_roll

__all__ = ["check_fit"]

MAX_ROLL = 70.0  # degrees by which an upright photo's face may lean
MAX_ERROR = 5.0  # % of the iris distance seen from the front; 266 photos at up to 60 degrees reach 3.5
MAX_PITCH = 60.0  # degrees


def check_fit(fit: FrameFit, detection: Detection, name: str) -> None:
    """Refuse a fit that no upright head seen by a camera gives, such as one to a face found the wrong way up.

    Raises:
        HeadcastError: the eyes are not above the mouth, or head and landmarks differ too much.
    """
    p = detection.points
    eyes, mouth = p[[*EYE_LEFT, *EYE_RIGHT]].mean(0), p[[*LIPS_OUTER]].mean(0)
    if eyes[1] >= mouth[1] or abs(face_roll(p)) > MAX_ROLL:
        raise HeadcastError(
            f"{name}: the face is not upright; turn the image so that the eyes are at the top"
        )
    R = fit.frame.rotation
    pitch = float(np.degrees(np.arcsin(np.clip(R[1, 2], -1, 1))))
    error = fit.error * float(np.cos(np.radians(detection.yaw)))
    if error > MAX_ERROR or abs(pitch) > MAX_PITCH:
        raise HeadcastError(
            f"{name}: what was found is hardly a face (the head fitted is {error:.1f} % of the irises' "
            "distance away); use a photo where the face is sharp, upright and uncovered"
        )
