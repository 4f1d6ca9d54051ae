"""Skin that a photo shows darker at a slant is levelled; frontal skin and what is no skin stay."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from tests.methods.fit.skin_canvas import SKIN, plain_canvas

from headcast.interpolation import smoothstep
from headcast.methods.fit.skin.canvas import TextureCanvas
from headcast.methods.fit.skin.slant import slant_level

DARKER = np.array([0.2, 0.25, 0.35], np.float32)  # natural logarithm, of fully slanted skin


@cache
def plain() -> TextureCanvas:
    """A face of one colour that looks to the camera; its normals are those of an ellipsoid."""
    canvas = plain_canvas(512)
    across = np.abs(canvas.gather(canvas.rest)[:, 0]) / 0.077
    facing = np.sqrt(np.maximum(1 - across**2, 0)).astype(np.float32)
    return replace(canvas, observed=replace(canvas.observed, facing=facing))


def darkened(label: tuple[float, float, float] = (1, 0, 0)) -> TextureCanvas:
    """The same face, darker the more it is turned away from the camera."""
    canvas = plain()
    seen = canvas.observed
    slanted = 1 - smoothstep(seen.facing, 0.15, 0.5)
    albedo = seen.albedo * np.exp(-DARKER * slanted[:, None])
    labels = np.tile(np.array(label, np.float32), (len(albedo), 1))
    return replace(canvas, observed=replace(seen, albedo=albedo.astype(np.float32), label=labels))


def test_slanted_skin_becomes_as_light_as_frontal_skin() -> None:
    canvas = darkened()
    level = slant_level(canvas, np.zeros(len(canvas.fill), np.float32))
    slanted = (canvas.region_weights("face") > 0.9) & (canvas.observed.facing > 0.15)
    slanted &= (canvas.observed.facing < 0.3) & (np.abs(canvas.gather(canvas.rest)[:, 0]) > 0.06)
    assert slanted.sum() > 100
    before, after = (
        np.log(x[slanted] / SKIN) for x in (canvas.observed.albedo, canvas.observed.albedo * level)
    )
    assert np.abs(np.median(before, 0)).min() > 0.1
    assert np.abs(np.median(after, 0)).max() < 0.3 * np.abs(np.median(before, 0)).min()
    frontal = canvas.observed.facing > 0.9
    assert level[frontal] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("case", ["level already", "hair", "all may be a beard"])
def test_nothing_changes_where_no_bare_skin_is_darker(case: str) -> None:
    canvas = darkened((0, 1, 0)) if case == "hair" else plain() if case == "level already" else darkened()
    growth = np.full(len(canvas.fill), float(case == "all may be a beard"), np.float32)
    assert slant_level(canvas, growth) == pytest.approx(1, abs=1e-6)
