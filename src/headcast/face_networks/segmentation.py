"""Separate people from the background in one square by MediaPipe's selfie segmentation."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float, UInt8

from headcast.face_networks.network import TfliteNetwork

__all__ = ["SEGMENTATION_SIDE", "segment_people", "segment_whole"]

SEGMENTATION_SIDE = 256
"""Pixels of the square that the network sees."""


@cache
def network() -> TfliteNetwork:
    """Return the network, loaded on first use."""
    return TfliteNetwork("selfie_segmentation", 1 / 255)


def segment_people(rgb: UInt8[np.ndarray, "256 256 3"]) -> Float[np.ndarray, "256 256"]:
    """Return coverage 0 to 1 by people in one square."""
    return network()(rgb)[0][0, :, :, 0]


def segment_whole(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Return coverage 0 to 1 by people in a whole image, squeezed to the network's square."""
    import cv2

    small = cv2.resize(rgb, (SEGMENTATION_SIDE, SEGMENTATION_SIDE), interpolation=cv2.INTER_AREA)
    return cv2.resize(segment_people(small), rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)
