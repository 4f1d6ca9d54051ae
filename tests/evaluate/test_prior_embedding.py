"""Figures of likeness: ranking, equal errors, thresholds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.evaluate.identity_people import held_people
from headcast.evaluate.prior_embedding import (
    LikenessPairs,
    equal_error_rate,
    figures_of,
    likeness_pairs,
    ranking_auc,
)
from headcast.image import load_image
from headcast.observe.landmarks import FaceDetector
from headcast.priors.embedding import IdentityEmbedder, embed_face, identity_available


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


def test_without_what_it_learned_the_identity_network_knows_nobody(shared: Path) -> None:
    """People that are reported, in photographs of other days: the network against its random weights."""
    if not identity_available():
        pytest.skip("the weights are not in this checkout")
    people = [p for p in held_people(shared / "data") if p.half == "reported" and not p.same_day][:12]
    torch.manual_seed(0)
    networks = {"learned": None, "random": IdentityEmbedder().eval()}
    vectors: dict[str, list[np.ndarray]] = {k: [] for k in networks}
    persons = []
    with FaceDetector() as detector:
        for person in people:
            for path in person.photos[:2]:
                rgb = load_image(path).rgb
                points = detector.detect(rgb)[0].points
                persons.append(person.person)
                for name, network in networks.items():
                    vectors[name].append(embed_face(rgb, points, network))
    auc = {k: ranking_auc(likeness_pairs(np.stack(v), persons)) for k, v in vectors.items()}
    assert auc["learned"] > 0.93 and auc["random"] < auc["learned"] - 0.2, auc
