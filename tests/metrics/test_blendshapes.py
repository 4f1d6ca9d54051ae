"""Expression distance: its formula."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.head.names import EXPRESSION_INDEX
from headcast.metrics.blendshapes import expression_distance


def test_the_distance_is_the_mean_over_scores_that_the_network_has() -> None:
    a, b = np.zeros((2, 52), np.float32)
    b[EXPRESSION_INDEX["tongueOut"]] = 1
    assert expression_distance(a, b) == 0
    b[[EXPRESSION_INDEX["jawOpen"], EXPRESSION_INDEX["eyeWideLeft"]]] = 0.5, 0.25
    assert expression_distance(a, b) == pytest.approx(0.75 / 51)
