"""What is no upright head is refused before an avatar is made of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.observe.heads import SIZE, detection_of, fitter, truth

from headcast.errors import HeadcastError
from headcast.observe.detection import Detection
from headcast.observe.landmarks import turn_detection
from headcast.observe.plausible import check_fit


@pytest.fixture(scope="module")
def detection() -> Detection:
    """A face of a known head."""
    return detection_of(truth(3, 10.0), noise=0.3)[0]


def test_a_head_is_accepted(detection: Detection) -> None:
    check_fit(fitter().fit_photo(detection, SIZE, SIZE), detection, "me.jpg")


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_face_is_refused(detection: Detection, turns: int) -> None:
    turned = turn_detection(detection, (SIZE, SIZE), turns)
    with pytest.raises(HeadcastError, match=r"me\.jpg: the face is not upright"):
        check_fit(fitter().fit_photo(turned, SIZE, SIZE), turned, "me.jpg")


def test_landmarks_of_no_head_are_refused(detection: Detection) -> None:
    noise = np.random.default_rng(0).normal(0, 12, (478, 2)).astype(np.float32)
    odd = replace(detection, points=detection.points + noise)
    with pytest.raises(HeadcastError, match="hardly a face"):
        check_fit(fitter().fit_photo(odd, SIZE, SIZE), odd, "me.jpg")
