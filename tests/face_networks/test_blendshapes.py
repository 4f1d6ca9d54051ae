"""Expression scores: order, independence of scale and place, a real open mouth."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.face_networks.blendshapes import NETWORK_ORDER, ROWS, BlendshapeScorer
from headcast.head.names import EXPRESSION_INDEX
from headcast.observe.landmarks import FaceDetector


def test_the_order_is_the_networks() -> None:
    assert len(NETWORK_ORDER) == 52 and len(ROWS) == len(set(ROWS)) == 146
    places = {"_neutral": 0, "browDownLeft": 1, "eyeBlinkLeft": 9, "jawOpen": 25, "noseSneerRight": 51}
    assert all(NETWORK_ORDER[i] == name for name, i in places.items())


def test_scores_of_a_smile_whatever_its_scale_place_and_roll() -> None:
    astronaut = pytest.importorskip("skimage.data").astronaut()
    with FaceDetector() as detector:
        (face,) = detector.detect(astronaut)
        smile = [EXPRESSION_INDEX[f"mouthSmile{side}"] for side in ("Left", "Right")]
        assert face.blendshapes is not None and face.blendshapes.shape == (52,)
        assert face.blendshapes[smile].min() > 0.5
        assert face.blendshapes[EXPRESSION_INDEX["tongueOut"]] == 0
        c, s = np.cos(2.0), np.sin(2.0)
        other = face.points @ np.array([[c, s], [-s, c]]) * 3 + (500, -40)
        assert np.abs(detector.blendshape_scores(other) - face.blendshapes).max() < 0.01
        scorer = BlendshapeScorer()
        assert scorer.raw(face.points)[NETWORK_ORDER.index("jawOpen")] < 0.3
