"""Hidden skin gets detail as strong as the observed skin's; none is invented where none is known."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.head.model import HeadModel
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.grain import skin_grain
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.texture.texels import texels_of

SKIN = np.array([0.4, 0.28, 0.22], np.float32)


def speckled(strength: float, confidence: float = 1.0) -> TextureCanvas:
    """Skin with independent speckles; everything is observed."""
    head = HeadModel.load()
    texels = texels_of(head, 512)
    n = len(texels.index)
    one = np.ones(n, np.float32)
    noise = np.random.default_rng(1).normal(size=(n, 1)) * strength
    seen = TexelObservations(
        albedo=(SKIN * np.exp(noise)).astype(np.float32),
        confidence=one * np.float32(confidence),
        is_clean=one,
        label=np.tile(np.array([1, 0, 0], np.float32), (n, 1)),
        frontality=one,
        in_face=one,
        label_confidence=one,
        foldedness=0 * one,
        shading=np.tile(one[:, None], (1, 3)),
        facing=one,
    )
    return TextureCanvas(
        head=head, texels=texels, rest=head.neutral.numpy(), observed=seen, fill=np.tile(SKIN, (n, 1))
    )


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
