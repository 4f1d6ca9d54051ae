"""A beard grows along the jaw and around the mouth, nowhere else; hidden skin continues what is shown."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from headcast.head.model import HeadModel
from headcast.methods.fit.skin.beard import beard_growth
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.complete import complete_hidden
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.texture.texels import texels_of

SKIN = np.array([0.4, 0.28, 0.22], np.float32)
BEARD = 0.5  # of the skin's albedo


@cache
def half_face() -> TextureCanvas:
    """Skin of one colour, seen on the front of the face alone."""
    head = HeadModel.load()
    texels = texels_of(head, 256)
    n = len(texels.index)
    one = np.ones(n, np.float32)
    seen = TexelObservations(
        albedo=np.tile(SKIN, (n, 1)),
        confidence=one,
        is_clean=one,
        label=np.tile(np.array([1, 0, 0], np.float32), (n, 1)),
        frontality=one,
        in_face=one,
        label_confidence=one,
        foldedness=0 * one,
        shading=np.tile(one[:, None], (1, 3)),
        facing=one,
    )
    canvas = TextureCanvas(
        head=head, texels=texels, rest=head.neutral.numpy(), observed=seen, fill=np.tile(SKIN, (n, 1))
    )
    at = canvas.gather(canvas.rest)
    seen.confidence[:] = (np.abs(at[:, 0]) < 0.045) & (at[:, 2] > 0.05)
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
