"""Expression distance: how far the blendshape scores of two images lie apart."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headcast.head.names import EXPRESSION_INDEX

__all__ = ["expression_distance"]

Scores = Float[np.ndarray, "52"]


def expression_distance(real: Scores, rendered: Scores) -> float:
    """Return the mean absolute difference of scores in the order of ``EXPRESSIONS``, 0..1.

    tongueOut is left out: MediaPipe's network has no score for it.
    """
    return float(np.abs(np.delete(real - rendered, EXPRESSION_INDEX["tongueOut"])).mean())
