"""Estimates of expression weights by several methods, on detections of synthetic heads."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from expressions.learning import Heads
from headcast.crops.square import box_of
from headcast.head.model import HeadModel
from headcast.observe.expression_reader import ExpressionReader
from headcast.observe.fit import Fitter
from headcast.observe.types import Detection

__all__ = ["Estimates", "estimates_by_method"]

EYE_CORNERS = (33, 263)


@dataclass(frozen=True)
class Estimates:
    """Weights estimated for some heads.

    Attributes:
        gaze: (n, 2) yaw and pitch, radians. to_truth, to_detected: (n,) median distance of the fitted
            landmarks to the true and the detected ones, % of the distance between the outer eye corners.
            Each None where the method has none.
    """

    heads: Heads
    weights: Float[np.ndarray, "n 52"]
    gaze: Float[np.ndarray, "n 2"] | None = None
    to_truth: Float[np.ndarray, " n"] | None = None
    to_detected: Float[np.ndarray, " n"] | None = None

    def summary(self, name: str) -> str:
        """Format gaze and landmark errors in one line."""
        out = f"{name}: {len(self.weights)} images"
        if self.gaze is not None:
            off = np.degrees(np.linalg.norm(self.gaze - self.heads.gaze, axis=1))
            out += f", gaze {np.median(off):.2f} degrees"
        if self.to_truth is not None and self.to_detected is not None:
            out += f", landmarks {np.median(self.to_truth):.3f} % from the truth, "
            out += f"{np.median(self.to_detected):.3f} % from the detection"
        return out


def detections_of(heads: Heads) -> list[Detection]:
    """Return the stored detections."""
    return [
        Detection(points=p.astype(np.float32), box=box_of(p), score=1.0, blendshapes=s)
        for p, s in zip(heads.detected, heads.scores, strict=True)
    ]


def estimates_by_method(
    heads: Heads, reader: ExpressionReader, limit: int | None = None
) -> dict[str, Estimates]:
    """Estimate by nothing, landmarks alone, scores alone, the reader alone, the fit of one photo and of all.

    Args:
        limit: number of images to fit; all images of a person count or none.
    """
    if limit is not None:
        people = np.unique(heads.person)
        keep = people[
            np.linspace(0, len(people) - 1, max(1, limit * len(people) // len(heads.person))).astype(int)
        ]
        heads = heads[np.isin(heads.person, keep)]
    found = detections_of(heads)
    bare = [replace(d, blendshapes=None) for d in found]
    expected = [e for d in found if (e := reader.expect(d)) is not None]
    fitter = Fitter(HeadModel.load(), reader=reader)
    each = np.arange(len(found))
    return {
        "zeros": Estimates(heads, np.zeros((len(found), 52))),
        "network": Estimates(heads, heads.scores.astype(np.float64)),
        "reader": Estimates(
            heads, np.stack([e.weights for e in expected]), np.stack([e.gaze for e in expected])
        ),
        "landmarks": fitted(fitter, heads, bare, each),
        "fit": fitted(fitter, heads, found, each),
        "landmarks, person": fitted(fitter, heads, bare, heads.person),
        "fit, person": fitted(fitter, heads, found, heads.person),
    }


def fitted(fitter: Fitter, heads: Heads, found: list[Detection], groups: np.ndarray) -> Estimates:
    """Fit the images of each group with a common identity."""
    n = len(found)
    weights, gaze, to_truth, to_detected = np.zeros((n, 52)), np.zeros((n, 2)), np.zeros(n), np.zeros(n)
    for g in np.unique(groups):
        rows = np.flatnonzero(groups == g)
        size = int(heads.size[rows[0]])
        photos = [found[i] for i in rows]
        scored = [d for d in photos if d.blendshapes is not None]
        fits = fitter.fit_photos(photos, [(size, size)] * len(rows), rest=fitter.reader.rest(scored))
        for i, fit in zip(rows, fits, strict=True):
            weights[i], gaze[i] = fit.frame.expression, fit.frame.gaze.mean(0)
            true = heads.points[i]
            unit = np.linalg.norm(true[EYE_CORNERS[0]] - true[EYE_CORNERS[1]]) / 100
            to_truth[i] = np.median(np.linalg.norm(fit.points - true, axis=1)) / unit
            to_detected[i] = np.median(np.linalg.norm(fit.points - found[i].points, axis=1)) / unit
    return Estimates(heads, weights, gaze, to_truth, to_detected)
