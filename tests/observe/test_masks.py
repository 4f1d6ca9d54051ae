"""Skin, hair, clothes and glasses of demo photos and of made-up pictures."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from headcast.observe.face_frame import face_frame, polygon
from headcast.observe.glasses import glasses_mask, glasses_score
from headcast.observe.landmark_points import IRIS_LEFT, IRIS_RIGHT, LIPS_OUTER
from headcast.observe.landmarks import FaceDetector
from headcast.observe.masks import segment
from headcast.observe.types import Detection, Masks

cv2 = pytest.importorskip("cv2")


@cache
def detector() -> FaceDetector:
    """One detector for all tests."""
    return FaceDetector()


@cache
def astronaut() -> tuple[np.ndarray, Detection, Masks]:
    """A portrait without glasses, hair behind the shoulders, in a collared suit; what is found in it."""
    x = pytest.importorskip("skimage.data").astronaut()
    d = detector().detect(x)[0]
    return x, d, segment(x, d)


def test_parts_add_up_to_the_person() -> None:
    x, _, m = astronaut()
    for part in (m.person, m.skin, m.hair, m.clothes, m.glasses):
        assert part.shape == x.shape[:2]
        assert part.min() >= 0
        assert part.max() <= 1
    assert np.abs(m.skin + m.hair + m.clothes - m.person).max() < 1e-3


def test_parts_are_where_they_belong() -> None:
    x, d, m = astronaut()
    middle = d.points[[50, 280, 4, 152, 205, 425]].round().astype(int)
    assert m.skin[middle[:, 1], middle[:, 0]].min() > 0.8
    top = d.points[10].round().astype(int)
    assert m.hair[top[1] - 30 : top[1] - 15, top[0] - 20 : top[0] + 20].mean() > 0.8
    assert m.clothes[350:500, 150:300].mean() > 0.9
    assert m.glasses.max() == 0
    mouth = polygon(d.points[list(LIPS_OUTER)], *x.shape[:2]) > 0.9
    assert m.skin[mouth].mean() > 0.9


def test_painted_glasses_are_found() -> None:
    x, d, _ = astronaut()
    big = cv2.resize(x, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    p = d.points * 3
    e = float(np.linalg.norm(p[IRIS_LEFT] - p[IRIS_RIGHT]))
    worn = big.copy()
    rims = np.zeros(big.shape[:2], np.uint8)
    for k in (IRIS_LEFT, IRIS_RIGHT):
        centre = (p[k] + (0, 0.08 * e)).round().astype(int)
        cv2.ellipse(rims, centre.tolist(), (round(0.42 * e), round(0.32 * e)), 0, 0, 360, 255, 6, cv2.LINE_AA)
    cv2.line(
        rims,
        *(
            ((p[k] * a + p[j] * (1 - a)).round().astype(int).tolist())
            for k, j, a in ((IRIS_LEFT, IRIS_RIGHT, 0.42), (IRIS_LEFT, IRIS_RIGHT, 0.58))
        ),
        255,
        6,
        cv2.LINE_AA,
    )
    worn[rims > 128] = (25, 20, 20)
    assert glasses_score(big, p) < 0 < glasses_score(worn, p)
    mask = glasses_mask(worn, p)
    assert mask[rims > 200].mean() > 0.6
    assert mask[: int(p[10, 1])].max() == 0


def test_glasses_on_the_evaluation_portraits(shared: Path) -> None:
    from headcast.image import load_image

    rows = list(csv.DictReader((shared / "data" / "groups.csv").open()))[:25]
    right = 0
    for row in rows:
        x = load_image(shared / "data" / "portraits" / f"{row['id']}.jpg").rgb
        found = detector().detect(x, refine=False)[0]
        right += (glasses_score(x, found.points) > 0) == (row["glasses"] == "yes")
    assert right >= len(rows) - 2


def test_face_frame() -> None:
    _, d, _ = astronaut()
    frame = face_frame(d.points, 512, 512)
    x, y = d.points[IRIS_LEFT].round().astype(int)
    assert frame.x[y, x] > 0.1
    assert abs(frame.y[y, x]) < 0.02
    assert frame.depth[y, x] > 0.05
    assert frame.depth[5, 5] < -0.5
    assert frame.chin < -0.4
    assert frame.top > 0.2
    assert frame.ear_right < 0 < frame.ear_left


def test_polygon_area() -> None:
    square = np.array([[10.0, 10], [30, 10], [30, 30], [10, 30]])
    assert polygon(square, 40, 40).sum() == pytest.approx(400, rel=0.15)
