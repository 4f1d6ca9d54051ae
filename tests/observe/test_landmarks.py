"""Finding faces in the public-domain demo photos, whole, shrunk, moved, mirrored, covered."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headcast.errors import HeadcastError
from headcast.observe.landmark_points import (
    EYE_LEFT,
    EYE_RIGHT,
    IRIS_LEFT,
    IRIS_RIGHT,
    MIRROR,
    OVAL,
    face_width,
    face_yaw,
    iris_distance,
    unmirror,
)
from headcast.observe.landmarks import FaceDetector, pick_face
from headcast.observe.types import Detection

cv2 = pytest.importorskip("cv2")


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    """One detector for all tests."""
    with FaceDetector() as d:
        yield d


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """A portrait of 512 x 512 pixels whose face is 91 pixels wide (NASA, public domain)."""
    return pytest.importorskip("skimage.data").astronaut()


def shrunk(x: np.ndarray, k: float) -> np.ndarray:
    """A smaller copy."""
    return cv2.resize(x, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)


def fake(width: float, yaw: float = 0.0, x: float = 100.0) -> Detection:
    """A detection of a face of a given width."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.4, 0.4, (478, 2)) * width + (x, 200)
    points[234], points[454] = (x - width / 2, 200), (x + width / 2, 200)
    return Detection(
        points.astype(np.float32), (x - width / 2, 200 - width, x + width / 2, 200 + width), 1, yaw
    )


def test_mirror_map_is_an_involution() -> None:
    assert np.array_equal(MIRROR[MIRROR], np.arange(478))
    assert (np.arange(478) != MIRROR).sum() == 450
    assert MIRROR[IRIS_LEFT] == IRIS_RIGHT
    assert set(MIRROR[list(EYE_LEFT)]) == set(EYE_RIGHT)
    assert set(MIRROR[list(OVAL)]) == set(OVAL)


def test_face_is_found_where_it_is(detector: FaceDetector, astronaut: np.ndarray) -> None:
    (d,) = detector.detect(astronaut)
    assert np.linalg.norm(d.points[IRIS_LEFT] - (247, 104)) < 4
    assert np.linalg.norm(d.points[IRIS_RIGHT] - (204, 101)) < 4
    assert d.points[IRIS_LEFT, 0] > d.points[IRIS_RIGHT, 0]
    assert d.score > 0.7
    assert abs(d.yaw) < 10
    assert 80 < face_width(d.points, d.yaw) < 100


def test_averaging_lowers_noise_and_bias(detector: FaceDetector, astronaut: np.ndarray) -> None:
    part = astronaut[0:300, 60:400]

    def spread(refine: bool) -> tuple[float, float]:
        found = []
        for dx, dy in ((0, 0), (1, 2), (2, 1), (3, 3)):
            x = cv2.warpAffine(part, np.array([[1, 0, dx + 0.37], [0, 1, dy - 0.21]]), part.shape[1::-1])
            found.append(detector.detect(x, refine=refine)[0].points - (dx + 0.37, dy - 0.21))
        other = detector.detect(np.ascontiguousarray(part[:, ::-1]), refine=refine)[0].points
        bias = np.linalg.norm(unmirror(other, part.shape[1]) - found[0], axis=1).mean()
        return float(np.std(found, 0).mean()), float(bias)

    once, averaged = spread(False), spread(True)
    assert averaged[0] < once[0]
    assert averaged[1] < 0.01 * 40


@pytest.mark.parametrize("k", [0.5, 0.3, 0.2])
def test_small_faces_are_found(detector: FaceDetector, astronaut: np.ndarray, k: float) -> None:
    whole = detector.detect(astronaut)[0].points
    (d,) = detector.detect(shrunk(astronaut, k))
    assert np.linalg.norm(d.points / k - whole, axis=1).mean() < 0.06 * iris_distance(whole)


def test_small_face_in_a_large_picture(detector: FaceDetector, astronaut: np.ndarray) -> None:
    page = np.full((2400, 1800, 3), 90, np.uint8)
    page[1700:2212, 1200:1712] = astronaut
    (d,) = detector.detect(page)
    whole = detector.detect(astronaut)[0].points
    assert np.linalg.norm(d.points - (1200, 1700) - whole, axis=1).mean() < 1.0


def test_several_faces_are_sorted_and_named(detector: FaceDetector, astronaut: np.ndarray) -> None:
    page = np.full((600, 1000, 3), 120, np.uint8)
    page[:358, :358] = shrunk(astronaut, 0.7)
    page[:512, 480:992] = astronaut
    found = detector.detect(page)
    assert len(found) == 2
    assert found[0].box[0] > 480
    d, note = pick_face(found, None, "x.jpg")
    assert d is found[0]
    assert note is not None
    assert "--face 2" in note
    assert pick_face(found, 2, "x.jpg")[0] is found[1]
    with pytest.raises(HeadcastError, match="1 to 2"):
        pick_face(found, 3, "x.jpg")


@pytest.mark.parametrize("seed", range(3))
def test_no_face(detector: FaceDetector, seed: int) -> None:
    data = pytest.importorskip("skimage.data")
    x = (data.coffee(), np.zeros((80, 200, 3), np.uint8), data.cat())[seed]
    assert detector.detect(x) == []
    with pytest.raises(HeadcastError, match="no face found"):
        pick_face([], None, "x.jpg")


def test_a_face_too_small_is_refused_with_its_size(detector: FaceDetector, astronaut: np.ndarray) -> None:
    found = detector.detect(shrunk(astronaut, 0.4))
    with pytest.raises(HeadcastError, match=r"3[5-8] pixels wide"):
        pick_face(found, None, "x.jpg")


@given(st.floats(10, 300), st.floats(-89, 89))
def test_refusals(width: float, yaw: float) -> None:
    d = fake(width, yaw)
    seen = face_width(d.points, d.yaw)
    if seen < 48 or abs(yaw) > 60:
        with pytest.raises(HeadcastError) as e:
            pick_face([d], None, "x.jpg")
        assert "x.jpg" in str(e.value)
        assert "\n" not in str(e.value)
    else:
        assert pick_face([d], None, "x.jpg") == (d, None)


@given(st.floats(-80, 80), st.floats(-30, 30), st.floats(-40, 40), st.integers(0, 5))
def test_yaw_of_turned_points(yaw: float, pitch: float, roll: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.normal(0, 30, (478, 3)) * (1, 1, 0.5)
    left = np.arange(478) > MIRROR
    p[:, 0] = np.where(left, np.abs(p[:, 0]) + 1, -np.abs(p[:, 0]) - 1)
    p[MIRROR[left], :] = p[left] * (-1, 1, 1)
    p[454], p[234] = (70, 5, 40), (-70, 5, 40)
    a, b, c = np.radians([pitch, yaw, roll])
    X = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    Y = np.array([[np.cos(b), 0, -np.sin(b)], [0, 1, 0], [np.sin(b), 0, np.cos(b)]])
    Z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    assert face_yaw(p @ (Z @ Y @ X).T) == pytest.approx(yaw, abs=0.01)


def test_nothing_is_written_to_standard_error(
    capfd: pytest.CaptureFixture[str], astronaut: np.ndarray
) -> None:
    with FaceDetector() as d:
        d.detect(astronaut)
    assert capfd.readouterr().err == ""
