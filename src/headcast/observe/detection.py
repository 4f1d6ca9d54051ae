"""Detection and masks of one face in one image. Free of torch, which takes a second to load."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["Detection", "Masks"]


@dataclass(frozen=True)
class Detection:
    """One face detected in one image, in pixels of that image (pixel centres at +0.5).

    Attributes:
        points: (478, 2) MediaPipe landmarks, the last ten are the irises.
        box: x0, y0, x1, y1 around the points.
        score: confidence of the detector in 0..1.
        yaw: rough degrees by which the face turns to the subject's left (image right); 0 where not estimated.
        blendshapes: (52,) scores 0 to 1 of MediaPipe's blendshape network in the order of ``EXPRESSIONS``
            (tongueOut is always 0); None where not asked for.
    """

    points: Float[np.ndarray, "478 2"]
    box: tuple[float, float, float, float]
    score: float
    yaw: float = 0.0
    blendshapes: Float[np.ndarray, "52"] | None = None


@dataclass(frozen=True)
class Masks:
    """Soft masks in 0..1, (H, W), of one image.

    Attributes:
        person: the person's matte. skin: bare skin of face, ears and neck. hair: of the head, brows excluded.
        clothes: below the neck. glasses: frames and lenses; all zero when none are worn.
    """

    person: Float[np.ndarray, "h w"]
    skin: Float[np.ndarray, "h w"]
    hair: Float[np.ndarray, "h w"]
    clothes: Float[np.ndarray, "h w"]
    glasses: Float[np.ndarray, "h w"]
