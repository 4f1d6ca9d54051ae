"""The person's matte and the filters under it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headcast.observe.filters import blur, box, guided, local_colour, resized
from headcast.observe.landmarks import FaceDetector
from headcast.observe.masks import person_matte
from headcast.observe.matte import keep_connected, refine_matte

cv2 = pytest.importorskip("cv2")


def test_astronaut_stands_before_flag_and_shuttle() -> None:
    x = pytest.importorskip("skimage.data").astronaut()
    with FaceDetector() as detector:
        d = detector.detect(x, refine=False)[0]
    m = person_matte(x, d)
    assert m.shape == x.shape[:2]
    assert m.dtype == np.float32
    assert m.min() >= 0
    assert m.max() <= 1
    assert m[70:180, 190:260].mean() > 0.97  # the face
    assert m[60:200, 0:90].mean() < 0.05  # the flag
    assert m[40:180, 350:480].mean() < 0.05  # the shuttle
    double = cv2.resize(x, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    big = person_matte(double, type(d)(d.points * 3, tuple(v * 3 for v in d.box), d.score))  # type: ignore[arg-type]
    assert big.shape == (1536, 1536)
    assert np.abs(resized(big, 512, 512) - m).mean() < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_refining_moves_the_edge_to_the_colours(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:200, 0:200]
    r = np.hypot(x - 100, y - 100)
    truth = np.clip(60.5 - r + 3 * np.sin(8 * np.arctan2(y - 100, x - 100)), 0, 1).astype(np.float32)
    front, back = rng.uniform(0, 255, (2, 3))
    while np.linalg.norm(front - back) < 120:
        front, back = rng.uniform(0, 255, (2, 3))
    image = front * truth[..., None] + back * (1 - truth[..., None]) + rng.normal(0, 2, (200, 200, 3))
    coarse = blur((np.hypot(x - 102, y - 99) < 62).astype(np.float32), 3)
    fine = refine_matte(image.clip(0, 255).astype(np.uint8), coarse, 150.0)
    assert np.abs(fine - truth).mean() < 0.35 * np.abs(coarse - truth).mean()


def test_other_people_apart_are_dropped() -> None:
    m = np.zeros((100, 200), np.float32)
    m[20:90, 20:80] = 1
    m[30:90, 140:190] = 1
    out = keep_connected(m, (30, 30, 70, 70))
    assert out[50, 50] == 1
    assert out[:, 140:].max() == 0
    assert np.array_equal(keep_connected(m * 0, (30, 30, 70, 70)), m * 0)


@settings(max_examples=10)
@given(st.integers(1, 6), st.integers(0, 10))
def test_guided_filter_keeps_linear_functions_of_the_guide(radius: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    guide = rng.random((30, 40, 3))
    x = guide @ np.array([0.3, -0.2, 0.5]) + 0.1
    assert np.abs(guided(guide, x, radius, 1e-9) - x).max() < 1e-4
    both = guided(guide, np.stack([x, 1 - x], -1), radius, 1e-3)
    assert np.abs(both.sum(-1) - 1).max() < 1e-6
    assert np.abs(both[..., 0] - guided(guide, x, radius, 1e-3)).max() < 1e-9


def test_guided_filter_without_edges_is_a_mean() -> None:
    x = np.random.default_rng(0).random((20, 20))
    flat = np.full((20, 20, 3), 0.5)
    assert guided(flat, x, 2, 1e-3) == pytest.approx(box(box(x, 2), 2), abs=1e-9)


def test_local_colour_is_the_mean_of_the_chosen() -> None:
    image = np.zeros((30, 30, 3), np.float32)
    image[:, :15] = (0.2, 0.4, 0.6)
    mean, weight = local_colour(image, (np.arange(30) < 15)[None].repeat(30, 0).astype(np.float32), 3.0)
    assert mean[15, 16] == pytest.approx([0.2, 0.4, 0.6], abs=1e-4)
    assert weight[15, 29] < 0.01
