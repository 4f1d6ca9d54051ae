"""Compares renderings with real pictures: one row of figures each, and medians with the bad tail."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from headcast.errors import HeadcastError
from headcast.metrics.face import akd, face_mask, identity_descriptor, identity_distance
from headcast.metrics.image import over_grey, psnr, ssim
from headcast.observe.models import quiet_mediapipe

if TYPE_CHECKING:
    from typing import Self

__all__ = ["HIGH_IS_GOOD", "LOST", "Judge", "Row", "summary"]

Row = dict[str, float]

LOST: Row = {"psnr": 0.0, "ssim": 0.0, "akd": 1000.0, "iddist": 1.2, "holes": 1.0, "lost": 1.0}
"""What a rendering that is missing, or in which no face is found, counts as."""

HIGH_IS_GOOD = (
    "psnr", "ssim", "gain", "foreground", "foregroundGain", "iou", "hair", "consistency", "consistencyWorst",
)  # fmt: skip


class Judge:
    """Measures faces. Landmarks are found in the same way (static mode) on both sides of every comparison."""

    def __init__(self) -> None:
        with quiet_mediapipe() as solutions:
            self.mesh: Any = solutions.face_mesh.FaceMesh(
                static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=0.3
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mesh.close()

    def points(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "478 2"] | None:
        """Landmarks in pixels, or None when no face is found."""
        found = self.mesh.process(np.ascontiguousarray(rgb)).multi_face_landmarks
        if not found:
            return None
        h, w = rgb.shape[:2]
        return np.array([[p.x * w, p.y * h] for p in found[0].landmark], np.float32)

    def real_points(self, rgb: UInt8[np.ndarray, "h w 3"], name: str) -> Float[np.ndarray, "478 2"]:
        """Landmarks of a real picture, which must show a face."""
        points = self.points(rgb)
        if points is None:
            raise HeadcastError(f"{name}: no face found by the evaluator; leave the picture out")
        return points

    def compare(
        self, real: UInt8[np.ndarray, "h w 3"], render: UInt8[np.ndarray, "h2 w2 c"], name: str
    ) -> Row:  # fmt: skip
        """One pair of equal size. A four-channel rendering is straight-alpha RGBA, seen over mid grey."""
        if real.shape[:2] != render.shape[:2]:
            raise HeadcastError(f"{name}: sizes differ: real {real.shape[:2]}, rendering {render.shape[:2]}")
        at = self.real_points(real, name)
        mask = face_mask(at, *real.shape[:2])
        row: Row = {}
        fake = render
        if render.shape[2] == 4:
            row["holes"] = float((render[..., 3][mask] < 0.9 * 255).mean())
            fake = over_grey(render)
        row |= {"psnr": psnr(real, fake, mask), "ssim": ssim(real, fake, mask)}
        found = self.points(fake)
        if found is None:
            return row | {k: LOST[k] for k in ("akd", "iddist", "lost")}
        same = identity_distance(identity_descriptor(real, at), identity_descriptor(fake, found))
        return row | {"akd": akd(at, found), "iddist": same, "lost": 0.0}

    def identity(
        self, real: UInt8[np.ndarray, "h w 3"], render: UInt8[np.ndarray, "h w 4"], name: str
    ) -> float:
        """Identity distance of a rendering from any view to the real picture."""
        fake = over_grey(render)
        found = self.points(fake)
        if found is None:
            return LOST["iddist"]
        at = self.real_points(real, name)
        return identity_distance(identity_descriptor(real, at), identity_descriptor(fake, found))


def summary(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """Per figure: the median and the bad tail (10th percentile where high is good, 90th elsewhere)."""
    out: dict[str, tuple[float, float]] = {}
    for key in sorted({k for r in rows for k in r}):
        v = [r[key] for r in rows if key in r]
        out[key] = float(np.median(v)), float(np.percentile(v, 10 if key in HIGH_IS_GOOD else 90))
    return out
