"""How well the fitted head's landmarks lie on those that were detected in a photo."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headcast.evaluate.report import Row
from headcast.head.model import HeadModel
from headcast.metrics.face import iris_centre_distance
from headcast.metrics.figure import Figure
from headcast.observe.fit import Fitter
from headcast.observe.landmark_model import INNER
from headcast.observe.types import Observation

__all__ = ["landmark_errors", "landmark_figures"]

HOLD_OUT = 5
"""Every fifth inner landmark is left out of the second fit."""


def landmark_figures() -> list[Figure]:
    """Describe the figures of ``landmark_errors``."""
    kinds = {
        "landmarks": ("landmark error", "mean; the fit's points wander over a turned head as the detector's"),
        "landmarks_median": ("landmark error, median", "median over the points"),
        "landmarks_fixed": ("landmark error, fixed points", "mean; points that keep to their place"),
        "landmarks_held_out": ("landmark error, held out", "mean of every fifth, which the fit did not see"),
    }
    return [
        Figure(
            key=key,
            title=title,
            unit="% of interocular distance",
            better="low",
            network="the detector that photos are observed with",
            mask="inner landmarks",
            note=f"distance of the fit to the detection, {note}",
        )
        for key, (title, note) in kinds.items()
    ]


def landmark_errors(observation: Observation, head: HeadModel) -> Row:
    """Measure distances of inner landmarks to the fit, % of the iris distance; also of a fifth held out.

    The fit's own points wander over a turned head as the detector's do; ``landmarks_fixed`` is the distance
    to points that keep to their place on the head.
    """
    at = observation.detection.points
    unit = iris_centre_distance(at) / 100

    def mean(points: Float[np.ndarray, "478 2"], which: np.ndarray) -> float:
        return float(np.linalg.norm(points[which] - at[which], axis=1).mean() / unit)

    fixed = observation.camera.project(head.landmarks(head(observation.params))).numpy()
    inner = np.asarray(INNER)
    held = inner[::HOLD_OUT]
    use = np.ones(len(at))
    use[held] = 0
    height, width = observation.image.shape[:2]
    fitter = Fitter(head)
    fitted = fitter.fit_photo(observation.detection, width, height).points
    blind = fitter.fit_photo(observation.detection, width, height, use=use)
    distances = np.linalg.norm(fitted[inner] - at[inner], axis=1) / unit
    return {
        "landmarks": mean(fitted, inner),
        "landmarks_median": float(np.median(distances)),
        "landmarks_fixed": mean(fixed, inner),
        "landmarks_held_out": mean(blind.points, held),
    }
