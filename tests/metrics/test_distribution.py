"""Distances of sets agree with torchmetrics and with closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headcast.metrics.distribution import frechet_distance, kernel_distance


@pytest.fixture(scope="module")
def sets() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    mix = rng.normal(0, 1, (12, 12))
    return rng.normal(0, 1, (90, 12)) @ mix, rng.normal(0.3, 1.4, (70, 12))


def test_frechet_is_torchmetrics(sets: tuple) -> None:
    fid = pytest.importorskip("torchmetrics.image.fid", reason="torchmetrics comes with the extra dev")
    a, b = (torch.from_numpy(x) for x in sets)
    theirs = fid._compute_fid(a.mean(0), torch.cov(a.T), b.mean(0), torch.cov(b.T))
    assert frechet_distance(*sets) == pytest.approx(float(theirs), rel=1e-8)


def test_kernel_is_torchmetrics(sets: tuple) -> None:
    kid = pytest.importorskip("torchmetrics.image.kid", reason="torchmetrics comes with the extra dev")
    a, b = (x[:60] for x in sets)  # torchmetrics takes sets of one size
    theirs = kid.poly_mmd(torch.from_numpy(a), torch.from_numpy(b))
    assert kernel_distance(a, b) == pytest.approx(float(theirs), rel=1e-8)


def test_a_shift_costs_its_square(sets: tuple) -> None:
    a = sets[0]
    shift = np.arange(12) / 10
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(a, a + shift) == pytest.approx((shift**2).sum(), rel=1e-6)
    assert frechet_distance(a - a.mean(0), 2 * (a - a.mean(0))) == pytest.approx(
        np.trace(np.cov(a.T)), rel=1e-6
    )


def test_fewer_pictures_than_features_is_finite() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, (5, 40)), rng.normal(0, 1, (6, 40))
    assert 0 < frechet_distance(a, b) < 200


def test_the_kernel_distance_is_unbiased() -> None:
    rng = np.random.default_rng(2)
    same = [kernel_distance(rng.normal(0, 1, (20, 4)), rng.normal(0, 1, (20, 4))) for _ in range(200)]
    other = [kernel_distance(rng.normal(0, 1, (20, 4)), rng.normal(1, 1, (20, 4))) for _ in range(20)]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(200) and min(same) < 0 < np.mean(other)
