"""The neck's rotation field: exact where the head is rigid, nothing where the neck is straight."""

from __future__ import annotations

import pytest
import torch

from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.methods.portrait4d.neck_field import NeckField, coarse_skin

CUBE, UNITS = 1.3, 3.0


@pytest.fixture(scope="module")
def head() -> HeadModel:
    """The bundled head."""
    return HeadModel.load()


def params_of(head: HeadModel, neck: list[float]) -> HeadParams:
    """One head at rest but for its neck."""
    base = HeadParams.neutral(head.identities, (1,))
    return base.replace(neck=torch.tensor([neck]))


def test_coarse_mesh_is_coarse_and_close(head: HeadModel) -> None:
    chosen, faces = coarse_skin(head)
    assert 300 < len(chosen) < 1500 and 600 < len(faces) < 3000
    skin = head.neutral[torch.unique(head.faces[head.part_faces("skin")])]
    assert torch.cdist(skin, head.neutral[chosen]).min(1)[0].max() < 0.025


def test_a_straight_neck_moves_nothing(head: HeadModel) -> None:
    field = NeckField(head, params_of(head, [0.0, 0.0, 0.0]), CUBE, UNITS)
    points = torch.rand(1, 500, 3) * CUBE - CUBE / 2
    assert (field(points) - points).abs().max() < 1e-4


def test_a_bent_head_is_carried_back(head: HeadModel) -> None:
    bent, straight = params_of(head, [0.2, 0.3, -0.1]), params_of(head, [0.0, 0.0, 0.0])
    field = NeckField(head, bent, CUBE, UNITS)
    face = head.region_mask("face", "nose", "brows", "scalp")
    posed, canonical = (head(p)[:, face] * UNITS for p in (bent, straight))
    inside = (posed.abs() < CUBE / 2 * 0.95).all(-1)[0]
    before = (posed - canonical).norm(dim=-1)[0, inside]
    after = (field(posed) - canonical).norm(dim=-1)[0, inside]
    assert before.median() > 0.05
    # the grid's cells are 54 thousandths wide; over a rigid head the offsets are linear in position
    assert after.median() < 0.02 * before.median() + 2e-3 and after.quantile(0.9) < 0.01
