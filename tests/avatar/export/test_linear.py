"""The 52 linear shapes that files carry."""

from __future__ import annotations

import copy

import torch

from headcast.avatar.export.linear import MOST, gap, linear_shapes
from headcast.head.model import HeadModel
from headcast.head.names import EXPRESSION_INDEX

BLINKS = [EXPRESSION_INDEX["eyeBlinkLeft"], EXPRESSION_INDEX["eyeBlinkRight"]]


def test_a_blink_draws_its_own_eye_back_and_only_a_little() -> None:
    head = HeadModel.load()
    identity = torch.zeros(head.identities)
    neutral, deltas = linear_shapes(head, identity)
    for side, name in enumerate(("eyeLeft", "eyeRight")):
        own = torch.unique(head.faces[head.part_faces(name)])
        other = torch.unique(head.faces[head.part_faces(("eyeRight", "eyeLeft")[side])])
        back = deltas[BLINKS[side], own]
        assert 0.0005 < -back[:, 2].mean() <= MOST and (back - back[0]).abs().max() < 1e-6
        assert deltas[BLINKS[side], other].abs().max() < 1e-6
        assert gap(head, identity, side, neutral, deltas[BLINKS[side]], back[0]) > 0
        assert gap(head, identity, side, neutral, deltas[BLINKS[side]], torch.zeros(3)) < 0


def test_heads_without_laid_lids() -> None:
    head = HeadModel.load()
    bare = copy.copy(head)
    none = {
        "lid_index": head.lid_index[:, :0],
        "lid_rim": head.lid_rim[:0],
        "lid_share": head.lid_share[:0],
        "lid_partner": head.lid_partner[:0, :0],
        "lid_spread": head.lid_spread[:0, :0],
        "lid_clearance": head.lid_clearance[:0],
    }
    bare._buffers = {**head._buffers, **none}
    _, deltas = linear_shapes(bare, torch.zeros(head.identities))
    eyes = torch.unique(head.faces[head.part_faces("eyeLeft", "eyeRight")])
    assert deltas[BLINKS][:, eyes].abs().max() < 1e-6
