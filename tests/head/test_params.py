"""Parameters: names, batches, and gaze that round-trips through the eyeLook* weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headcast.errors import HeadcastError
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS, mirrored_name
from headcast.head.params import (
    GAZE_LIMITS,
    HeadParams,
    expression_vector,
    eye_look_from_gaze,
    gaze_from_eye_look,
)


def test_names_are_the_52_and_mirror_in_pairs() -> None:
    assert len(EXPRESSIONS) == len(set(EXPRESSIONS)) == 52
    assert all(mirrored_name(mirrored_name(n)) == n for n in EXPRESSIONS)
    assert {mirrored_name(n) for n in EXPRESSIONS} == set(EXPRESSION_INDEX)


def test_unknown_names_are_refused_with_a_suggestion() -> None:
    with pytest.raises(HeadcastError, match="did you mean 'jawOpen'"):
        expression_vector({"jawopen": 1.0})


angles = st.floats(-min(GAZE_LIMITS.values()), min(GAZE_LIMITS.values()))


@given(st.tuples(angles, angles, angles, angles))
def test_gaze_round_trips_through_the_weights(values: tuple[float, ...]) -> None:
    gaze = torch.tensor(values, dtype=torch.float64).reshape(2, 2)
    weights = eye_look_from_gaze(torch.zeros(52, dtype=torch.float64), gaze)
    assert (weights >= 0).all() and (weights <= 1 + 1e-9).all()
    torch.testing.assert_close(gaze_from_eye_look(weights), gaze)


def test_looking_left_turns_both_eyes_to_the_subjects_left() -> None:
    gaze = gaze_from_eye_look(expression_vector({"eyeLookOutLeft": 1, "eyeLookInRight": 1}))
    assert (gaze[:, 0] > 0).all()


def test_batches_stack_and_index() -> None:
    one = HeadParams.neutral(5).with_expression({"jawOpen": 0.5})
    both = HeadParams.stack([one, one.replace(rotation=torch.ones(3))])
    assert both.batch == (2,) and both[1].rotation.tolist() == [1, 1, 1]
    assert both.to(torch.float64).expression.dtype == torch.float64 and both.gaze is None
