"""A beard grows along the jaw and around the mouth, nowhere else; hidden skin continues what is shown."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from tests.methods.fit.skin_canvas import SKIN, plain_canvas

from headcast.methods.fit.skin.beard import beard_growth
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.complete import complete_hidden

BEARD = 0.5  # of the skin's albedo


@cache
def half_face() -> TextureCanvas:
    """Skin of one colour, seen on the front of the face alone."""
    canvas = plain_canvas(256)
    at = canvas.gather(canvas.rest)
    canvas.observed.confidence[:] = (np.abs(at[:, 0]) < 0.045) & (at[:, 2] > 0.05)
    return canvas


def near(landmark: int, reach: float) -> np.ndarray:
    """Return which texels lie within so many metres of a landmark."""
    canvas = half_face()
    points = canvas.head.landmarks(torch.from_numpy(canvas.rest)).numpy()
    return np.linalg.norm(canvas.gather(canvas.rest) - points[landmark], axis=1) < reach


def test_it_grows_along_the_jaw_and_around_the_mouth_only() -> None:
    canvas = half_face()
    growth = beard_growth(canvas)
    assert growth.min() >= 0 and growth.max() <= 1
    for landmark in (58, 172, 150, 152, 288, 397):
        assert growth[near(landmark, 0.006) & (canvas.region_weights("face", "neck") > 0.99)].min() > 0.9
    for landmark in (4, 9, 50, 280, 10):
        assert growth[near(landmark, 0.006)].max() < 0.1
    assert growth[canvas.region_weights("ears", "lips", "nose") > 0.99].max() == 0


def test_a_beard_in_front_continues_along_the_hidden_jaw_and_not_above_it() -> None:
    canvas = half_face()
    growth = beard_growth(canvas)
    canvas.observed.albedo[:] = SKIN * np.where(growth > 0.5, BEARD, 1.0)[:, None]
    fill = complete_hidden(canvas, growth, np.random.default_rng(0)).fill.mean(1) / SKIN.mean()
    hidden = canvas.observed.confidence == 0
    jaw = hidden & (near(58, 0.01) | near(288, 0.01)) & (growth > 0.9)
    temple = hidden & (near(127, 0.01) | near(356, 0.01))
    assert jaw.sum() > 20 and temple.sum() > 20
    assert np.median(fill[jaw]) < 0.5 * (1 + BEARD) and np.median(fill[temple]) > 0.9
