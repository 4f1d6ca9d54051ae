"""Margins of lids on heads of any maker."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch

from headcast.head.foreign.lids import no_lids
from headcast.head.model import HeadModel
from headcast.methods.fit.skin.openings import distance_to, lower_lashes
from headcast.texture.margins import lid_margins


def test_upper_and_lower_margins_are_told_apart() -> None:
    head = HeadModel.load()
    rest = head.neutral.numpy()
    left, right = lid_margins(head, rest)
    for side, eye in ((1, left), (-1, right)):
        assert (side * rest[eye.lids, 0] > 0).all() and len(eye.upper) > 10 and len(eye.lower) > 10
        assert (np.diff(rest[eye.upper, 0]) >= 0).all()
        assert rest[eye.upper, 1].mean() > rest[eye.lower, 1].mean() + 0.004  # metres


def test_each_side_may_have_shares_of_its_own() -> None:
    head = deepcopy(HeadModel.load())
    rest = head.neutral.numpy()
    before = lid_margins(head, rest)
    head.lid_share = torch.stack([head.lid_share, head.lid_share])
    for a, b in zip(before, lid_margins(head, rest), strict=True):
        assert all((x == y).all() for x, y in zip(a, b, strict=True))


def test_without_named_margins_a_blink_tells_the_upper_one() -> None:
    head = deepcopy(HeadModel.load())
    rest = head.neutral.numpy()
    truth = lid_margins(head, rest)
    for name, value in no_lids().items():
        setattr(head, name, torch.from_numpy(value))
    for known, found in zip(truth, lid_margins(head, rest), strict=True):
        off = distance_to(rest[known.upper], rest[found.upper], 0.02)
        assert len(found.upper) > 10 and np.median(off) < 0.0015 and not len(found.lower)
    assert (lower_lashes(head, rest, rest) == 1).all()  # nothing is guessed there
