"""Synthetic frames with known truth for the tests of fitting."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch

from headcast.camera import Camera
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX
from headcast.head.params import HeadParams
from headcast.observe.fit import Fitter
from headcast.observe.landmark_model import LandmarkModel
from headcast.observe.types import Detection
from headcast.rotation import axis_angle_to_matrix

__all__ = ["WEIGHTS", "detection_of", "fitter", "head", "truth"]

SIZE = 512
WEIGHTS = {
    "jawOpen": 0.5,
    "mouthSmileLeft": 0.6,
    "mouthSmileRight": 0.3,
    "browInnerUp": 0.5,
    "eyeBlinkLeft": 0.4,
}


@cache
def head() -> HeadModel:
    """The bundled head."""
    return HeadModel.load()


@cache
def fitter() -> Fitter:
    """A fitter of it, for landmarks that keep to their place on the head."""
    return Fitter(head(), replace(LandmarkModel.of(head()), drift=np.zeros((478, 3))))


def truth(seed: int, yaw: float = 0.0, expression: dict[str, float] | None = None) -> HeadParams:
    """A person of moderate shape at the usual distance; yaw in degrees."""
    rng = np.random.default_rng(seed)
    p = HeadParams.neutral(head().identities).with_expression(WEIGHTS if expression is None else expression)
    return p.replace(
        identity=torch.from_numpy(rng.normal(0, 0.6, head().identities)).float(),
        rotation=torch.tensor([rng.normal(0, 0.1), np.radians(yaw), rng.normal(0, 0.05)]).float(),
        translation=torch.tensor([rng.normal(0, 0.02), rng.normal(0, 0.02), -1.6]).float(),
    )


def detection_of(
    params: HeadParams, noise: float = 0.0, seed: int = 0, wander: torch.Tensor | None = None
) -> tuple[Detection, Camera]:
    """The landmarks a perfect detector would see with a known camera, plus noise in pixels.

    Args:
        wander: (478, 3) metres in the head frame by which the points are off.
    """
    camera = Camera.make(2200.0, SIZE, SIZE)
    model = fitter().model
    with torch.no_grad():
        posed = head()(params)
        corners = posed[head().faces[torch.from_numpy(model.triangle)]]
        points = (corners * torch.from_numpy(model.bary).float()[..., None]).sum(1)
        if wander is not None:
            points = points + wander @ axis_angle_to_matrix(params.rotation).T
        uv = camera.project(points).numpy()
    uv = uv + np.random.default_rng(seed).normal(0, noise, uv.shape)
    (x0, y0), (x1, y1) = uv.min(0), uv.max(0)
    return Detection(uv.astype(np.float32), (float(x0), float(y0), float(x1), float(y1)), 1.0), camera


def weight(params: HeadParams, name: str) -> float:
    """One expression weight of unbatched parameters."""
    return float(params.expression[EXPRESSION_INDEX[name]])
