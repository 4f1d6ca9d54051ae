"""Further frames of a clip, for methods that learn from many: choose usable ones, fit and segment each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from headcast.errors import HeadcastError
from headcast.observe.detection import Detection
from headcast.observe.fit import Fitter, FrameFit
from headcast.observe.masks import segment
from headcast.observe.plausible import check_fit
from headcast.observe.types import Observation

__all__ = ["FrameChoice", "choose_frames", "observe_frame", "unusable_note"]

MAX_SIDE = 512  # pixels of a further frame: many of them are held in memory
BLURRED = 0.3  # of the median sharpness of the clip's faces, below which a frame is left out
NO_FACE, BLUR, NO_FIT = "without a face", "blurred", "whose face the head does not fit"


class FrameChoice(NamedTuple):
    """Usable frames, and why others are not, counted.

    Attributes:
        frames: indices, in order, without the keyframes. unusable: number of frames by reason.
    """

    frames: list[int]
    unusable: Counter[str]


def choose_frames(
    detections: Sequence[Detection | None], sharpness: Sequence[float], keys: Sequence[int], count: int
) -> FrameChoice:
    """Choose frames beside the keyframes: those with a sharp face, spread evenly where they are too many.

    Args:
        keys: frames that are observed already. count: of frames to choose, at most.
    """
    visible = [i for i, d in enumerate(detections) if d is not None]
    unusable: Counter[str] = Counter({NO_FACE: len(detections) - len(visible)})
    least = BLURRED * float(np.median([sharpness[i] for i in visible])) if visible else 0.0
    sharp = [i for i in visible if sharpness[i] >= least]
    unusable[BLUR] = len(visible) - len(sharp)
    left = [i for i in sharp if i not in set(keys)]
    spread = np.linspace(0, len(left) - 1, min(count, len(left))).round().astype(int)
    return FrameChoice([left[k] for k in np.unique(spread)], unusable)


def observe_frame(
    rgb: np.ndarray, name: str, detection: Detection, fitter: Fitter, near: FrameFit
) -> tuple[Observation | None, FrameFit]:
    """Fit one more frame with the identity and lens of the keyframes, and segment it at ``MAX_SIDE`` pixels.

    Args:
        rgb: (H, W, 3) sRGB, upright. near: fit of a frame near in time, from which this one starts.

    Returns:
        The observation without its light, and the fit; no observation where the head does not fit.
    """
    import cv2

    height, width = rgb.shape[:2]
    fit = fitter.fit_frame(detection, width, height, near)
    try:
        check_fit(fit, detection, name)
    except HeadcastError:
        return None, near
    scale = min(1.0, MAX_SIDE / max(width, height))
    small_width, small_height = round(width * scale), round(height * scale)
    small = rgb
    if scale < 1:
        small = cv2.resize(rgb, (small_width, small_height), interpolation=cv2.INTER_AREA)
        factor = np.array([small_width / width, small_height / height])
        points = detection.points * factor
        box = (*points.min(0).tolist(), *points.max(0).tolist())
        detection = replace(detection, points=points, box=box)
    seen = Observation(
        image=small,
        detection=detection,
        masks=segment(small, detection),
        camera=fit.camera.resized(small_width, small_height),
        params=fit.params,
        light=None,
        landmark_error=fit.error,
        name=name,
    )
    return seen, fit


def unusable_note(unusable: Counter[str], total: int) -> str:
    """Describe the frames that were left out; empty: none."""
    found = [f"{n} {reason}" for reason, n in unusable.items() if n]
    return f"{sum(unusable.values())} of {total} frames are not used: {', '.join(found)}" if found else ""
