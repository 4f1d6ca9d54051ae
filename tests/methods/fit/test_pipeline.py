"""The texture's completion as a whole: by value, the same for the same seed, everywhere finite."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from headcast.head.model import HeadModel
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.methods.fit.skin.pipeline import CompletedTexture, complete_texture
from headcast.texture.texels import interpolate_attributes, texels_of

SKIN = np.array([0.4, 0.28, 0.22], np.float32)


def test_the_same_seed_completes_alike_and_what_is_given_stays() -> None:
    head = HeadModel.load()
    texels, rest = texels_of(head, 256), head.neutral.numpy()
    at = interpolate_attributes(rest, head.faces.numpy(), texels)
    n = len(at)
    one = np.ones(n, np.float32)
    seen = ((at[:, 2] > 0) & (np.abs(at[:, 0]) < 0.06)).astype(np.float32)
    observed = TexelObservations(
        albedo=SKIN * np.random.default_rng(1).uniform(0.98, 1.02, (n, 1)).astype(np.float32),
        confidence=seen,
        is_clean=one,
        label=np.tile(np.array([1, 0, 0], np.float32), (n, 1)),
        frontality=one,
        in_face=one,
        label_confidence=seen,
        foldedness=0 * one,
        shading=np.tile(one[:, None], (1, 3)),
        facing=one,
    )
    before = {k: np.copy(v) for k, v in asdict(observed).items()}

    def made(seed: int) -> CompletedTexture:
        return complete_texture(head, texels, observed, rest, 0.0, np.random.default_rng(seed))

    first, again = made(0), made(0)
    assert all(np.array_equal(getattr(observed, k), v) for k, v in before.items())
    assert np.array_equal(first.fill, again.fill)
    assert np.isfinite(first.fill).all() and first.fill.min() >= 0 and first.fill.max() <= 1
    assert (first.observed.confidence <= observed.confidence).all()
    cheek = (np.abs(at[:, 0]) > 0.03) & (np.abs(at[:, 0]) < 0.05) & (np.abs(at[:, 1]) < 0.02) & (seen > 0)
    assert cheek.any() and np.abs(np.median(first.fill[cheek] / SKIN, 0) - 1).max() < 0.15
    assert all(
        len(w) and np.isfinite(c).all()
        for w, c in zip(first.closed_lids.index, first.closed_lids.colour, strict=True)
    )
