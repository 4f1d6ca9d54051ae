"""Shoulders stay while the head goes where it was tracked."""

from __future__ import annotations

import torch

from headcast.drive import NECK_LIMIT, still_torso
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams


def test_the_head_is_where_it_was_and_the_shoulders_are_not_turned() -> None:
    head = HeadModel.load()
    rest = torch.tensor([0.1, -0.2, 0.05])
    rotation = torch.stack([rest, torch.tensor([0.0, 0.3, 0.0]), torch.tensor([0.0, 1.2, 0.0])])
    params = HeadParams.neutral(head.identities, (3,)).replace(
        rotation=rotation, translation=torch.tensor([[0.0, 0.0, -1.0], [0.02, 0.0, -1.1], [0.0, 0.1, -1.0]])
    )
    still = still_torso(params, head, rest)
    before, after = head(params), head(still)
    skull = head.skin_weights[:, 2] > 0.999
    torch.testing.assert_close(after[:, skull], before[:, skull], atol=2e-5, rtol=0)
    torch.testing.assert_close(still.rotation[0], rest, atol=1e-5, rtol=0)
    torch.testing.assert_close(still.rotation[1], rest, atol=1e-5, rtol=0)
    assert float(still.neck[0].norm()) < 1e-4
    assert abs(float(still.neck[2].norm()) - NECK_LIMIT) < 1e-4
    assert float((still.rotation[2] - rest).norm()) > 0.3
