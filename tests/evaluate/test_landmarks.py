"""Landmarks of single images: a photo is itself, grey is lost, a real image must show a face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headcast.errors import HeadcastError
from headcast.evaluate.compare import Comparer
from headcast.evaluate.landmarks import LARGE_TURN, apparent_turn
from headcast.evaluate.networks import EvaluationNetworks, dlib_identity
from headcast.image import load_image


def test_a_photo_is_itself_and_grey_is_lost(demo_photo: Path) -> None:
    pytest.importorskip("dlib", reason="dlib comes with the extra metrics")
    identity = dlib_identity([])
    assert identity is not None
    rgb = load_image(demo_photo).rgb
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    with Comparer(EvaluationNetworks((identity,)), {"face": ""}) as comparer:
        truth = comparer.truth(rgb, "demo", np.ones(rgb.shape[:2], np.float32))
        same, gone = comparer.compare(truth, opaque), comparer.compare(truth, opaque * 0)
        small = comparer.compare(truth, opaque[1:])
        with pytest.raises(HeadcastError, match="no face"):
            comparer.landmarks.real_points(rgb * 0, "black")
    assert same["akd"] == 0 and same["identity"] == 0 and same["face_psnr"] > 100 and same["holes"] == 0
    assert gone["lost"] == 1 and gone["akd"] == comparer.lost["akd"] and gone["holes"] == 1
    assert gone["face_psnr"] < 25 and gone["identity"] == comparer.lost["identity"]
    assert small["lost"] == 1 and small["face_psnr"] == 0  # another size is no image of this view


def test_the_turn_of_a_face() -> None:
    points = np.zeros((478, 2), np.float32)
    points[468], points[473], points[1] = (40, 50), (60, 50), (50, 70)
    assert apparent_turn(points) == 0
    points[1] = (56, 70)
    assert apparent_turn(points) == pytest.approx(0.3) and apparent_turn(points) > LARGE_TURN
