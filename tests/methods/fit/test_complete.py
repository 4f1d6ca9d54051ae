"""Unseen skin continues what is seen beside it and tends to skin seen squarely; no streaks at slants."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from jaxtyping import Float

from headcast.head.model import HeadModel
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.complete import complete_hidden
from headcast.methods.fit.skin.observations import TexelObservations
from headcast.methods.fit.skin.steps import smooth_grazing_skin
from headcast.texture.masks import region_weights
from headcast.texture.texels import Texels, interpolate_attributes, texels_of

SKIN = np.array([0.4, 0.28, 0.22], np.float32)
SIDE = 0.05  # metres off the middle, from which on skin is seen at a slant; at twice this nothing is seen
DARKER = 0.75


@cache
def parts() -> tuple[HeadModel, Texels, Float[np.ndarray, "n 3"]]:
    """Head, texels and their places at rest."""
    head = HeadModel.load()
    texels = texels_of(head, 256)
    return head, texels, interpolate_attributes(head.neutral.numpy(), head.faces.numpy(), texels)


def seen_from_before() -> TexelObservations:
    """A face of one colour, darker at its sides; the back of the head is not seen."""
    _, _, at = parts()
    n = len(at)
    one = np.ones(n, np.float32)
    square = (np.abs(at[:, 0]) < SIDE).astype(np.float32)
    trust = ((np.abs(at[:, 0]) < 1.3 * SIDE) & (at[:, 2] > 0)).astype(np.float32)
    albedo = SKIN * np.where(square > 0, 1, DARKER)[:, None]
    label = np.tile(np.array([1, 0, 0], np.float32), (n, 1))
    square = square + np.float32(0.003)
    return TexelObservations(
        albedo=albedo.astype(np.float32),
        confidence=trust,
        is_clean=one,
        label=label,
        frontality=square,
        in_face=one,
        label_confidence=trust,
        foldedness=0 * one,
        shading=np.tile(one[:, None], (1, 3)),
        facing=one,
    )


def test_no_seam_beside_slanted_skin_and_the_usual_colour_far_from_it() -> None:
    head, texels, at = parts()
    seen = seen_from_before()
    skin = np.tile(SKIN, (len(at), 1))
    canvas = TextureCanvas(head=head, texels=texels, rest=head.neutral.numpy(), observed=seen, fill=skin)
    fill = complete_hidden(canvas, np.zeros(len(at), np.float32), np.random.default_rng(0)).fill
    assert (canvas.fill == SKIN).all()  # what was given is not written to
    ratio = np.log(fill.mean(1) / SKIN.mean())
    face = region_weights(head, texels, "face", "neck", "ears") > 0.9
    border = face & (seen.confidence == 0) & (np.abs(at[:, 0]) < 1.36 * SIDE) & (at[:, 2] > 0)
    behind = (head.part == head.part_names.index("skin")).numpy()[texels.triangle] & (at[:, 2] < -0.06)
    assert border.sum() > 20 and behind.sum() > 100
    assert np.median(ratio[border]) == pytest.approx(np.log(DARKER), abs=0.12)
    assert np.abs(np.median(ratio[behind])) < 0.06


def test_slanted_pixels_lose_their_streaks_and_keep_their_colour() -> None:
    head, texels, at = parts()
    rng = np.random.default_rng(1)
    face = region_weights(head, texels, "face") > 0.99
    streaks = SKIN * np.exp(rng.normal(size=(len(at), 1)) * 0.3)
    one = np.ones(len(at), np.float32)
    label = np.tile(np.array([1, 0, 0], np.float32), (len(at), 1))

    fill = np.tile(SKIN * 0.5, (len(at), 1)).astype(np.float32)

    def evened(frontality: float) -> TextureCanvas:
        seen = TexelObservations(
            albedo=streaks.astype(np.float32),
            confidence=one,
            is_clean=one,
            label=label,
            frontality=one * np.float32(frontality),
            in_face=one,
            label_confidence=one,
            foldedness=0 * one,
            shading=np.tile(one[:, None], (1, 3)),
            facing=one,
        )
        return smooth_grazing_skin(
            TextureCanvas(head=head, texels=texels, rest=head.neutral.numpy(), observed=seen, fill=fill)
        )

    slanted = evened(0.0)
    weight = slanted.observed.confidence[:, None]
    shown = weight * slanted.observed.albedo + (1 - weight) * slanted.fill
    before, after = (np.log(x[face].mean(1)) for x in (streaks, shown))
    assert after.std() < 0.6 * before.std() and after.mean() == pytest.approx(before.mean(), abs=0.1)
    assert (evened(1.0).observed.confidence == 1).all()
