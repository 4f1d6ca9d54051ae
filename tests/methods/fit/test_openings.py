"""Lash lines, nostrils, lips without teeth."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from tests.methods.fit.skin_canvas import SKIN, plain_canvas

from headcast.head.model import HeadModel
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.openings import paint_openings, reject_teeth
from headcast.texture.texels import Texels, interpolate_attributes, texels_of

LIP = np.array([0.35, 0.14, 0.13], np.float32)


@cache
def parts() -> tuple[HeadModel, Texels, Float[np.ndarray, "v 3"], Float[np.ndarray, "n 3"]]:
    """Head, texels, vertices at rest and the texels' places."""
    head = HeadModel.load()
    texels, rest = texels_of(head, 512), head.neutral.numpy()
    return head, texels, rest, interpolate_attributes(rest, head.faces.numpy(), texels)


def canvas(
    colour: Float[np.ndarray, "3"], fill: Float[np.ndarray, "3"], confidence: float = 1.0
) -> TextureCanvas:
    """Everything seen in one colour and filled with another."""
    return plain_canvas(512, colour, fill, confidence)


def test_lower_lash_lines_and_nostrils_are_dark_and_cheeks_are_not() -> None:
    head, _, rest, at = parts()
    hidden = canvas(SKIN, SKIN, confidence=0)
    fill = paint_openings(hidden).fill
    assert (hidden.fill == SKIN).all()  # what was given is not written to
    light = fill.mean(1) / SKIN.mean()
    points = head.landmarks(torch.from_numpy(rest)).numpy()

    def near(place: Float[np.ndarray, "3"], reach: float) -> np.ndarray:
        return np.linalg.norm(at - place, axis=1) < reach

    rim = rest[head.lid_index[0, head.lid_rim[head.lid_share.argmin()]]]
    assert light[near(rim, 0.001)].min() < 0.8
    nostril = points[[250, 458]].mean(0) + np.array([0.004, 0.008, -0.008])
    assert np.quantile(light[near(nostril, 0.006)], 0.2) < 0.3
    cheeks = near(points[50], 0.008) | near(points[280], 0.008) | near(points[4], 0.004)
    assert cheeks.any() and (light[cheeks] > 0.97).all()


def test_nostrils_are_less_dark_beside_what_was_seen() -> None:
    plain = canvas(SKIN, SKIN)
    seen, unseen = (paint_openings(canvas(SKIN, SKIN, confidence=c)).fill for c in (1, 0))
    nose = plain.region_weights("nose") > 0.99
    assert seen[nose].min() > 1.4 * unseen[nose].min()
    lids = plain.region_weights("lids") > 0.99
    assert np.array_equal(seen[lids], unseen[lids])


def test_teeth_are_not_kept_on_the_lips() -> None:
    white = canvas(np.full(3, 0.5, np.float32), LIP)
    weights = white.region_weights("lips")
    pale = reject_teeth(white).observed.confidence
    red = reject_teeth(canvas(LIP, LIP)).observed.confidence
    assert pale[weights > 0.9].min() < 0.05 and pale[weights > 0.9].max() == 1  # at the inner edge only
    assert (red == 1).all() and (pale[weights == 0] == 1).all()
