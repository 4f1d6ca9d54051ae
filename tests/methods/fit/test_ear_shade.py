"""Folds of ears that no photo shows are darker than what lies open to the light."""

from __future__ import annotations

import numpy as np
import torch
from tests.methods.fit.skin_canvas import plain_canvas
from tests.observe.heads import head

from headcast.methods.fit.skin.ear_shade import ear_openness, shade_ears


def test_openness_is_one_off_the_ears_and_less_in_their_folds() -> None:
    openness = ear_openness(head(), head().neutral)
    ears = head().region_mask("ears")
    assert bool((openness[~ears] == 1).all())
    assert float(openness[ears].min()) < 0.7
    assert float(openness[ears].median()) > 0.85
    assert float(openness.min()) > 0


def test_both_ears_are_alike() -> None:
    openness, x = ear_openness(head(), head().neutral), head().neutral[:, 0]
    ears = head().region_mask("ears")
    left, right = (openness[ears & (x * s > 0)].sort().values for s in (1, -1))
    assert abs(float(left.mean() - right.mean())) < 0.03


def test_a_ball_has_no_folds() -> None:
    """Blown up to a ball the ears have nothing beside them that throws shadows."""
    ball = 0.1 * torch.nn.functional.normalize(head().neutral - head().neutral.mean(0), dim=1)
    ears = head().region_mask("ears")
    assert float(ear_openness(head(), ball)[ears].quantile(0.25)) > 0.9


def test_only_the_fill_of_ears_is_shaded() -> None:
    canvas = plain_canvas(256)
    shaded = shade_ears(canvas)
    ratio = (shaded.fill / canvas.fill).mean(1)
    ears = canvas.region_weights("ears")
    assert np.allclose(ratio[ears == 0], 1)
    assert ratio[ears > 0.9].min() < 0.8
    assert shaded.observed is canvas.observed
