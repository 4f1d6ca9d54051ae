"""Shot detection: find the cuts of a clip, so that one shot can be used."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from jaxtyping import Float, UInt8

__all__ = ["find_cuts", "is_likely_cut", "longest_shot", "signature"]

SIDE = 16  # pixels of the thumbnail
LEVELS = 8  # histogram bins per channel
MIN_THUMB_STEP, MIN_HISTOGRAM_STEP = 0.08, 0.2  # of a cut


def signature(frame: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "n"]:
    """Compute a compact descriptor of a frame: a 16x16 colour thumbnail, then a colour histogram.

    The thumbnail is divided by its own brightness, so that changes of lighting or exposure are no cuts.
    """
    import cv2

    small = cv2.resize(frame, (SIDE * 4, SIDE * 4), interpolation=cv2.INTER_AREA)
    thumb = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    thumb = np.log((thumb + 8.0) / (thumb.mean() + 8.0))
    normalised = np.clip(small.astype(np.float32) * (110.0 / (small.mean() + 8.0)), 0, 255)
    bins = normalised.astype(np.int64) * LEVELS // 256
    index = (bins[..., 0] * LEVELS + bins[..., 1]) * LEVELS + bins[..., 2]
    histogram = np.bincount(index.ravel(), minlength=LEVELS**3).astype(np.float32) / index.size
    return np.concatenate([thumb.ravel(), histogram])


def signature_distance(a: Float[np.ndarray, "n"], b: Float[np.ndarray, "n"]) -> tuple[float, float]:
    """Return the distances of two signatures' thumbnails and histograms."""
    split = SIDE * SIDE * 3
    thumb = float(np.median(np.abs(a[:split] - b[:split])))
    return thumb, float(np.abs(a[split:] - b[split:]).sum()) / 2


def is_likely_cut(before: Float[np.ndarray, "n"], after: Float[np.ndarray, "n"]) -> bool:
    """Whether two frames in succession differ enough for a cut; ``find_cuts`` decides with later frames."""
    thumb, histogram = signature_distance(before, after)
    return thumb >= MIN_THUMB_STEP and histogram >= MIN_HISTOGRAM_STEP


def find_cuts(signatures: Float[np.ndarray, "t n"]) -> list[int]:
    """Return the indices of the first frames of new shots.

    A cut is a step that is large in the thumbnail and in the histogram, many times larger than the steps
    around it, and after which nothing looks like the frames before (after a flash everything does).
    """
    n = len(signatures)

    def distance(a: int, b: int) -> tuple[float, float]:
        return signature_distance(signatures[a], signatures[b])

    steps = np.array([distance(i - 1, i) for i in range(1, n)]).reshape(-1, 2)
    cuts: list[int] = []
    for i in range(1, n):
        thumb, histogram = steps[i - 1]
        if thumb < MIN_THUMB_STEP or histogram < MIN_HISTOGRAM_STEP:
            continue
        typical = _typical_step(steps, i)
        if thumb < 4 * typical[0] or histogram < 3 * typical[1]:
            continue
        across = [distance(a, b)[0] for a in range(max(0, i - 4), i) for b in range(i, min(i + 4, n))]
        if min(across) < 0.5 * thumb or (cuts and i - cuts[-1] < 3):
            continue
        cuts.append(i)
    return cuts


def _typical_step(steps: np.ndarray, i: int) -> np.ndarray:
    """Return the median of the steps around one."""
    neighbours = np.concatenate([steps[max(0, i - 13) : i - 1], steps[i : i + 12]])
    return np.median(neighbours, 0) if len(neighbours) else np.zeros(2)


def longest_shot(frames: Iterable[UInt8[np.ndarray, "h w 3"]]) -> slice:
    """Return the longest run of frames without a cut."""
    return longest_run(np.stack([signature(f) for f in frames]))


def longest_run(signatures: Float[np.ndarray, "t n"]) -> slice:
    """Return the longest run without a cut from the frames' signatures."""
    return runs_by_length(signatures)[0]


def runs_by_length(signatures: Float[np.ndarray, "t n"]) -> list[slice]:
    """Return all runs without a cut, the longest first, from the frames' signatures."""
    edges = [0, *find_cuts(signatures), len(signatures)]
    runs = [slice(a, b) for a, b in pairwise(edges)]
    return sorted(runs, key=lambda run: run.start - run.stop)
