"""Expression distance by MediaPipe's blendshape network, from the user's ``face_landmarker.task``.

Unlike the project's tracker, the network reads pixels around eyes and mouth, and no fit has used it.
Evaluation only.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from headcast.errors import HeadcastError
from headcast.files import quiet_stderr

__all__ = ["BLENDSHAPES", "BlendshapeNetwork", "expression_distance"]

BLENDSHAPES = 52
"""Scores of the network: ``_neutral``, then ARKit's without tongueOut, in alphabetical order."""
NEUTRAL = 0  # index of ``_neutral``, which is no expression and is left out of the distance
WARM_UP_SIDE = 64  # pixels of the first, empty image, which makes the network's runtime talk

Scores = Float[np.ndarray, "52"]


class BlendshapeNetwork:
    """Read 52 scores (0..1) from the most visible face of an image."""

    def __init__(self, path: Path) -> None:
        """Open the bundle of detector, landmark and blendshape networks.

        Raises:
            HeadcastError: the file is missing or is not such a bundle.
        """
        if not path.is_file():
            raise HeadcastError(f"{path}: no such file; give --blendshapes FILE (face_landmarker.task)")
        self.name = f"MediaPipe blendshapes ({path.name})"
        self._mediapipe: Any = import_module("mediapipe")
        tasks: Any = import_module("mediapipe.tasks.python")
        options = tasks.vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(
                model_asset_path=str(path), delegate=tasks.BaseOptions.Delegate.CPU
            ),
            output_face_blendshapes=True,
            num_faces=1,
        )
        try:
            with quiet_stderr():
                self._landmarker: Any = tasks.vision.FaceLandmarker.create_from_options(options)
                self.scores(np.zeros((WARM_UP_SIDE, WARM_UP_SIDE, 3), np.uint8))
        except (RuntimeError, ValueError) as e:
            raise HeadcastError(
                f"{path}: not MediaPipe's face_landmarker.task; take the published file"
            ) from e

    def scores(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Scores | None:
        """Return scores in the network's order; None where no face is detected."""
        image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb)
        )
        found = self._landmarker.detect(image).face_blendshapes
        return np.array([s.score for s in found[0]], np.float32) if found else None

    def close(self) -> None:
        """Release the networks' memory."""
        self._landmarker.close()


def expression_distance(real: Scores, rendered: Scores) -> float:
    """Return the mean absolute difference of the 51 expression scores, 0..1."""
    return float(np.abs(np.delete(real - rendered, NEUTRAL)).mean())
