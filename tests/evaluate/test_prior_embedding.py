"""Figures of likeness: ranking, equal errors, thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.evaluate.prior_embedding import (
    LikenessPairs,
    equal_error_rate,
    figures_of,
    likeness_pairs,
    ranking_auc,
)


def test_pairs_are_all_pairs() -> None:
    vectors = np.eye(3)[[0, 0, 1]]
    pairs = likeness_pairs(vectors, ["a", "a", "b"])
    assert pairs.likeness.tolist() == [1, 0, 0] and pairs.same.tolist() == [True, False, False]


def test_ranking_and_equal_errors() -> None:
    same = np.array([True] * 4 + [False] * 4)
    apart = LikenessPairs(np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]), same)
    assert ranking_auc(apart) == 1 and equal_error_rate(apart) == 0
    mixed = LikenessPairs(np.array([0.9, 0.8, 0.7, 0.3, 0.6, 0.4, 0.2, 0.1]), same)
    assert ranking_auc(mixed) == pytest.approx(14 / 16)
    assert equal_error_rate(mixed) == pytest.approx(0.25)
    ties = LikenessPairs(np.ones(8), same)
    assert ranking_auc(ties) == 0.5


def test_chance_is_half() -> None:
    vectors = np.random.default_rng(0).normal(size=(80, 64))
    row = figures_of(vectors, [str(k // 2) for k in range(80)], thresholds=False)
    assert 0.35 < row["auc"] < 0.65 and row["people"] == 40
    assert figures_of(vectors[:1], ["a"], thresholds=False) == {}
