"""Reading expressions from landmarks and scores, and what a fit gains by it on held-out synthetic heads.

``held_out_expressions.npz``: detections of six heads of the test split, a neutral frame and five mixed
expressions each, with their true weights (``tools/learn_expressions.py show``).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.observe.heads import SIZE, detection_of, head, truth

from headcast.crops.square import box_of
from headcast.head.names import EXPRESSION_INDEX
from headcast.head.params import gaze_from_eye_look
from headcast.observe.expression_reader import ExpressionReader, frontal_features
from headcast.observe.fit import Fitter
from headcast.observe.landmark_points import unmirror
from headcast.observe.personal import personal_landmarks, with_photo_rest
from headcast.observe.prior import FREE, expression_bounds
from headcast.observe.track import track_detections
from headcast.observe.types import Detection

HELD_OUT = Path(__file__).parent / "held_out_expressions.npz"
PIXELS = 288
FITTED = 18  # images that are fitted: three people
SQUINTS = [EXPRESSION_INDEX[f"eyeSquint{side}"] for side in ("Left", "Right")]


@cache
def held_out() -> tuple[list[Detection], np.ndarray, np.ndarray]:
    """Detections, true weights and people of the stored heads."""
    with np.load(HELD_OUT) as file:
        stored = {k: file[k] for k in file.files}
    found = [
        Detection(points=p, box=box_of(p), score=1.0, blendshapes=s)
        for p, s in zip(stored["detected"].astype(np.float32), stored["scores"], strict=True)
    ]
    return found, stored["expression"].astype(np.float64), stored["person"]


def scored(detection: Detection) -> Detection:
    """A detection with the network's scores."""
    from headcast.observe.landmarks import FaceDetector

    with FaceDetector() as detector:
        return replace(detection, blendshapes=detector.blendshape_scores(detection.points))


def read(weights: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Correlation of estimates with the truth over all weights, and mean estimate where the truth is 0."""
    w, t = weights[:, FREE].ravel(), true[:, FREE].ravel()
    return float(np.corrcoef(w, t)[0, 1]), float(w[t < 1e-6].mean())


def test_features_know_neither_place_nor_size_nor_roll() -> None:
    detection = held_out()[0][3]
    assert detection.blendshapes is not None
    reader = ExpressionReader.bundled()
    turn = 2.5 * np.array([[0.8, -0.6], [0.6, 0.8]])
    moved = detection.points @ turn.T + [40, -300]
    a, b = (frontal_features(p, detection.blendshapes, reader.reference) for p in (detection.points, moved))
    assert np.abs(a - b).max() < 1e-3


def test_mirrored_faces_are_read_alike() -> None:
    detection = next(d for d, e in zip(*held_out()[:2], strict=True) if e[EXPRESSION_INDEX["jawLeft"]] > 0.3)
    mirrored = replace(detection, points=unmirror(detection.points, PIXELS).astype(np.float32))
    scores = detection.blendshapes
    assert scores is not None
    from headcast.head.names import EXPRESSIONS, mirrored_name

    mirrored = replace(
        mirrored, blendshapes=scores[[EXPRESSION_INDEX[mirrored_name(n)] for n in EXPRESSIONS]]
    )
    reader = ExpressionReader.bundled()
    a, b = reader.expect(detection), reader.expect(mirrored)
    assert a is not None and b is not None
    jaw = [e.weights[[EXPRESSION_INDEX[f"jaw{s}"] for s in ("Left", "Right")]] for e in (a, b)]
    assert np.allclose(jaw[0], jaw[1][::-1], atol=1e-3)
    assert np.allclose(a.gaze, b.gaze * [-1, 1], atol=1e-3)


def test_estimates_stay_within_bounds_for_any_scores() -> None:
    rng = np.random.default_rng(0)
    for d in held_out()[0][:6]:
        wild = replace(d, blendshapes=rng.random(52) ** 4)
        found = ExpressionReader.bundled().expect(wild)
        assert found is not None
        assert (found.weights >= 0).all() and (found.weights <= expression_bounds()).all()


def test_squint_is_read_only_where_the_person_is_known() -> None:
    found, _, people = held_out()
    reader = ExpressionReader.bundled()
    rest = reader.rest([d for d, p in zip(found, people, strict=True) if p == people[0]])
    alone, known = (reader.expect(found[2], r) for r in (None, rest))
    assert alone is not None and known is not None and rest is not None
    assert (alone.weights[SQUINTS] == 0).all()
    assert reader.rest(found[:1]) is None


def test_without_scores_nothing_is_expected() -> None:
    detection = detection_of(truth(3))[0]
    assert ExpressionReader.bundled().expect(detection) is None


@pytest.fixture(scope="module")
def fits() -> dict[str, np.ndarray]:
    """Weights fitted to the held-out heads: with the network, with its last layer zeroed, without scores."""
    found, _, people = held_out()
    found, people = found[:FITTED], people[:FITTED]
    bundled = ExpressionReader.bundled()
    zeroed = replace(
        bundled, weight3=bundled.weight3 * 0, bias3=bundled.bias3 * 0, threshold=bundled.threshold * 0
    )
    bare = [replace(d, blendshapes=None) for d in found]
    out = {}
    for name, reader, photos in (
        ("reader", bundled, found),
        ("zeroed", zeroed, found),
        ("landmarks", bundled, bare),
    ):
        fitter, rows = Fitter(head(), reader=reader), []
        for p in np.unique(people):
            own = [d for d, q in zip(photos, people, strict=True) if q == p]
            rest = reader.rest(own) if own[0].blendshapes is not None else None
            rows += [
                f.frame.expression for f in fitter.fit_photos(own, [(PIXELS, PIXELS)] * len(own), rest=rest)
            ]
        out[name] = np.array(rows)
    return out


def test_zeroing_the_learned_part_makes_held_out_heads_worse(fits: dict[str, np.ndarray]) -> None:
    true = held_out()[1][:FITTED]
    r, false = read(fits["reader"], true)
    assert r > read(fits["zeroed"], true)[0] + 0.05
    assert r > read(fits["landmarks"], true)[0] + 0.05
    assert false < 0.85 * read(fits["landmarks"], true)[1]


def test_a_still_face_stays_still() -> None:
    """A resting face with a detector's noise: the weights and the gaze hardly move."""
    still = detection_of(truth(6, 5.0, {"mouthSmileLeft": 0.3, "mouthSmileRight": 0.3}))[0]
    rng = np.random.default_rng(2)
    frames: list[Detection | None] = []
    for _ in range(12):
        noisy = still.points + rng.normal(0, 0.3, still.points.shape).astype(np.float32)
        frames.append(scored(replace(still, points=noisy)))
    track = track_detections(frames, (SIZE, SIZE), 25.0, head())
    e = track.params.expression.numpy()
    assert e.std(0).max() < 0.06
    gaze = gaze_from_eye_look(track.params.expression).numpy()
    assert np.degrees(gaze.std(0)).max() < 0.8


def test_a_single_wild_frame_is_rejected() -> None:
    """One frame whose scores are another face's changes no weight; eyelids excepted, which do jump."""
    still = scored(detection_of(truth(6, 5.0, {"mouthSmileLeft": 0.3, "mouthSmileRight": 0.3}))[0])
    other = scored(detection_of(truth(6, 5.0, {"jawOpen": 0.9, "mouthFunnel": 0.6}))[0])
    frames: list[Detection | None] = [still] * 11
    frames[5] = replace(still, points=other.points, blendshapes=other.blendshapes)
    track = track_detections(frames, (SIZE, SIZE), 25.0, head())
    jaw = track.params.expression[:, EXPRESSION_INDEX["jawOpen"]].numpy()
    assert abs(jaw[5] - jaw[2]) < 0.1


def test_the_photo_itself_shows_what_was_fitted_to_it() -> None:
    photo = scored(detection_of(truth(4, 3.0, {"browDownLeft": 0.4, "browDownRight": 0.4}))[0])
    fitter = Fitter(head())
    fit = fitter.fit_photo(photo, SIZE, SIZE)
    personal = personal_landmarks(head(), fit.params, fit.camera, photo, fitter.model)
    personal = with_photo_rest(personal, head(), fit.params, fit.camera)
    expected = fitter.reader.expect(photo, personal.rest)
    assert expected is not None
    assert np.abs(expected.weights - fit.frame.expression)[FREE].max() < 0.15
