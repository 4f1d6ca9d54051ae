"""The prior over expressions and motion."""

from __future__ import annotations

import numpy as np
import torch

from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS, EYE_LOOK
from headcast.synth.expressions import GESTURES, MOUTHS, draw_moments, draw_motion, shape_weights
from headcast.synth.rng import CounterRng

CPU = torch.device("cpu")


def test_tables_speak_arkit() -> None:
    assert shape_weights(GESTURES).shape == (len(GESTURES), 52)
    assert (shape_weights(MOUTHS).sum(1) > 0).sum() == len(MOUTHS) - 1


def test_moments_are_sparse_bounded_and_cover_the_face() -> None:
    m = draw_moments(CounterRng(np.arange(3000, dtype=np.int64)[:, None], 0, CPU), 1.0)
    e = m.expression
    assert e.min() >= 0
    assert e.max() <= 1
    assert (e > 0.05).float().sum(1).mean() < 14
    moved = (e > 0.2).any(0)
    missing = {EXPRESSIONS[i] for i in (~moved).nonzero()[:, 0].tolist()} - set(EYE_LOOK)
    assert not missing, missing
    assert (e[:, [EXPRESSION_INDEX[n] for n in EYE_LOOK]] == 0).all()
    left, right = e[:, EXPRESSION_INDEX["mouthSmileLeft"]], e[:, EXPRESSION_INDEX["mouthSmileRight"]]
    assert torch.corrcoef(torch.stack([left, right]))[0, 1] > 0.7
    assert draw_moments(CounterRng(np.arange(9, dtype=np.int64)[:, None], 0, CPU), 0.0).expression.max() == 0


def test_clips_are_smooth_and_blink() -> None:
    m = draw_motion(CounterRng(np.array([[0], [1]], np.int64), 0, CPU), 200, 25.0, 1.0)
    e = m.expression.view(2, 200, 52)
    mouth = e[:, :, EXPRESSION_INDEX["jawOpen"]]
    assert (mouth[:, 1:] - mouth[:, :-1]).abs().max() < 0.35
    assert (e[:, :, EXPRESSION_INDEX["eyeBlinkLeft"]].amax(1) > 0.8).all()
    neck = m.neck.view(2, 200, 3)
    assert (neck[:, 1:] - neck[:, :-1]).norm(dim=-1).max() < 0.05
