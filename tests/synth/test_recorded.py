"""People move as in recordings: windows in order, at the asked rate, mirrored as wholes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headcast.errors import HeadcastError
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS
from headcast.synth.config import SynthConfig
from headcast.synth.recorded import Recording, draw_recorded
from headcast.synth.rng import CounterRng
from headcast.synth.stream import make_batch

JAW, SMILE_L, SMILE_R = (EXPRESSION_INDEX[n] for n in ("jawOpen", "mouthSmileLeft", "mouthSmileRight"))


def ramp(frames: int, fps: float, name: str = "ramp") -> Recording:
    """jawOpen tells the time; the left of the mouth smiles while the head and the eyes turn to the left."""
    t = torch.linspace(0, 1, frames)
    expression = torch.zeros(frames, len(EXPRESSIONS))
    expression[:, JAW], expression[:, SMILE_L] = t, 0.4
    expression[:, EXPRESSION_INDEX["eyeLookUpLeft"]] = 1
    neck = torch.stack([0.1 * t, 0.2 + 0 * t, 0.3 + 0 * t], -1)
    gaze = torch.tensor([[0.2, 0.1], [0.15, 0.1]]).expand(frames, 2, 2)
    return Recording(name=name, fps=fps, expression=expression, neck=neck, gaze=gaze)


def rng(people: int) -> CounterRng:
    return CounterRng(
        np.stack([np.zeros(people), np.arange(people)], 1).astype(np.int64), 0, torch.device("cpu")
    )


def test_a_clip_is_a_window_in_order_at_the_asked_rate() -> None:
    motion = draw_recorded((ramp(101, 50.0),), rng(6), 10, 25.0, 1.0, clip=True)
    jaw = motion.expression[:, JAW].reshape(6, 10)
    assert torch.allclose(jaw.diff(dim=1), torch.full((6, 9), 0.02), atol=1e-5)  # two frames of a hundredth
    assert jaw[:, 0].unique().numel() == 6
    assert not motion.expression[:, EXPRESSION_INDEX["eyeLookUpLeft"]].any()  # gaze says it


def test_a_person_is_mirrored_as_a_whole() -> None:
    motion = draw_recorded((ramp(101, 50.0),), rng(16), 2, 25.0, 1.0, clip=True)
    left = motion.expression[:, SMILE_L] > 0
    assert 0 < int(left.sum()) < 32
    for side, smile, sign in ((left, SMILE_L, 1.0), (~left, SMILE_R, -1.0)):
        assert torch.allclose(motion.expression[side, smile], torch.tensor(0.4))
        assert torch.allclose(motion.neck[side, 1:], sign * torch.tensor([0.2, 0.3]))
        near = 0 if sign > 0 else 1  # the eye on the side to which the head turns
        assert torch.allclose(motion.gaze[side, near, 0], torch.tensor(sign * 0.2))
        assert torch.allclose(motion.gaze[side, :, 1], torch.tensor(0.1))


def test_moments_are_spread_and_short_recordings_turn_round() -> None:
    loose = draw_recorded((ramp(101, 50.0),), rng(1), 40, 25.0, 1.0, clip=False).expression[:, JAW]
    assert loose.min() < 0.15 and loose.max() > 0.85 and (loose.diff() < 0).any()
    short = draw_recorded((ramp(3, 25.0),), rng(1), 7, 25.0, 1.0, clip=True).expression[:, JAW]
    assert torch.allclose(short, torch.tensor([0, 0.5, 1, 0.5, 0, 0.5, 1]))
    still = draw_recorded((ramp(1, 25.0),), rng(1), 3, 25.0, 0.5, clip=True).expression[:, SMILE_L]
    assert torch.allclose(still + still.flip(0), still * 2)


def test_long_recordings_are_taken_more_often() -> None:
    long, short = ramp(301, 25.0, "long"), ramp(101, 25.0, "short")
    short.expression[:, JAW] = 0
    jaw = draw_recorded((long, short), rng(400), 1, 25.0, 1.0, clip=False).expression[:, JAW]
    assert abs(float((jaw > 0).float().mean()) - 0.75) < 0.08


def test_an_empty_or_broken_recording_is_refused() -> None:
    r = ramp(3, 25.0)
    with pytest.raises(HeadcastError, match="no motion"):
        Recording(name="none", fps=25.0, expression=r.expression[:0], neck=r.neck[:0], gaze=r.gaze[:0])
    with pytest.raises(HeadcastError, match="no motion"):
        Recording(name="broken", fps=25.0, expression=r.expression / 0, neck=r.neck, gaze=r.gaze)


def test_heads_are_rendered_with_it() -> None:
    config = SynthConfig(people=1, frames=3, size=32, texture=64, clip=True, antialias=1, layers=1)
    recording = ramp(3, 25.0)
    batch = make_batch(config, torch.device("cpu"), 0, np.array([5]), recordings=(recording,))
    assert torch.allclose(batch.params.expression[:, JAW], torch.tensor([0, 0.5, 1]))
    assert torch.allclose(batch.params.neck[:, 0], torch.tensor([0, 0.05, 0.1]), atol=1e-6)
