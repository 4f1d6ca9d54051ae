"""Motions: resampling, presets that look like what they say, Live Link files both ways."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headcast.errors import HeadcastError
from headcast.head.params import HeadParams
from headcast.motion.clip import Motion
from headcast.motion.livelink import read_livelink, write_livelink
from headcast.motion.presets import EXPRESSION_ROUND, PRESETS, preset
from headcast.motion.visemes import VISEMES, speak


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_finite_bounded_and_smooth(name: str) -> None:
    motion = preset(name)
    assert motion.expression.min() >= 0 and motion.expression.max() <= 1
    assert torch.isfinite(motion.neck).all() and motion.neck.abs().max() < 0.5
    assert (motion.expression[1:] - motion.expression[:-1]).abs().max() < 0.7, "a jump"
    assert 4 < motion.seconds < 25


def test_speech_opens_and_closes_the_mouth_and_blinks() -> None:
    motion = preset("speech")
    jaw, blink = motion.curve("jawOpen"), motion.curve("eyeBlinkLeft")
    assert jaw.max() > 0.3 and (jaw < 0.06).float().mean() > 0.1
    closed = (blink[1:-1] > 0.9) & (blink[1:-1] >= blink[:-2]) & (blink[1:-1] > blink[2:])
    assert int(closed.sum()) >= 4
    assert motion.curve("mouthPress" + "Left").max() > 0.2, "lips meet at p, b, m"
    assert 6 <= motion.seconds <= 9


def test_expressions_are_named_and_start_from_rest() -> None:
    motion = preset("expressions")
    assert set(motion.labels) == set(EXPRESSION_ROUND) and len(EXPRESSION_ROUND) >= 12
    changes = [i for i in range(1, len(motion)) if motion.labels[i] != motion.labels[i - 1]]
    assert motion.expression[changes].abs().max() == 0
    assert motion.curve("jawOpen").max() == pytest.approx(0.8)


def test_turntable_visits_both_sides() -> None:
    yaw = preset("turntable").camera_yaw
    assert yaw is not None and yaw.max() > 59 and yaw.min() < -59 and yaw[0] == 0


def test_unknown_preset_is_refused_by_name() -> None:
    with pytest.raises(HeadcastError, match="did you mean 'speech'"):
        preset("speach")


def test_speak_closes_lips_even_in_fast_speech() -> None:
    curves, marks = speak("aa12 p6 [b] aa12", 60)
    middle = round(0.15 * 60)
    assert curves["jawOpen"][middle] < 0.15 < curves["jawOpen"][3]
    assert marks["b"] == pytest.approx(0.18)
    with pytest.raises(HeadcastError, match="unknown sound"):
        speak("xx9", 30)
    assert len(VISEMES) > 12


@given(st.floats(5, 120), st.integers(1, 50))
def test_resampling_keeps_duration_and_range(fps: float, frames: int) -> None:
    jaw = torch.linspace(0, 1, frames)
    motion = Motion.from_curves(30, frames, {"jawOpen": jaw})
    other = motion.resampled(fps)
    assert abs(other.seconds - motion.seconds) <= 1 / fps
    assert other.expression.min() >= 0 and other.expression.max() <= 1
    again = motion.resampled(30)
    assert torch.allclose(again.expression, motion.expression)


def test_looped_and_first() -> None:
    motion = preset("expressions")
    assert len(motion.looped(1000)) == 1000 == len(motion.looped(1000).labels)
    assert torch.equal(motion.looped(len(motion) + 3).expression[-3:], motion.expression[:3])
    assert len(motion.first(5)) == 5 and len(motion.first(10**6)) == len(motion)


def test_params_keep_identity_and_pose() -> None:
    rest = HeadParams.neutral(7).replace(identity=torch.randn(7), translation=torch.tensor([0.0, 0, -1]))
    params = preset("speech").params(rest)
    assert params.batch == (len(preset("speech")),)
    assert torch.equal(params[3].identity, rest.identity) and torch.equal(
        params[3].translation, rest.translation
    )


def test_livelink_round_trip(tmp_path: Path) -> None:
    motion = preset("speech")
    path = tmp_path / "take.csv"
    write_livelink(motion, path)
    again = read_livelink(path)
    assert again.fps == 30 and len(again) == len(motion)
    assert torch.allclose(again.expression, motion.expression, atol=1e-5)
    assert torch.allclose(again.neck, motion.neck, atol=1e-4)


BAD = {
    "unknown column": ("JawOpenn\n0.5\n", "unknown column 'JawOpenn'; did you mean 'JawOpen'"),
    "no number": ("JawOpen,JawLeft\n0.5,x\n", "line 2 has no number in column 2"),
    "short row": ("JawOpen,JawLeft\n0.5\n", "line 2 has no number in column 2"),
    "not finite": ("JawOpen\nnan\n", "out of range"),
    "no frame": ("JawOpen\n", "holds no frame"),
    "empty": ("", "the file is empty"),
    "twice": ("JawOpen,JawOpen\n0,0\n", "stands twice"),
    "no expression": ("HeadYaw\n0\n", "no expression column"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_csv_is_one_clear_line(case: str, tmp_path: Path) -> None:
    text, message = BAD[case]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(HeadcastError, match=message) as e:
        read_livelink(path)
    assert "\n" not in str(e.value) and "bad.csv" in str(e.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(b"\xff\xfe\x00\x81" * 9)
    with pytest.raises(HeadcastError, match="not a readable CSV"):
        read_livelink(path)
    with pytest.raises(HeadcastError, match="no such file"):
        read_livelink(tmp_path / "absent.csv")


def test_eye_angles_speak_where_eye_look_does_not(tmp_path: Path) -> None:
    path = tmp_path / "eyes.csv"
    path.write_text("JawOpen,LeftEyeYaw,LeftEyePitch,RightEyeYaw,RightEyePitch\n0,0.2,-0.1,0.2,-0.1\n")
    gaze = read_livelink(path).gaze
    assert gaze is not None and torch.allclose(gaze[0], torch.tensor([[0.2, 0.1], [0.2, 0.1]]))
