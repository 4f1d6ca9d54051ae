"""Squares of images by numpy and OpenCV, and boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headcast.crops.square import (
    Square,
    box_of,
    cut_square,
    face_size,
    overlap,
    pixel_square,
    shifted,
    square_around,
    squared,
)

CROP = 384
NUMBER = st.floats(-500, 500)


@settings(max_examples=20)
@given(
    st.floats(50, 350),
    st.floats(50, 250),
    st.floats(30, 1500),
    st.floats(-3, 3),
    st.booleans(),
    st.integers(0, 3),
)
def test_a_square_shows_what_its_map_says(
    x: float, y: float, side: float, angle: float, mirrored: bool, seed: int
) -> None:
    """Colour that is linear in place lets every crop pixel tell where it came from."""
    v, u = np.mgrid[0:300, 0:400] + 0.5
    picture = np.dstack([u / 400 * 255, v / 300 * 255, 0 * u]).astype(np.uint8)
    crop, A, t = Square(x=x, y=y, side=side, angle=angle, mirrored=mirrored).cut(picture, CROP)
    assert crop.shape == (CROP, CROP, 3)
    q = np.random.default_rng(seed).uniform(5, CROP - 5, (200, 2))
    p = (q - t) @ np.linalg.inv(A).T
    inside = (p[:, 0] > 5) & (p[:, 0] < 395) & (p[:, 1] > 5) & (p[:, 1] < 295)
    i = q[inside].astype(int)
    got = crop[i[:, 1], i[:, 0], :2].astype(float)
    wanted = p[inside] / (400, 300) * 255
    assert np.abs(got - wanted).max(initial=0) < 3 + 2 * side / CROP


def test_boxes() -> None:
    assert overlap((0, 0, 2, 2), (1, 1, 2, 2)) == pytest.approx(1)
    assert overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0
    x, (left, top) = squared(np.ones((10, 20, 3), np.uint8), 0.25)
    assert x.shape == (30, 30, 3)
    assert (left, top) == (5, 10)
    assert x.sum() == 600
    assert box_of(np.array([[3.0, 1, 9], [-2, 7, 9]])) == (-2, 1, 3, 7)
    assert shifted((1, 2, 3, 4), 10, 20) == (11, 22, 13, 24)
    assert face_size((0, 0, 4, 9)) == pytest.approx(6)


def test_squares_lie_around_boxes() -> None:
    found = square_around((10, 20, 50, 100), 1.5, dx=0.1, dy=-0.2, angle=0.3, mirrored=True)
    assert found == Square(x=30 + 8, y=60 - 16, side=120, angle=0.3, mirrored=True)


@given(NUMBER, NUMBER, st.floats(1, 300), st.floats(1, 300), st.floats(0.5, 3))
def test_squares_of_whole_pixels_lie_around_boxes(
    x: float, y: float, w: float, h: float, room: float
) -> None:
    left, top, side = pixel_square((x, y, x + w, y + h), room)
    assert side >= 2 and abs(side - max(w, h) * room) <= max(0.51, 2 - max(w, h) * room)
    assert abs(left + side / 2 - (x + w / 2)) <= 0.51 and abs(top + side / 2 - (y + h / 2)) <= 0.51
    _, higher, _ = pixel_square((x, y, x + w, y + h), room, rise=0.25)
    assert abs(top - higher - 0.25 * side) <= 1.01
    assert pixel_square((x, y, x + w, y + h), room, least=700)[2] >= 700


def test_boxes_may_be_arrays() -> None:
    box = np.array([10.5, 20, 50, 99.5], np.float32)
    assert pixel_square(box, 1.2) == pixel_square((10.5, 20.0, 50.0, 99.5), 1.2)


@given(st.integers(-40, 60), st.integers(-40, 60), st.integers(1, 70), st.booleans())
def test_cuts_are_padded_images(left: int, top: int, side: int, coloured: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (24, 31, 3) if coloured else (24, 31), dtype=np.uint8)
    far = 150
    pad = ((far, far), (far, far)) + ((0, 0),) * coloured
    part = (slice(far + top, far + top + side), slice(far + left, far + left + side))
    assert np.array_equal(cut_square(x, left, top, side), np.pad(x, pad, mode="edge")[part])
    filled = np.pad(x, pad, constant_values=128)[part]
    assert np.array_equal(cut_square(x, left, top, side, fill=128), filled)


def test_cuts_are_copies() -> None:
    x = np.zeros((8, 8))
    cut_square(x, 2, 2, 4)[:] = 1
    assert not x.any()
