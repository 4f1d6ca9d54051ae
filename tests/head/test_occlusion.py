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


def test_front_teeth_get_most_of_a_smiles_light() -> None:
    head = HeadModel.load()
    smile = {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "jawOpen": 0.15}
    rest = HeadParams.neutral(head.identities)
    v = head(rest.with_expression({**smile, "mouthUpperUpLeft": 0.5, "mouthUpperUpRight": 0.5}))
    light, x = mouth_occlusion(head, v), head.neutral[:, 0].abs()
    teeth = torch.zeros(len(v), dtype=torch.bool)
    teeth[head.faces[head.part_faces("teethUpper")]] = True
    front, canine, molar = (
        float(light[teeth & (x > a) & (x < b)].mean()) for a, b in ((0, 0.006), (0.012, 0.018), (0.026, 0.04))
    )
    assert front > canine > molar and molar < 0.6 * front


def test_closed_lips_leave_the_tongue_dark() -> None:
    head = HeadModel.load()
    rest = HeadParams.neutral(head.identities)
    tongue = head.faces[head.part_faces("tongue")].unique()
    closed = mouth_occlusion(head, head(rest))[tongue]
    assert float(closed.max()) < 0.15
