"""Decoding of the face detectors: anchors, merging, boxes in images of any shape."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.face_networks.detector import DETECTORS, BoxDetector, anchor_centres, merge_overlapping

cv2 = pytest.importorskip("cv2")


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """A portrait whose eyes are at about (204, 101) and (247, 104) (NASA, public domain)."""
    return pytest.importorskip("skimage.data").astronaut()


def test_anchors_are_cell_centres() -> None:
    near = anchor_centres(*DETECTORS["near"][1:])
    assert near.shape == (896, 2)
    assert np.allclose(near[:3], [[1 / 32, 1 / 32], [1 / 32, 1 / 32], [3 / 32, 1 / 32]])
    assert np.allclose(near[512], 1 / 16) and np.allclose(near[-1], 15 / 16)
    assert anchor_centres(*DETECTORS["far"][1:]).shape == (2304, 2)


def pairs(x: float, y: float, side: float = 0.2) -> np.ndarray:
    """Corners of a square box and six points in its middle."""
    middle = [[x + side / 2, y + side / 2]] * 6
    return np.array([[x, y], [x + side, y + side], *middle])


def test_overlapping_boxes_become_their_weighted_mean() -> None:
    boxes = np.stack([pairs(0.10, 0.1), pairs(0.13, 0.1), pairs(0.6, 0.6)])
    kept, scores = merge_overlapping(boxes, np.array([0.6, 0.9, 0.7]))
    assert scores.tolist() == [0.9, 0.7]
    assert kept[0, 0].tolist() == pytest.approx([(0.10 * 0.6 + 0.13 * 0.9) / 1.5, 0.1])
    assert np.allclose(kept[1], boxes[2])
    assert merge_overlapping(boxes[:0], np.zeros(0))[0].shape == (0, 8, 2)


@pytest.mark.parametrize("reach", DETECTORS)
def test_eyes_are_where_they_are(reach: str, astronaut: np.ndarray) -> None:
    wide = np.full((360, 700, 3), 90, np.uint8)
    wide[:, 200:560] = astronaut[:360, 60:420]
    found = BoxDetector(reach)(wide, 0.6)
    best = found[0]
    assert np.linalg.norm(best.points[0] - (204 + 140, 101)) < 8
    assert np.linalg.norm(best.points[1] - (247 + 140, 104)) < 8
    assert abs(best.roll) < 0.25 and best.score > 0.6


def test_the_roll_is_that_of_the_image(astronaut: np.ndarray) -> None:
    matrix = cv2.getRotationMatrix2D((225.0, 110.0), -30, 1.0)  # clockwise
    turned = cv2.warpAffine(astronaut, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    found = max(BoxDetector("far")(turned), key=lambda f: f.score)
    assert 10 < np.degrees(found.roll) < 45
