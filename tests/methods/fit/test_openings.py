"""Lash lines, nostrils, lips without teeth."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from jaxtyping import Float

from headcast.head.model import HeadModel
from headcast.methods.fit.skin.mouth import tongue_low
from headcast.methods.fit.skin.observations import Evidence, zone
from headcast.methods.fit.skin.openings import paint_openings, without_teeth
from headcast.texture.texels import Texels, gather, texels_of

SKIN = np.array([0.4, 0.28, 0.22], np.float32)
LIP = np.array([0.35, 0.14, 0.13], np.float32)


@cache
def parts() -> tuple[HeadModel, Texels, Float[np.ndarray, "v 3"], Float[np.ndarray, "n 3"]]:
    """Head, texels, vertices at rest and the texels' places."""
    head = HeadModel.load()
    texels, rest = texels_of(head, 512), head.neutral.numpy()
    return head, texels, rest, gather(rest, head.faces.numpy(), texels)


def evidence(colour: Float[np.ndarray, "3"], folded: float = 0.0) -> Evidence:
    """Everything seen, in one colour."""
    n = len(parts()[1].index)
    one = np.ones(n, np.float32)
    label = np.tile(np.array([1, 0, 0], np.float32), (n, 1))
    return Evidence(np.tile(colour, (n, 1)), one, one, label, one, one, one, one * np.float32(folded))


def test_lower_lash_lines_and_nostrils_are_dark_and_cheeks_are_not() -> None:
    head, texels, rest, at = parts()
    fill = np.tile(SKIN, (len(at), 1))
    hidden = evidence(SKIN)
    hidden = replace(hidden, trust=0 * hidden.trust)
    paint_openings(head, texels, hidden, fill, rest)
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
    head, texels, rest, at = parts()
    seen, unseen = (np.tile(SKIN, (len(at), 1)) for _ in range(2))
    paint_openings(head, texels, evidence(SKIN), seen, rest)
    paint_openings(head, texels, replace(evidence(SKIN), trust=np.zeros(len(at), np.float32)), unseen, rest)
    nose = zone(head, texels, "nose") > 0.99
    assert seen[nose].min() > 1.4 * unseen[nose].min()
    lids = zone(head, texels, "lids") > 0.99
    assert np.array_equal(seen[lids], unseen[lids])


def test_teeth_are_not_kept_on_the_lips() -> None:
    head, texels, rest, _ = parts()
    fill = np.tile(LIP, (len(texels.index), 1))
    lips = zone(head, texels, "lips") > 0.9
    pale = without_teeth(head, texels, evidence(np.full(3, 0.5, np.float32)), fill, rest).trust
    red = without_teeth(head, texels, evidence(LIP), fill, rest).trust
    assert pale[lips].min() < 0.05 and pale[lips].max() == 1  # at the inner edge only
    assert (red == 1).all() and (pale[zone(head, texels, "lips") == 0] == 1).all()


def test_only_the_tongue_is_laid_down() -> None:
    head = parts()[0]
    moved = np.flatnonzero(tongue_low(head).any(1))
    tongue = head.faces[head.part == head.part_names.index("tongue")].unique().numpy()
    assert np.array_equal(moved, tongue)
