"""Choose the face of a photo, turn the photo upright about it and segment it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from headcast.image import LoadedImage
from headcast.observe.detection import Detection, Masks
from headcast.observe.landmarks import FaceDetector, pick_face, quarter_turns, turn_detection
from headcast.observe.masks import cutout_matte, segment

__all__ = ["PhotoFace", "detect_visible", "find_photo_face", "segment_face", "turn_upright"]

MIN_COVERAGE = 0.5  # mean alpha in a face's box, for a face to be seen
TURNED = {1: "turned clockwise", 2: "upside down", 3: "turned counter-clockwise"}


class PhotoFace(NamedTuple):
    """The face chosen in a photo.

    Attributes:
        turns: quarter turns counter-clockwise by which the photo was turned to make the face upright.
        detection: in the turned photo.
        note: what the user should know of the choice, or None.
    """

    turns: int
    detection: Detection
    note: str | None


def detect_visible(detector: FaceDetector, image: LoadedImage) -> list[Detection]:
    """Detect the faces that an image shows, the largest first; what is transparent shows none."""
    found = detector.detect(image.over_grey())
    if image.alpha is None:
        return found
    cover = image.coverage()
    return [d for d in found if box_mean(cover, d.box) >= MIN_COVERAGE]


def box_mean(x: Float[np.ndarray, "h w"], box: tuple[float, float, float, float]) -> float:
    """Return the mean of an image inside a box (pixels); 0 for a box outside."""
    x0, y0, x1, y1 = (max(0, round(v)) for v in box)
    part = x[y0:y1, x0:x1]
    return float(part.mean()) if part.size else 0.0


def find_photo_face(detector: FaceDetector, image: LoadedImage, face: int | None) -> PhotoFace:
    """Detect the faces of a photo and choose one, counted from 1 by size (None: the largest).

    Raises:
        HeadcastError: see ``pick_face``.
    """
    detection, note = pick_face(detect_visible(detector, image), face, image.name)
    turns = quarter_turns(detection.points)
    notes = [note] if note else []
    if turns:
        notes.append(f"the face is {TURNED[turns]}; the photo is used turned upright")
    height, width = image.rgb.shape[:2]
    return PhotoFace(turns, turn_detection(detection, (width, height), turns), "; ".join(notes) or None)


def turn_upright(image: LoadedImage, turns: int) -> UInt8[np.ndarray, "h w 3"]:
    """Return what is visible of a photo, turned by quarter turns."""
    return np.ascontiguousarray(np.rot90(image.over_grey(), turns))


def segment_face(image: LoadedImage, found: PhotoFace) -> Masks:
    """Segment the person with the chosen face; the alpha of a cut-out is the matte."""
    rgb = turn_upright(image, found.turns)
    if image.alpha is None:
        return segment(rgb, found.detection)
    cover = np.ascontiguousarray(np.rot90(image.coverage(), found.turns))
    return segment(rgb, found.detection, cutout_matte(rgb, cover, found.detection))
