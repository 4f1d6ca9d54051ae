"""Measures of faces: region, landmark distance, identity. Landmarks are MediaPipe's 478, in pixels."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from headcast.errors import HeadcastError
from headcast.head.face_oval import OVAL

__all__ = ["akd", "face_mask", "identity_descriptor", "identity_distance", "iris_centre_distance"]


def face_mask(
    points: Float[np.ndarray, "478 2"], height: int, width: int, shrink: float = 0.94
) -> Bool[np.ndarray, "{height} {width}"]:
    """Mask pixels inside the face oval, shrunk about its mean so that the silhouette stays outside."""
    import cv2

    hull = points[list(OVAL)]
    c = hull.mean(0)
    m = np.zeros((height, width), np.uint8)
    cv2.fillPoly(m, [((hull - c) * shrink + c).astype(np.int32)], (1.0,))
    return m.astype(bool)


def iris_centre_distance(points: Float[np.ndarray, "478 2"]) -> float:
    """Return the distance of the iris centres, pixels."""
    return float(np.linalg.norm(points[468] - points[473]))


def akd(real: Float[np.ndarray, "478 2"], render: Float[np.ndarray, "478 2"]) -> float:
    """Return the average keypoint distance in % of the real image's iris distance.

    Both must be detected in the same way (static mode): the two ways differ by 1.2-1.6 % by themselves.
    """
    return float(np.linalg.norm(real - render, axis=1).mean() / iris_centre_distance(real) * 100)


@cache
def _networks() -> tuple[Any, Any]:
    spec = find_spec("face_recognition_models")
    if find_spec("dlib") is None or spec is None or spec.origin is None:
        raise HeadcastError("identity distance needs the metrics extra: pip install 'headcast[metrics]'")
    dlib: Any = import_module("dlib")

    models = Path(spec.origin).parent / "models"
    encoder = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))
    return encoder, dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))


def identity_descriptor(
    rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 2"]
) -> Float[np.ndarray, "128"]:
    """Compute dlib's 128-d face descriptor, aligned by its five-point predictor.

    The 68-point predictor was trained on non-commercial data and is not used.
    """
    dlib: Any = import_module("dlib")

    encoder, predictor = _networks()
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    rgb = np.ascontiguousarray(rgb)
    shape = predictor(rgb, dlib.rectangle(int(x0), int(y0), int(x1), int(y1)))
    return np.array(encoder.compute_face_descriptor(rgb, shape, 1))


def identity_distance(a: Float[np.ndarray, "128"], b: Float[np.ndarray, "128"]) -> float:
    """Return two descriptors' Euclidean distance; of different people on our portraits: .57 to median .80."""
    return float(np.linalg.norm(a - b))
