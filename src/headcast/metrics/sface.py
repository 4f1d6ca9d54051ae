"""Identity by SFace, aligned by the detector YuNet: both from the user's files, run by OpenCV.

Y. Zhong et al., SFace: sigmoid-constrained hypersphere loss for robust face recognition, TIP 2021; files
of OpenCV Zoo (``sface.onnx``, ``yunet.onnx``). Evaluation only: no loss uses it and nothing of it ships.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from headcast.errors import HeadcastError
from headcast.files import quiet_stderr

__all__ = ["EMBEDDING_DIM", "SFace", "cosine_similarity"]

EMBEDDING_DIM = 128
MIN_DETECTION_SCORE = 0.5
DETECTOR_SIZE = (320, 320)  # pixels; replaced by each image's own size

Embedding = Float[np.ndarray, "128"]


class SFace:
    """Embed the widest face of an image."""

    def __init__(self, sface: Path, yunet: Path) -> None:
        """Open both networks.

        Raises:
            HeadcastError: a file is missing or is not such a network.
        """
        import cv2

        for path, option in ((sface, "--sface"), (yunet, "--yunet")):
            if not path.is_file():
                raise HeadcastError(f"{path}: no such file; give {option} FILE (of OpenCV Zoo)")
        self.name = f"SFace ({sface.name}, aligned by {yunet.name})"
        path = sface
        try:
            with quiet_stderr():
                self._recognizer: Any = cv2.FaceRecognizerSF.create(str(sface), "")
                path = yunet
                self._detector: Any = cv2.FaceDetectorYN.create(
                    str(yunet), "", DETECTOR_SIZE, MIN_DETECTION_SCORE
                )
        except cv2.error as e:
            raise HeadcastError(f"{path}: not a network that OpenCV reads; take OpenCV Zoo's .onnx") from e

    def embedding(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Embedding | None:
        """Return the unit vector of the widest face that YuNet finds; None where it finds none."""
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        self._detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        _, faces = self._detector.detect(bgr)
        if faces is None:
            return None
        widest = faces[np.argmax(faces[:, 2])]
        found = self._recognizer.feature(self._recognizer.alignCrop(bgr, widest))[0]
        return found / np.linalg.norm(found)


def cosine_similarity(a: Embedding | None, b: Embedding | None) -> float:
    """Return the cosine of two unit vectors; 0 where either face was not detected."""
    return 0.0 if a is None or b is None else float(a @ b)
