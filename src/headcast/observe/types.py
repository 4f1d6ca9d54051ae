"""The observation of one frame: detection, masks, camera, head parameters, light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from headcast.camera import Camera
from headcast.head.params import HeadParams
from headcast.observe.detection import Detection, Masks

__all__ = ["Detection", "Masks", "Observation"]


@dataclass(frozen=True)
class Observation:
    """One observed frame.

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
