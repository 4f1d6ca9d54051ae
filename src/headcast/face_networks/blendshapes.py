"""Score 52 expressions from landmarks by MediaPipe's blendshape network."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headcast.face_networks.network import TfliteNetwork
from headcast.head.names import EXPRESSIONS

__all__ = ["NETWORK_ORDER", "BlendshapeScorer"]

NETWORK_ORDER: tuple[str, ...] = ("_neutral", *sorted(n for n in EXPRESSIONS if n != "tongueOut"))
"""Names of the network's outputs: ``_neutral`` says how expressionless a face is; it knows no tongue."""

SUBSET = (
    "0-1 4-8 10 13-14 17 21 33 37 39-40 46 52-55 58 61 63 65-67 70 78 80-82 84 87-88 91 93 95 103 105 107 "
    "109 127 132-133 136 144-146 148-150 152-155 157-163 168 172-173 176 178 181 185 191 195 197 234 246 "
    "249 251 263 267 269-270 276 282-285 288 291 293 295-297 300 308 310-312 314 317-318 321 323-324 332 "
    "334 336 338 356 361-362 365 373-375 377-382 384-390 397-398 400 402 405 409 415 454 466 468-477"
)
"""The 146 landmarks that the network reads, as MediaPipe's graph of this network lists them."""


def subset_rows() -> list[int]:
    """Return the indices of the landmarks that the network reads."""
    spans = [tuple(map(int, part.split("-"))) for part in SUBSET.split()]
    return [i for span in spans for i in range(span[0], span[-1] + 1)]


ROWS = subset_rows()
TO_EXPRESSIONS = [NETWORK_ORDER.index(n) if n in NETWORK_ORDER else -1 for n in EXPRESSIONS]


class BlendshapeScorer:
    """The blendshape network. It reads landmarks alone, whatever their scale and place in the image."""

    def __init__(self) -> None:
        self.network = TfliteNetwork("face_blendshapes")

    def raw(self, points: Float[np.ndarray, "478 k"]) -> Float[np.ndarray, "52"]:
        """Return the network's own scores in ``NETWORK_ORDER``, 0 to 1.

        Args:
            points: landmarks in pixels of an image in which the face is upright.
        """
        return self.network(points[ROWS, :2])[0]

    def __call__(self, points: Float[np.ndarray, "478 k"]) -> Float[np.ndarray, "52"]:
        """Return scores 0 to 1 in the order of ``EXPRESSIONS``; tongueOut is always 0.

        Args:
            points: landmarks in pixels of an image in which the face is upright.
        """
        scores = self.raw(points)
        return np.array([scores[i] if i >= 0 else 0.0 for i in TO_EXPRESSIONS], np.float32)
