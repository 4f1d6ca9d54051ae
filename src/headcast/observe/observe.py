"""Photo or photos to observations: read, detect, pick the face, segment, fit, estimate the light."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.image import LoadedImage, load_image
from headcast.observe.fit import Fit, Fitter
from headcast.observe.landmarks import FaceDetector
from headcast.observe.types import Detection, Observation

__all__ = ["MAX_YAW", "MIN_FACE", "Progress", "check_fit", "observe_photo", "observe_photos", "pick_face"]

Progress = Callable[[float, str], None]
"""Told the share done (0..1) and what is being done."""

MIN_FACE = 48.0
MAX_YAW = 60.0


def observe_photo(
    photo: str | Path | LoadedImage, head: HeadModel, face: int | None = None,
    progress: Progress | None = None,
) -> Observation:  # fmt: skip
    """One photo understood.

    Args:
        face: which face, counted from 0 by size; None takes the largest.

    Raises:
        HeadcastError: no face, a face too small, a profile view, an unreadable file.
    """
    return observe_photos([photo], head, [face], progress)[0]


def observe_photos(
    photos: Sequence[str | Path | LoadedImage], head: HeadModel, faces: Sequence[int | None] | None = None,
    progress: Progress | None = None,
) -> list[Observation]:  # fmt: skip
    """Photos of one person understood together: they share one identity."""
    say = progress or (lambda share, what: None)
    say(0.0, "reading")
    images = [p if isinstance(p, LoadedImage) else load_image(p) for p in photos]
    faces = list(faces or [None] * len(images))
    say(0.1, "finding the face")
    with FaceDetector() as detector:
        found = [detector.detect(im.rgb) for im in images]
    picked = [pick_face(d, im.name, f) for d, im, f in zip(found, images, faces, strict=True)]
    say(0.3, "fitting the head")
    sizes = [(im.rgb.shape[1], im.rgb.shape[0]) for im in images]
    fits = Fitter(head).fit_photos(picked, sizes, [im.exif_focal_35mm for im in images])
    for fit, im in zip(fits, images, strict=True):
        check_fit(fit, im.name)
    say(0.5, "separating person, skin and hair")
    out = [finish(im.rgb, im.name, d, f) for im, d, f in zip(images, picked, fits, strict=True)]
    say(1.0, "observed")
    return out


def pick_face(found: list[Detection], name: str, face: int | None) -> Detection:
    """The wanted face of a picture, large enough to be worth it."""
    if not found:
        raise HeadcastError(f"{name}: no face found; use a photo with a visible, roughly frontal face")
    index = face or 0
    if not 0 <= index < len(found):
        raise HeadcastError(f"{name}: --face {index}, but {len(found)} found; count from 0, largest first")
    d = found[index]
    width = float(np.linalg.norm(d.points[234] - d.points[454]))
    if width < MIN_FACE:
        raise HeadcastError(
            f"{name}: the face is only {width:.0f} px between the ears; at least {MIN_FACE:.0f} are needed"
        )
    return d


def check_fit(fit: Fit, name: str) -> None:
    """Refuses profiles."""
    yaw = yaw_degrees(fit)
    if abs(yaw) > MAX_YAW:
        raise HeadcastError(
            f"{name}: the head is turned by {abs(yaw):.0f}°; use a photo turned by less than {MAX_YAW:.0f}°"
        )


def yaw_degrees(fit: Fit) -> float:
    """How far the head is turned from the line to the camera; positive: to the picture's right."""
    t = fit.params.translation.double().numpy()
    to_camera = fit.frame.rotation.T @ (-t / np.linalg.norm(t))
    return float(-np.degrees(np.arctan2(to_camera[0], to_camera[2])))


def finish(rgb: np.ndarray, name: str, detection: Detection, fit: Fit) -> Observation:
    """Masks and light added to a fit."""
    return Observation(
        image=rgb, detection=detection, masks=None, camera=fit.camera, params=fit.params, light=None,
        landmark_error=fit.error, name=name,
    )  # fmt: skip
