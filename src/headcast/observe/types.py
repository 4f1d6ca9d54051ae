"""What is known of one frame after looking at it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from headcast.camera import Camera
from headcast.head.params import HeadParams

__all__ = ["Detection", "Masks", "Observation"]


@dataclass(frozen=True)
class Detection:
    """One face found in one picture, in pixels of that picture (pixel centres at +0.5).

    Attributes:
        points: (478, 2) MediaPipe landmarks, the last ten are the irises.
        box: x0, y0, x1, y1 around the points.
        score: confidence of the detector in 0..1.
        yaw: rough degrees by which the face turns to the subject's left (image right); 0 where not estimated.
    """

    points: Float[np.ndarray, "478 2"]
    box: tuple[float, float, float, float]
    score: float
    yaw: float = 0.0


@dataclass(frozen=True)
class Masks:
    """Soft masks in 0..1, (H, W), of one picture.

    Attributes:
        person: the person's matte. skin: bare skin of face, ears and neck. hair: of the head, brows excluded.
        clothes: below the neck. glasses: frames and lenses; all zero when none are worn.
    """

    person: Float[np.ndarray, "h w"]
    skin: Float[np.ndarray, "h w"]
    hair: Float[np.ndarray, "h w"]
    clothes: Float[np.ndarray, "h w"]
    glasses: Float[np.ndarray, "h w"]


@dataclass(frozen=True)
class Observation:
    """One frame understood.

    Attributes:
        image: (H, W, 3) sRGB.
        detection: landmarks in pixels.
        masks: None while only tracking.
        camera: intrinsics and pose; the world frame is the head frame of HeadParams.rotation = 0.
        params: identity, expression, pose, gaze (unbatched).
        light: (9, 3) spherical-harmonic irradiance in the world frame, linear; None until estimated.
        landmark_error: median distance of the inner landmarks to the fit, in % of the iris distance.
        name: the file it came from.
        notes: what the user should know, one sentence each.
    """

    image: UInt8[np.ndarray, "h w 3"]
    detection: Detection
    masks: Masks | None
    camera: Camera
    params: HeadParams
    light: Float[np.ndarray, "9 3"] | None
    landmark_error: float
    name: str
    notes: tuple[str, ...] = ()
