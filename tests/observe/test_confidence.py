"""Widths of the prior about expected weights: by name, and on held-out heads better than one width."""

from __future__ import annotations

import numpy as np
import pytest
from tests.observe.heads import head
from tests.observe.test_expression_reader import FITTED, PIXELS, held_out, read

from headcast.head.names import EXPRESSION_INDEX
from headcast.observe import expression_reader
from headcast.observe.confidence import prior_width
from headcast.observe.expression_reader import ExpressionReader
from headcast.observe.fit import Fitter

WIDE = 0.8


def test_lips_of_one_photo_stay_wide_and_both_sides_are_alike() -> None:
    photo, person = prior_width(False), prior_width(True)
    assert photo[EXPRESSION_INDEX["mouthPucker"]] > photo[EXPRESSION_INDEX["cheekPuff"]]
    assert (person <= photo.max()).all() and person[EXPRESSION_INDEX["jawOpen"]] < WIDE
    for width in (photo, person):
        left = [width[i] for n, i in EXPRESSION_INDEX.items() if n.endswith("Left") and "jaw" not in n]
        right = [width[i] for n, i in EXPRESSION_INDEX.items() if n.endswith("Right") and "jaw" not in n]
        assert left == right


def test_widths_of_a_person_read_held_out_heads_better_than_one_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, true, people = (x[:FITTED] for x in held_out())
    fitter, r = Fitter(head(), reader=ExpressionReader.bundled()), {}
    for name, width in (("chosen", prior_width), ("wide", lambda known: np.full(52, WIDE))):
        monkeypatch.setattr(expression_reader, "prior_width", width)
        rows = []
        for p in np.unique(people):
            own = [d for d, q in zip(found, people, strict=True) if q == p]
            rest = fitter.reader.rest(own)
            fits = fitter.fit_photos(own, [(PIXELS, PIXELS)] * len(own), rest=rest)
            rows += [f.frame.expression for f in fits]
        r[name] = read(np.array(rows), true)
    assert r["chosen"][0] > r["wide"][0] + 0.02
    assert r["chosen"][1] < r["wide"][1]
