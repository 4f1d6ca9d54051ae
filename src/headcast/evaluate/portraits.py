"""The portrait protocol: one photo, its avatar, the photo's view and two turned ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast import api
from headcast.evaluate.judge import LOST, Judge, Row
from headcast.head.model import HeadModel
from headcast.image import atomic_path, load_image, save_png
from headcast.methods.fit.reconstruct import reconstruct
from headcast.metrics.face import face_mask, iris_distance
from headcast.observe.fit import Fitter
from headcast.observe.landmark_model import INNER
from headcast.observe.types import Observation

__all__ = ["portrait_row", "portrait_rows"]

YAWS = (-30, 30)
HOLD_OUT = 5
"""Every fifth inner landmark is left out of the second fit."""


def portrait_rows(photos: list[Path], out: Path, progress: Callable[[float, str], None]) -> dict[str, Row]:
    """A row per photo; rows that ``out`` holds from an earlier run are taken from there."""
    (out / "rows").mkdir(parents=True, exist_ok=True)
    head = HeadModel.load()
    rows: dict[str, Row] = {}
    with Judge() as judge:
        for i, photo in enumerate(photos):
            progress(i / len(photos), photo.stem)
            stored = out / "rows" / f"{photo.stem}.json"
            if not stored.is_file():
                row = portrait_row(photo, out, judge, head)
                with atomic_path(stored) as tmp:
                    tmp.write_text(json.dumps(row))
            rows[photo.stem] = json.loads(stored.read_text())
    progress(1.0, "portraits done")
    return rows


def portrait_row(photo: Path, out: Path, judge: Judge, head: HeadModel) -> Row:
    """Everything measured on one portrait; its renderings are kept in ``out``."""
    real = load_image(photo).rgb
    seen = api.observe(photo)[0]
    row: Row = landmark_errors(seen, head)
    with torch.no_grad():
        avatar = reconstruct([seen], head)
    same = api.render(avatar, view="source")
    save(out / "same", photo, same)
    row |= judge.compare(real, same, photo.name)
    row["itaDegrees"] = skin_tone(real, face_mask(seen.detection.points, *real.shape[:2]))
    turned = []
    for yaw in YAWS:
        picture = api.render(avatar, view="source", yaw=yaw)
        save(out / f"yaw{yaw:+d}", photo, picture)
        turned.append(judge.identity(real, picture, photo.name))
    row["iddist30"] = float(np.mean(turned))
    row["lost30"] = float(sum(t == LOST["iddist"] for t in turned))
    return row


def save(folder: Path, photo: Path, picture: UInt8[np.ndarray, "h w 4"]) -> None:
    """Keeps a rendering for looking at."""
    folder.mkdir(parents=True, exist_ok=True)
    save_png(folder / f"{photo.stem}.png", picture)


def landmark_errors(seen: Observation, head: HeadModel) -> Row:
    """Mean distance of inner landmarks to the fit, % of the iris distance; also of a fifth held out.

    The fit's own points wander over a turned head as the detector's do; ``landmarksFixed`` is the distance to
    points that keep to their place on the head.
    """
    at = seen.detection.points
    unit = iris_distance(at) / 100

    def mean(points: Float[np.ndarray, "478 2"], which: np.ndarray) -> float:
        return float(np.linalg.norm(points[which] - at[which], axis=1).mean() / unit)

    fixed = seen.camera.project(head.landmarks(head(seen.params))).numpy()
    inner = np.asarray(INNER)
    held = inner[::HOLD_OUT]
    use = np.ones(len(at))
    use[held] = 0
    height, width = seen.image.shape[:2]
    fitter = Fitter(head)
    fitted = fitter.fit_photo(seen.detection, width, height).points
    blind = fitter.fit_photo(seen.detection, width, height, use=use)
    distances = np.linalg.norm(fitted[inner] - at[inner], axis=1) / unit
    return {
        "landmarks": mean(fitted, inner),
        "landmarksMedian": float(np.median(distances)),
        "landmarksFixed": mean(fixed, inner),
        "landmarksHeldOut": mean(blind.points, held),
    }


def skin_tone(rgb: UInt8[np.ndarray, "h w 3"], mask: np.ndarray) -> float:
    """Individual typology angle of the face region in degrees: larger is lighter. From CIELAB medians."""
    import cv2

    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[mask]
    lightness, yellow = np.median(lab[:, 0]), np.median(lab[:, 2])
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))
