"""A change of light is recovered from what it does to colours, in spite of outliers."""

from __future__ import annotations

import numpy as np
import torch

from headcast.relight import light_change
from headcast.render.shading import sh_basis


def test_a_change_is_recovered_in_spite_of_outliers() -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(800, 3)) + np.array([0, 0, 1.5])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    basis = sh_basis(torch.from_numpy(normal)).double().numpy()
    albedo = rng.uniform(0.2, 0.6, (800, 3))
    truth = np.zeros((9, 3))
    truth[0], truth[1] = 0.3, [0.1, 0.05, 0.0]
    difference = albedo * (basis @ truth) + rng.normal(0, 0.002, (800, 3))
    difference[:80] += 0.5
    found = light_change(difference, albedo, basis, np.ones(800))
    seen, wanted = basis @ found, basis @ truth
    assert np.abs(seen - wanted)[80:].mean() < 0.15 * np.abs(wanted).mean()


def test_nothing_seen_changes_nothing() -> None:
    e = np.zeros((5, 3))
    assert (light_change(e, e, np.zeros((5, 9)), np.zeros(5)) == 0).all()
