"""Detect whether glasses are worn, and where."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from headcast.observe.face_frame import FaceFrame, face_frame, polygon
from headcast.observe.filters import blur
from headcast.observe.landmark_points import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    IRIS_LEFT,
    IRIS_RIGHT,
)

__all__ = ["eye_strip", "glasses_mask", "glasses_score", "strip_features"]

STRIP = (128, 64)  # pixels, width and height, of the strip around the eyes
CELL, BINS = 8, 8
WEIGHTS = Path(__file__).parents[1] / "weights" / "glasses.safetensors"  # read without torch: see ahead.py
LID = 0.4  # how much less a line between eye and brow counts
LENS = 0.4  # value of the mask inside a lens, where the face is visible behind glass


def glasses_score(rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 2"]) -> float:
    """Return log odds that glasses are worn: logistic regression on edge directions around the eyes."""
    weights, bias = classifier()
    return float(strip_features(eye_strip(rgb, points)) @ weights + bias)


@cache
def classifier() -> tuple[Float[np.ndarray, "n"], float]:
    """Load the bundled weights, made by tools/build_glasses.py."""
    from safetensors.numpy import load_file

    tensors = load_file(WEIGHTS)
    return tensors["weights"], float(tensors["bias"])


def eye_strip(
    rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 2"]
) -> UInt8[np.ndarray, "64 128 3"]:
    """Resample the strip around the eyes, upright, irises at fixed places."""
    import cv2

    w, h = STRIP
    along = points[IRIS_LEFT] - points[IRIS_RIGHT]
    length = float(np.linalg.norm(along))
    k = 0.4 * w / length
    c, s = along / length * k
    A = np.array([[c, s], [-s, c]])
    t = np.array([w / 2, 0.45 * h]) - A @ (points[IRIS_LEFT] + points[IRIS_RIGHT]) / 2
    x = blur(rgb, 0.4 / k) if k < 0.8 else rgb
    W = np.concatenate([A, (t + A @ np.array([0.5, 0.5]) - 0.5)[:, None]], 1)
    return cv2.warpAffine(x, W, STRIP, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def strip_features(strip: UInt8[np.ndarray, "64 128 3"]) -> Float[np.ndarray, "n"]:
    """Build histograms of edge directions in 8-pixel cells, relative to the edges around each cell."""
    import cv2

    light = cv2.cvtColor(strip, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32)
    gx, gy = cv2.Sobel(light, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(light, cv2.CV_32F, 0, 1) / 8
    size, angle = np.hypot(gx, gy), np.arctan2(gy, gx)
    step = np.pi / BINS
    away = [np.abs((angle - k * step + np.pi / 2) % np.pi - np.pi / 2) / step for k in range(BINS)]
    planes = np.stack([np.maximum(0, 1 - d) * size for d in away], -1).astype(np.float32)
    cells = cv2.resize(planes, (STRIP[0] // CELL, STRIP[1] // CELL), interpolation=cv2.INTER_AREA)
    around = cv2.blur(cells.sum(-1), (5, 5))
    return np.sqrt(cells / (around[..., None] + 0.5)).ravel()


def glasses_mask(
    rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "478 2"]
) -> Float[np.ndarray, "h w"]:
    """Return 1 on frames, 0.4 behind the lenses, 0 elsewhere and everywhere when none are worn."""
    import cv2

    if glasses_score(rgb, points) <= 0:
        return np.zeros(rgb.shape[:2], np.float32)
    frame = face_frame(points, *rgb.shape[:2])
    light = blur(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32), 0.003 * frame.unit)
    k = 2 * max(2, round(0.035 * frame.unit)) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (k, k))
    dark = cv2.morphologyEx(light, cv2.MORPH_BLACKHAT, disk)
    bright = 0.7 * cv2.morphologyEx(light, cv2.MORPH_TOPHAT, disk)
    place, lens = places(points, frame)
    line = np.maximum(dark, bright) * place
    usual = float(np.median(line[place > 0.5])) if (place > 0.5).any() else 0.0
    rim = np.clip((line - max(9.0, 2.2 * usual)) / 12, 0, 1)
    rim = long_pieces(rim, 0.12 * frame.unit)
    rim = np.clip(1.5 * blur(cv2.dilate(rim, np.ones((3, 3), np.uint8)), 0.004 * frame.unit), 0, 1)
    return np.maximum(rim, LENS * lens).astype(np.float32)


def places(
    points: Float[np.ndarray, "478 2"], frame: FaceFrame
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Return where frames can be (0..1), eyes and brows left out, and where the lenses are."""

    h, w = frame.x.shape
    eyes = np.linalg.norm(points[IRIS_LEFT] - points[IRIS_RIGHT]) / frame.unit
    ring, lens = _ring_and_lens(h, w, frame, eyes)
    between_ears = (frame.x < frame.ear_left) & (frame.x > frame.ear_right)
    out = np.maximum(ring, (np.abs(frame.y) < 0.35 * eyes).astype(np.float32)) * between_ears
    out *= (frame.y < 0.42 * eyes) & (frame.y > -0.55 * eyes)
    out = _leave_out_eyes(points, h, w, out)
    return out.astype(np.float32), lens


def _ring_and_lens(h: int, w: int, frame: FaceFrame, eyes: np.floating) -> tuple[np.ndarray, np.ndarray]:
    """Return rings around the eyes where frames run, and the lenses in them; ``eyes``: their distance."""
    ring, lens = np.zeros((h, w), np.float32), np.zeros((h, w), np.float32)
    for side in (-0.5, 0.5):
        radius = np.hypot(
            (frame.x - side * 1.06 * eyes) / (0.46 * eyes), (frame.y + 0.07 * eyes) / (0.33 * eyes)
        )
        ring = np.maximum(ring, np.clip((radius - 0.55) / 0.15, 0, 1) * np.clip((1.75 - radius) / 0.2, 0, 1))
        lens = np.maximum(lens, np.clip((1.05 - radius) / 0.1, 0, 1))
    return ring, lens


def _leave_out_eyes(points: Float[np.ndarray, "478 2"], h: int, w: int, out: np.ndarray) -> np.ndarray:
    """Leave eyes and brows out of a mask, in place; lines between them count less."""
    import cv2

    for eye, brow in ((EYE_LEFT, BROW_LEFT), (EYE_RIGHT, BROW_RIGHT)):  # lid creases look like thin rims
        hull = cv2.convexHull(points[[*eye, *brow]].astype(np.float32))[:, 0]
        out *= 1 - LID * polygon(hull, h, w)
    for outline, grow in ((EYE_LEFT, 1.25), (EYE_RIGHT, 1.25), (BROW_LEFT, 1.1), (BROW_RIGHT, 1.1)):
        p = points[list(outline)]
        out *= 1 - polygon((p - p.mean(0)) * grow + p.mean(0), h, w)
    return out


def long_pieces(rim: Float[np.ndarray, "h w"], least: float) -> Float[np.ndarray, "h w"]:
    """Drop components shorter than ``least`` pixels: lashes, wrinkles, glints."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats((rim > 0.2).astype(np.uint8), connectivity=8)
    size = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    keep = size >= least
    keep[0] = False
    return rim * keep[np.asarray(labels, np.intp)] if count > 1 else np.zeros_like(rim)
