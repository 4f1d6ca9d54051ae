"""Skin, hair, clothes and glasses of demo photos and of made-up pictures."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from headcast.head.model import HeadModel
from headcast.observe.colour_model import features, fit_mixture, monomials
from headcast.observe.face_frame import face_frame, polygon
from headcast.observe.glasses import glasses_mask, glasses_score
from headcast.observe.landmark_points import IRIS_LEFT, IRIS_RIGHT, LIPS_OUTER
from headcast.observe.landmarks import FaceDetector
from headcast.observe.masks import _haired_crown, segment
from headcast.observe.parts import tied_hair
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


def test_a_ponytail_is_hair_where_parser_and_colours_agree() -> None:
    _, d, _ = astronaut()
    frame = face_frame(d.points, 512, 512)
    down = frame.chin - frame.y
    place = (np.abs(down - 0.2) < 0.02) & (np.abs(frame.x - frame.ear_left) < 0.05)
    assert place.any()
    like, unlike = np.full((2, 512, 512), 0.5, np.float32), np.full((512, 512), 4, np.float32)
    sure, unsure = (np.full((512, 512), p, np.float32) for p in (0.98, 0.6))
    tied = tied_hair(frame, like[0], sure)
    assert tied[place].min() > 0.95
    assert tied[(down > 0.7) | (down < -0.5)].max() < 0.01
    assert max(tied_hair(frame, unlike, sure).max(), tied_hair(frame, like[0], unsure).max()) < 0.01


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


def test_mixture_tells_colours_apart() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal((60, 20, 20, 0), (5, 3, 3, 0.3), (2000, 4)).astype(np.float32)
    b = rng.normal((20, 2, 4, 1), (4, 2, 2, 0.3), (2000, 4)).astype(np.float32)
    skin, hair = fit_mixture(a, 2), fit_mixture(b, 2)
    ta, tb = monomials(a), monomials(b)
    assert (skin.log_density(ta) > hair.log_density(ta)).mean() > 0.99
    assert (hair.log_density(tb) > skin.log_density(tb)).mean() > 0.99
    again = fit_mixture(a, 2)
    assert np.array_equal(again.exponents, skin.exponents)
    one = fit_mixture(a, 1)
    cov = np.cov(a.T) + np.diag([7.0, 2.5, 2.5, 0.6]) ** 2
    d = a - a.mean(0)
    wanted = np.sqrt(np.einsum("ni,ij,nj->n", d, np.linalg.inv(cov), d))
    assert one.distance(ta) == pytest.approx(wanted, rel=0.05, abs=0.1)


def test_texture_is_higher_on_noise() -> None:
    rng = np.random.default_rng(0)
    x = np.full((120, 240, 3), 120, np.uint8)
    x[:, 120:] = rng.integers(60, 180, (120, 120, 1))
    f = features(x, 200.0)
    assert f[:, 150:, 3].mean() > f[:, :90, 3].mean() + 1


@pytest.mark.parametrize(
    ("colours", "parser", "believed"),
    [(0.9, 1.0, False), (0.1, 0.9, True), (0.1, 0.2, False), (0.5, 0.6, False), (0.0, 0.6, False)],
)
def test_the_parser_corrects_a_crown_that_looks_bare(colours: float, parser: float, believed: bool) -> None:
    head = HeadModel.load()
    points = head.landmarks(head.neutral).numpy()[:, :2] * [1, -1]
    points = (points - points.mean(0)) / np.ptp(points[:, 1]) * 100 + [120, 130]
    y, x = np.mgrid[:240, :240] + 0.5
    body = ((np.hypot(x - 120, y - 115) < 85) | ((abs(x - 120) < 40) & (y > 115))).astype(np.float32)
    frame = face_frame(points, 240, 240)
    outside = (frame.depth < -0.02) & (frame.y > frame.chin)

    def parts(hair: float, lower: float) -> np.ndarray:
        h = outside * hair
        return np.stack([1 - h - lower * (y > 200), h, lower * (y > 200)], -1).astype(np.float32)

    labelled, parsed = parts(colours, 0.2), parts(parser, 0.9)
    out = _haired_crown(frame, body, labelled, parsed)
    assert (out is labelled) == (not believed)
    if believed:
        assert out[45, 120, 1] > 0.85 > 0.2 > labelled[45, 120, 1]
        assert np.allclose(out[220:], labelled[220:], atol=1e-6)  # under the chin what the colours said stays
        assert np.allclose(out.sum(-1), 1, atol=1e-4)
