"""Find 478 landmarks of one face in a square crop by MediaPipe's landmark network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from headcast.face_networks.detector import sigmoid
from headcast.face_networks.network import TfliteNetwork

__all__ = ["MESH_SIDE", "FaceMesh", "MeshLandmarks"]

MESH_SIDE = 256
"""Pixels of the square that the network sees; the landmarks' box fills about two thirds of it."""


class MeshLandmarks(NamedTuple):
    """Landmarks of one crop.

    Attributes:
        points: x, y and depth in pixels of the crop, depth from the middle of the head, away positive.
        presence: 0 to 1, how likely the crop shows a face that lies as it should.
    """

    points: Float[np.ndarray, "478 3"]
    presence: float


class FaceMesh:
    """Run the landmark network on crops."""

    def __init__(self) -> None:
        self.network = TfliteNetwork("face_landmarks", 1 / 255)

    def __call__(self, crop: UInt8[np.ndarray, "256 256 3"]) -> MeshLandmarks:
        """Return the landmarks of the face in a crop: upright, in the middle, with room around it."""
        flat, presence, *_ = self.network(crop)
        return MeshLandmarks(flat.reshape(478, 3).astype(np.float64), float(sigmoid(presence).ravel()[0]))
