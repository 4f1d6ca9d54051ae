"""Outlines drawn by eye lie in their photos; masks are compared with them as the eye would."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "tools"))
measure_outlines = importlib.import_module("measure_outlines")

SQUARE = [[2.0, 2.0], [12.0, 2.0], [12.0, 12.0], [2.0, 12.0]]
HALF = [[2.0, 2.0], [7.0, 2.0], [7.0, 12.0], [2.0, 12.0]]


def test_polygons_are_filled_where_more_than_half_of_a_pixel_lies_inside() -> None:
    inside = measure_outlines.filled([SQUARE], 20, 20)
    assert inside.sum() == 100
    assert inside[2:12, 2:12].all()
    assert measure_outlines.filled([HALF, SQUARE], 20, 20).sum() == 100


def test_overlap_of_half_a_square_is_a_half() -> None:
    whole, half = (measure_outlines.filled([p], 20, 20) for p in (SQUARE, HALF))
    assert measure_outlines.iou(whole, half) == pytest.approx(0.5)
    assert np.isnan(measure_outlines.iou(whole & False, half & False))


def test_ours_is_compared_with_both_outlines_within_the_crop() -> None:
    parts = {"person": [SQUARE], "hair": [SQUARE], "ears": [SQUARE]}
    other = {"person": [HALF], "hair": [HALF], "ears": [HALF]}
    ours = dict.fromkeys(
        ("person", "hair", "ears", "guide", "parser", "parser ears"), np.ones((20, 20), bool)
    )
    row = measure_outlines.scored({"crop": [2, 2, 10, 10], "first": parts, "second": other}, ours)
    assert row["person twice"] == pytest.approx(0.5)
    assert row["person"] == pytest.approx(0.75)


def test_every_outline_lies_in_what_was_outlined() -> None:
    entries = json.loads(measure_outlines.OUTLINES.read_text())
    assert len(entries) == 12
    for entry in entries.values():
        x, y, w, h = entry["crop"]
        for key in ("first", "second"):
            assert set(entry[key]) == set(measure_outlines.PARTS)
            points = np.concatenate([np.array(p) for ps in entry[key].values() for p in ps])
            assert (points >= [x - 1, y - 1]).all()
            assert (points <= [x + w + 1, y + h + 1]).all()
