"""The landmark fit finds again what made the landmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.observe.heads import SIZE, WEIGHTS, detection_of, fitter, head, truth, weight

from headcast.observe.boxstep import NormalEquations, box_step
from headcast.observe.fit import Fitter
from headcast.observe.landmark_model import INNER, LandmarkModel, expression_weights
from headcast.observe.landmark_points import MIRROR
from headcast.observe.prior import FREE, expression_bounds
from headcast.observe.solver import Frame, Shared, rotation_of, slid_basis


@pytest.mark.parametrize("yaw", [0.0, 10.0, -25.0])
def test_recovers_pose_and_expression(yaw: float) -> None:
    params = truth(3, yaw)
    detection, _ = detection_of(params)
    fit = fitter().fit_photo(detection, SIZE, SIZE)
    assert fit.error < 0.35
    turn = rotation_of(params.rotation.double().numpy()) @ fit.frame.rotation.T
    assert np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) < 2.0
    for name, value in WEIGHTS.items():
        assert abs(weight(fit.params, name) - value) < 0.3, name


def test_known_focal_gives_the_distance() -> None:
    params = truth(5)
    detection, _ = detection_of(params)
    lens = 2200.0 * 43.27 / (SIZE * np.sqrt(2))
    fit = fitter().fit_photo(detection, SIZE, SIZE, focal_35mm=lens)
    assert abs(float(fit.params.translation[2]) + 1.6) < 0.12


@pytest.mark.parametrize("yaw", [0.25, -0.25])
def test_gaze(yaw: float) -> None:
    side = "Left" if yaw > 0 else "Right"
    other = "Right" if yaw > 0 else "Left"
    amount = abs(yaw) / 0.52
    params = truth(1, 0.0, {f"eyeLookOut{side}": amount, f"eyeLookIn{other}": amount})
    fit = fitter().fit_photo(detection_of(params)[0], SIZE, SIZE)
    assert np.abs(fit.frame.gaze[:, 0] - yaw).max() < 0.1
    assert np.abs(fit.frame.gaze[:, 1]).max() < 0.1


@given(st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_box_holds_for_any_landmarks(seed: int) -> None:
    detection, _ = detection_of(truth(seed), noise=15.0, seed=seed)
    fit = fitter().fit_photo(detection, SIZE, SIZE)
    e = fit.frame.expression
    assert (e[FREE] >= -1e-9).all()
    assert (e <= expression_bounds() + 1e-9).all()
    assert np.isfinite(fit.error)
    assert np.abs(fit.shared.identity).max() <= 3.5 + 1e-9


def test_fit_and_head_model_agree() -> None:
    """The solver's own arithmetic and the head model with a camera put the landmarks at the same pixels."""
    fit = fitter().fit_photo(detection_of(truth(7, 6.0))[0], SIZE, SIZE)
    model = fitter().model
    with torch.no_grad():
        corners = head()(fit.params)[head().faces[torch.from_numpy(model.triangle)]]
        uv = fit.camera.project((corners * torch.from_numpy(model.bary).float()[..., None]).sum(1)).numpy()
    assert np.abs(uv - fit.points).max() < 0.05


def test_several_photos_share_an_identity() -> None:
    people = [truth(9, yaw) for yaw in (-20.0, 0.0, 20.0)]
    found = [detection_of(p, noise=0.3, seed=i)[0] for i, p in enumerate(people)]
    fits = fitter().fit_photos(found, [(SIZE, SIZE)] * 3)
    assert all(torch.equal(f.params.identity, fits[0].params.identity) for f in fits)
    assert max(f.error for f in fits) < 0.6
    yaws = [np.degrees(np.arctan2(f.frame.rotation[0, 2], f.frame.rotation[2, 2])) for f in fits]
    assert np.allclose(yaws, [-20, 0, 20], atol=2.5)


def test_several_photos_tell_the_distance() -> None:
    """What is usual counts once, not once a photo: a head that turns shows how near it is."""
    nearer = torch.tensor([0.0, 0.0, 0.55])
    people = [truth(4, yaw) for yaw in (-40.0, -20.0, 0.0, 20.0, 40.0)]
    near = [p.replace(translation=p.translation + nearer) for p in people]  # at 1.05 m instead of 1.6
    found = [detection_of(p, noise=0.5, seed=i)[0] for i, p in enumerate(near)]
    usual = fitter().prior
    often = Fitter(
        head(), fitter().model, replace(usual, log_distance_sigma=usual.log_distance_sigma / 5**0.5)
    )
    sizes = [(SIZE, SIZE)] * 5
    once, each = (-float(f.fit_photos(found, sizes)[2].params.translation[2]) for f in (fitter(), often))
    assert abs(np.log(once / 1.05)) < 0.6 * abs(np.log(each / 1.05))


def test_photos_of_different_sizes() -> None:
    found = [detection_of(truth(9, yaw))[0] for yaw in (0.0, 15.0)]
    larger = replace(found[1], points=found[1].points * 2)
    fits = fitter().fit_photos([found[0], larger], [(SIZE, SIZE), (2 * SIZE, 2 * SIZE)])
    assert torch.equal(fits[0].params.identity, fits[1].params.identity)
    assert max(f.error for f in fits) < 1.0


def test_held_out_points_are_predicted() -> None:
    hold = np.arange(478) % 5 == 2
    detection, _ = detection_of(truth(4, 8.0))
    fit = fitter().fit_photo(detection, SIZE, SIZE, use=(~hold).astype(float))
    off = np.linalg.norm(fit.points - detection.points, axis=1)[np.intersect1d(np.flatnonzero(hold), INNER)]
    assert np.median(off) < 1.0


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_box_step_solves_the_constrained_quadratic(seed: int) -> None:
    """Never worse than the clipped plain step, within the box, and exact when nothing binds."""
    rng = np.random.default_rng(seed)
    s, f, p = 3, 2, 4
    A = rng.normal(size=(40, s + f * p))
    H, g = A.T @ A, rng.normal(size=s + f * p) * 5
    blocks = [slice(s + i * p, s + (i + 1) * p) for i in range(f)]
    for a in blocks:
        for b in blocks:
            if a != b:
                H[a, b] = 0
    H += 10 * np.eye(len(H))
    width = rng.uniform(0.01, 1.0) if seed % 3 else 100.0
    low, high = -width * rng.random(s + f * p), width * rng.random(s + f * p)
    n = NormalEquations(
        H_ss=H[:s, :s],
        g_s=g[:s],
        H_sf=np.stack([H[:s, b] for b in blocks]),
        H_ff=np.stack([H[b, b] for b in blocks]),
        g_f=np.stack([g[b] for b in blocks]),
        low_s=low[:s],
        high_s=high[:s],
        low_f=np.stack([low[b] for b in blocks]),
        high_f=np.stack([high[b] for b in blocks]),
    )
    a, b = box_step(n)
    x = np.concatenate([a, b.reshape(-1)])
    assert (x >= low - 1e-9).all()
    assert (x <= high + 1e-9).all()
    plain = -np.linalg.solve(H, g)

    def value(y: np.ndarray) -> float:
        return float(0.5 * y @ H @ y + g @ y)

    assert value(x) <= value(plain.clip(low, high)) + 0.05 * abs(value(plain))
    if width == 100.0 and (plain > low).all() and (plain < high).all():
        assert np.allclose(x, plain, atol=1e-6)


def test_expression_jacobian_matches_differences() -> None:
    rng = np.random.default_rng(0)
    e, gaze = rng.uniform(0.1, 0.9, 52), rng.uniform(0.05, 0.2, (2, 2))
    _, by_e, _ = expression_weights(e, gaze, FREE)
    for k in (0, 5, 20):
        h = np.zeros(52)
        h[FREE[k]] = 1e-5
        up, down = (expression_weights(e + d, gaze, FREE[:0])[0] for d in (h, -h))
        assert np.allclose((up - down) / 2e-5, by_e[:, k], atol=1e-3)


def test_far_contour_slides_only_when_turned() -> None:
    model = fitter().model
    shared = Shared(np.zeros(head().identities), float(np.log(2200.0)))
    for yaw, moved in ((5.0, False), (30.0, True)):
        frame = Frame(
            rotation=rotation_of(np.array([0, np.radians(yaw), 0])),
            offset=np.zeros(2),
            log_k=-np.log(1.6),
            gaze=np.zeros((2, 2)),
            expression=np.zeros(52),
        )
        basis = slid_basis(model, shared, frame, 90.0)
        assert (not np.allclose(basis.neutral, model.points.neutral)) == moved


def test_points_wander_with_the_detector() -> None:
    model = LandmarkModel.of(head())
    rest, left, right = (model.turned(yaw).neutral for yaw in (0.0, 25.0, -25.0))
    assert np.array_equal(rest, model.points.neutral)
    flip = np.array([-1.0, 1.0, 1.0])
    assert np.allclose(left - rest, (right - rest)[MIRROR] * flip)
    assert 0.0005 < np.abs(left - rest).max() < 0.008
    params = truth(5, 25.0)
    moved = torch.from_numpy(model.turned(25.0).neutral - rest).float()
    detection = detection_of(params, wander=moved)[0]
    with_drift, without = (Fitter(head(), m) for m in (model, fitter().model))
    errors = [f.fit_photo(detection, SIZE, SIZE).error for f in (with_drift, without)]
    assert errors[0] < 0.35 < errors[1]


def test_real_photo(demo_photo: Path) -> None:
    from headcast.image import load_image
    from headcast.observe.landmarks import FaceDetector

    rgb = load_image(demo_photo).rgb
    with FaceDetector() as detector:
        detection = detector.detect(rgb)[0]
    fit = fitter().fit_photo(detection, rgb.shape[1], rgb.shape[0])
    assert fit.error < 1.5
    assert 0.8 < -float(fit.params.translation[2]) < 2.6
