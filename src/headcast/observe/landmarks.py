"""Faces in a picture: 478 MediaPipe landmarks each."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from headcast.observe.models import quiet_mediapipe
from headcast.observe.types import Detection

if TYPE_CHECKING:
    from typing import Self

__all__ = ["FaceDetector"]

MAX_FACES = 5
WORK_SIDE = 1024


class FaceDetector:
    """Finds faces. Keeps MediaPipe's graphs loaded; close it or use it in a ``with`` statement."""

    def __init__(self) -> None:
        self.graphs: dict[str, Any] = {}

    def detect(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[Detection]:
        """All faces found, the largest first; empty when there is none."""
        found = [to_detection(p, 1.0) for p in self.mesh(rgb)]
        return sorted(found, key=lambda d: -face_size(d))

    def mesh(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[np.ndarray]:
        """(478, 2) pixel positions of every face the mesh graph finds in a picture."""
        import cv2

        h, w = rgb.shape[:2]
        scale = min(1.0, WORK_SIDE / max(h, w))
        small = rgb if scale == 1 else cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        result = self.graph("mesh").process(np.ascontiguousarray(small))
        faces = result.multi_face_landmarks or []
        return [np.array([(p.x * w, p.y * h) for p in face.landmark], np.float32) for face in faces]

    def graph(self, name: str) -> Any:  # noqa: ANN401
        """A MediaPipe graph, made on first use."""
        if name not in self.graphs:
            with quiet_mediapipe() as solutions:
                self.graphs[name] = solutions.face_mesh.FaceMesh(
                    static_image_mode=True, max_num_faces=MAX_FACES, refine_landmarks=True,
                    min_detection_confidence=0.5,
                )  # fmt: skip
                self.graphs[name].process(np.zeros((64, 64, 3), np.uint8))
        return self.graphs[name]

    def close(self) -> None:
        """Frees the graphs."""
        while self.graphs:
            self.graphs.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def to_detection(points: np.ndarray, score: float) -> Detection:
    """A detection around landmarks."""
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return Detection(points.astype(np.float32), (float(x0), float(y0), float(x1), float(y1)), score)


def face_size(d: Detection) -> float:
    """Geometric mean of the box's sides, pixels."""
    return float(np.sqrt((d.box[2] - d.box[0]) * (d.box[3] - d.box[1])))
