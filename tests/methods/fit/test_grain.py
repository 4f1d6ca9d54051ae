"""Hidden skin gets detail as strong as the observed skin's; none is invented where none is known."""

from __future__ import annotations

import numpy as np
import pytest
from tests.methods.fit.skin_canvas import SKIN, plain_canvas

from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.grain import skin_grain


def speckled(strength: float, confidence: float = 1.0) -> TextureCanvas:
    """Skin with independent speckles; everything is observed."""
    canvas = plain_canvas(512, confidence=confidence)
    noise = np.random.default_rng(1).normal(size=(len(canvas.fill), 1)) * strength
    canvas.observed.albedo[:] = SKIN * np.exp(noise)
    return canvas


@pytest.mark.parametrize("strength", [0.02, 0.1])
def test_detail_is_as_strong_as_what_is_observed(strength: float) -> None:
    canvas = speckled(strength)
    grain = skin_grain(canvas, np.zeros(len(canvas.fill), np.float32), np.random.default_rng(0))
    elsewhere = canvas.region_weights("neck", "ears") > 0.9
    assert grain[elsewhere].std() == pytest.approx(strength, rel=0.25)
    assert abs(grain[elsewhere].mean()) < 0.2 * strength
    again = skin_grain(canvas, np.zeros(len(canvas.fill), np.float32), np.random.default_rng(0))
    assert np.array_equal(grain, again)


def test_there_is_none_where_no_skin_is_known() -> None:
    canvas = speckled(0.1, confidence=0.0)
    growth = np.zeros(len(canvas.fill), np.float32)
    assert (skin_grain(canvas, growth, np.random.default_rng(0)) == 0).all()


@pytest.mark.parametrize("darker", [0.7, 1.0])
def test_a_beard_has_its_own_detail_and_smooth_skin_there_does_not(darker: float) -> None:
    canvas = speckled(0.02)
    jaw = canvas.gather(canvas.rest)[:, 1] < -0.02
    rough = np.random.default_rng(2).normal(size=(len(canvas.fill), 1)) * 0.15
    canvas.observed.albedo[jaw] *= darker * np.exp(rough[jaw]).astype(np.float32)
    grain = skin_grain(canvas, jaw.astype(np.float32), np.random.default_rng(0))
    neck = canvas.region_weights("neck") > 0.9
    ears = (canvas.region_weights("ears") > 0.9) & ~jaw
    ratio = grain[neck & jaw].std() / grain[ears].std()
    assert ratio > 3 if darker < 1 else ratio < 1.5
