"""Lengths relative to the face, and masks drawn by them."""

from __future__ import annotations

import numpy as np
import pytest
from tests.observe.heads import truth
from tests.texture.test_registration import photograph

from headcast.observe.outlines import (
    CHIN,
    FOREHEAD,
    eroded,
    height_above_chin,
    observed_face_height,
    pixel_grid,
)
from headcast.observe.types import Observation


@pytest.fixture(scope="module")
def observation() -> Observation:
    return photograph(truth(1, 0.0, {}))


def test_the_chin_is_at_0_and_the_forehead_at_1(observation: Observation) -> None:
    points = observation.detection.points
    np.testing.assert_allclose(height_above_chin(observation, points[[CHIN, FOREHEAD]]), [0, 1], atol=1e-6)
    length = np.linalg.norm(points[FOREHEAD] - points[CHIN])
    assert observed_face_height(observation) == pytest.approx(float(length))


def test_heights_of_an_image_fall_from_its_top(observation: Observation) -> None:
    grid = pixel_grid(observation)
    assert grid.shape == (*observation.image.shape[:2], 2)
    np.testing.assert_array_equal(grid[0, 0], [0.5, 0.5])
    assert (np.diff(height_above_chin(observation, grid), axis=0) < 0).all()


def test_a_mask_shrinks_by_a_share_of_the_face(observation: Observation) -> None:
    mask = np.zeros(observation.image.shape[:2], np.float32)
    mask[100:300, 100:300] = 1
    share = 0.05
    radius = round(share * observed_face_height(observation))
    rows = np.flatnonzero(eroded(observation, mask, share)[200] > 0.5)
    assert (rows[0], rows[-1]) == (100 + radius, 299 - radius)
    assert eroded(observation, mask, 0.0).sum() < mask.sum()
