"""Tracking a synthetic clip, and smoothing without lag."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.observe.heads import SIZE, detection_of, fitter, head, truth

from headcast.errors import HeadcastError
from headcast.head.names import EXPRESSION_INDEX
from headcast.head.params import gaze_from_eye_look
from headcast.observe.fit import Fitter
from headcast.observe.personal import personal_landmarks, personal_model
from headcast.observe.smooth import noise_of, reject_spikes, smooth_curves, whittaker
from headcast.observe.track import Track, track_detections
from headcast.observe.types import Detection

FRAMES = 36


@pytest.fixture(scope="module")
def clip() -> tuple[list[Detection | None], np.ndarray, np.ndarray]:
    """A turning head that opens its mouth and blinks once, with detector noise; the truth of jaw and yaw."""
    found: list[Detection | None] = []
    jaw = 0.4 + 0.4 * np.sin(np.arange(FRAMES) / 5)
    yaw = 12 * np.sin(np.arange(FRAMES) / 9)
    for t in range(FRAMES):
        blink = 0.9 if t in (17, 18, 19) else 0.0
        p = truth(2, yaw[t], {"jawOpen": float(jaw[t]), "eyeBlinkLeft": blink, "eyeBlinkRight": blink})
        found.append(detection_of(p, noise=0.4, seed=t)[0])
    found[8] = None
    return found, jaw, yaw


@pytest.fixture(scope="module")
def track(clip: tuple) -> Track:
    """Its track."""
    return track_detections(clip[0], (SIZE, SIZE), 25.0, head(), fitter=fitter())


def test_follows_jaw_and_pose(clip: tuple, track: Track) -> None:
    _, jaw, yaw = clip
    got = track.params.expression[:, EXPRESSION_INDEX["jawOpen"]].numpy()
    assert np.abs(got - jaw).mean() < 0.12
    assert np.corrcoef(got, jaw)[0, 1] > 0.97
    turned = np.degrees(track.params.rotation[:, 1].numpy())
    assert np.abs(turned - yaw).mean() < 1.5
    assert np.nanmedian(track.errors) < 1.0


def test_lost_frame_is_bridged(track: Track) -> None:
    assert len(track) == FRAMES
    assert track.detections[8] is None
    assert np.isnan(track.errors[8])
    assert torch.isfinite(track.params.translation).all()
    assert "lost" in track.notes[0]


def test_blink_is_kept_on_its_frames(track: Track) -> None:
    blink = track.params.expression[:, EXPRESSION_INDEX["eyeBlinkLeft"]].numpy()
    assert blink[18] > 0.65
    assert blink[14] < 0.3
    assert blink[22] < 0.3


def test_same_person_is_recognised_and_another_is_not(clip: tuple) -> None:
    found, _, _ = clip
    for seed, same in ((2, True), (31, False)):
        detection, _ = detection_of(truth(seed, 0.0, {"jawOpen": 0.2}))
        fit = fitter().fit_photo(detection, SIZE, SIZE)
        personal = personal_landmarks(head(), fit.params, fit.camera, detection, fitter().model)
        got = track_detections(
            found[:12],
            (SIZE, SIZE),
            25.0,
            head(),
            identity=fit.params.identity,
            personal=personal,
            fitter=fitter(),
        )
        assert got.same_person == same


def test_clip_without_a_face_is_refused() -> None:
    with pytest.raises(HeadcastError, match="no face"):
        track_detections([None] * 5, (SIZE, SIZE), 25.0, head(), "talk.mp4", fitter=fitter())


def test_personal_points_lie_under_the_detections() -> None:
    detection, _ = detection_of(truth(2, 5.0), noise=1.0, seed=3)
    fit = fitter().fit_photo(detection, SIZE, SIZE)
    personal = personal_landmarks(head(), fit.params, fit.camera, detection, fitter().model)
    again = Fitter(head(), personal_model(head(), fitter().model, personal)).fit_photos(
        [detection], [(SIZE, SIZE)], identity=fit.shared.identity
    )[0]
    assert again.error < 0.5 * fit.error


@given(st.integers(0, 1000), st.floats(0.1, 50.0))
@settings(max_examples=25, deadline=None)
def test_whittaker_solves_its_equations(seed: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(12, 2))
    penalty = strength * rng.random((10, 2))
    x = whittaker(y, penalty)
    D = np.diff(np.eye(12), 2, axis=0)
    for c in range(2):
        A = np.eye(12) + D.T @ np.diag(penalty[:, c]) @ D
        assert np.allclose(A @ x[:, c], y[:, c], atol=1e-8)


def test_smoothing_has_no_lag_and_keeps_a_blink() -> None:
    t = np.arange(120)
    wave = 0.3 * np.sin(t / 12)
    blink = np.exp(-(((t - 60) / 1.6) ** 2))
    rng = np.random.default_rng(0)
    clean = np.stack([wave, blink], 1)
    noisy = clean + rng.normal(0, 0.02, clean.shape)
    out = smooth_curves(noisy)
    assert out[60, 1] > 0.93
    assert np.abs(out[:, 0] - wave).mean() < 0.7 * np.abs(noisy[:, 0] - wave).mean()
    lags = [np.corrcoef(np.roll(wave, k)[10:-10], out[10:-10, 0])[0, 1] for k in range(-4, 5)]
    assert int(np.argmax(lags)) == 4
    assert int(out[:, 1].argmax()) == 60


def test_noise_is_estimated() -> None:
    rng = np.random.default_rng(1)
    curve = np.sin(np.arange(500) / 30)[:, None] + rng.normal(0, 0.05, (500, 1))
    assert 0.04 < noise_of(curve)[0] < 0.06


def test_short_clips_are_left_alone() -> None:
    y = np.random.default_rng(0).normal(size=(3, 2))
    assert np.array_equal(smooth_curves(y), y)


def test_noise_alone_is_smoothed_to_small_steps() -> None:
    y = 0.5 + np.random.default_rng(2).normal(0, 0.08, (120, 30))
    out = smooth_curves(y)
    assert np.abs(np.diff(y, axis=0)).max() > 0.3
    assert np.abs(np.diff(out, axis=0)).max() < 0.1
    assert np.abs(out.mean(0) - y.mean(0)).max() < 0.01


def test_a_single_outlier_is_rejected_and_a_step_is_not() -> None:
    y = np.random.default_rng(3).normal(0, 0.01, (60, 2))
    y[30, 0] += 0.5
    y[30:, 1] += 0.5
    out = reject_spikes(y, noise_of(y))
    assert abs(out[30, 0]) < 0.03
    assert out[30, 1] > 0.45
    assert np.abs(np.delete(out, 30, 0) - np.delete(y, 30, 0)).max() < 0.05


def still_clip(seed: int) -> list[Detection | None]:
    """The same face in every frame, with detector noise; one frame is far off."""
    p = truth(4, 5.0, {"mouthSmileLeft": 0.4, "eyeSquintLeft": 0.3})
    found = [detection_of(p, noise=0.8, seed=seed + t)[0] for t in range(30)]
    found[15] = detection_of(p, noise=5.0, seed=seed)[0]
    return list(found)


def test_a_still_face_stands_still() -> None:
    params = track_detections(still_clip(0), (SIZE, SIZE), 30.0, head(), fitter=fitter()).params
    assert (params.expression[1:] - params.expression[:-1]).abs().max() < 0.1
    gaze = torch.rad2deg(gaze_from_eye_look(params.expression))
    assert (gaze[1:] - gaze[:-1]).abs().max() < 0.8


def test_a_saccade_of_both_eyes_stays_sharp() -> None:
    found: list[Detection | None] = []
    for t in range(30):
        gaze = torch.tensor([[0.0, 0.0], [0.0, 0.0]]) + (0.25 if t >= 15 else 0.0) * torch.tensor([1.0, 0.0])
        found.append(detection_of(truth(2, 0.0, {}).replace(gaze=gaze), noise=0.2, seed=t)[0])
    params = track_detections(found, (SIZE, SIZE), 30.0, head(), fitter=fitter()).params
    yaw = torch.rad2deg(gaze_from_eye_look(params.expression))[:, :, 0]
    step = yaw[16] - yaw[13]
    assert (step > 0.7 * (yaw[22:].mean(0) - yaw[:8].mean(0))).all()
    assert (step > 5).all()


def test_a_person_who_leaves_is_held_and_said() -> None:
    found = [detection_of(truth(2, 0.5 * t), noise=0.2, seed=t)[0] for t in range(20)]
    track = track_detections([*found, *[None] * 10], (SIZE, SIZE), 10.0, head(), fitter=fitter())
    assert torch.allclose(track.params.rotation[20], track.params.rotation[29], atol=1e-3)
    assert track.notes == (
        "the face is lost in 10 of 30 frames; from 1.90 s to the end its last pose is held",
    )
