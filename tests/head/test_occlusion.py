"""The mouth's inside is darker the deeper it lies and the less the mouth is open."""

from __future__ import annotations

import torch

from headcast.head.model import HeadModel
from headcast.head.occlusion import mouth_occlusion
from headcast.head.params import HeadParams


def test_inside_of_the_mouth_is_dark() -> None:
    head = HeadModel.load()
    rest = HeadParams.neutral(head.identities)

    def at(**weights: float) -> torch.Tensor:
        return mouth_occlusion(head, head(rest.with_expression(weights)))

    def part(x: torch.Tensor, name: str) -> float:
        rows = head.faces[head.part == head.part_names.index(name)].unique()
        return float(x[rows].mean())

    closed, little, wide = at(), at(jawOpen=0.2), at(jawOpen=0.9)
    for name in ("teethUpper", "tongue", "mouth"):
        assert part(closed, name) < part(little, name) < part(wide, name) < 1
    assert part(wide, "mouth") < part(wide, "teethUpper")
    assert part(closed, "skin") == 1 or part(closed, "skin") > 0.98
    assert part(closed, "eyeLeft") == 1


def test_a_rigid_motion_changes_nothing() -> None:
    head = HeadModel.load()
    p = HeadParams.neutral(head.identities).with_expression({"jawOpen": 0.5})
    turned = p.replace(rotation=torch.tensor([0.2, 0.5, -0.1]), translation=torch.tensor([0.1, 0.0, -1.0]))
    torch.testing.assert_close(
        mouth_occlusion(head, head(p)), mouth_occlusion(head, head(turned)), atol=1e-3, rtol=0
    )
