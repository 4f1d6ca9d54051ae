"""Hair that the colours took for skin is put right by the parser, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.head.model import HeadModel
from headcast.observe import parsed
from headcast.observe.detection import Detection, Masks
from headcast.observe.face_frame import face_frame

SIZE = 240


def person(hair_by_colours: float) -> tuple[Detection, Masks]:
    """A face in the middle of a round head on a neck; so much of what is above the face is hair."""
    head = HeadModel.load()
    points = head.landmarks(head.neutral).numpy()[:, :2] * [1, -1]
    points = (points - points.mean(0)) / np.ptp(points[:, 1]) * 100 + [120, 130]
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    body = ((np.hypot(x - 120, y - 115) < 85) | ((abs(x - 120) < 40) & (y > 115))).astype(np.float32)
    frame = face_frame(points, SIZE, SIZE)
    outside = ((frame.depth < -0.02) & (frame.y > frame.chin)).astype(np.float32)
    hair = body * outside * hair_by_colours
    none = np.zeros_like(body)
    box = (*points.min(0).tolist(), *points.max(0).tolist())
    return Detection(points.astype(np.float32), box, 1.0), Masks(
        person=body, skin=body - hair, hair=hair, clothes=none, glasses=none
    )


def answer(masks: Masks, hair: float) -> tuple[Masks, dict[str, np.ndarray]]:
    """What a parser says that finds so much hair all over the upper half, and clothes below."""
    upper = (np.mgrid[:SIZE, :SIZE][0] < 110).astype(np.float32)
    h, lower = masks.person * upper * hair, masks.person * (1 - upper)
    return Masks(
        person=masks.person, skin=masks.person - h - lower, hair=h, clothes=lower, glasses=masks.glasses
    ), {"hair": upper * hair}


@pytest.mark.parametrize(
    ("colours", "parser", "asked", "believed"),
    [
        (0.9, 1.0, False, False),
        (0.1, 0.9, True, True),
        (0.1, 0.2, True, False),
        (0.5, 0.6, True, False),
        (0.0, 0.6, True, False),
    ],
)
def test_the_parser_is_believed_where_it_finds_much_more_hair(
    monkeypatch: pytest.MonkeyPatch, colours: float, parser: float, asked: bool, believed: bool
) -> None:
    face, masks = person(colours)
    calls: list[int] = []

    def parsed_masks(*_: object) -> tuple[Masks, dict[str, np.ndarray]]:
        calls.append(1)
        return answer(masks, parser)

    monkeypatch.setattr(parsed, "parsed_masks", parsed_masks)
    monkeypatch.setattr("headcast.priors.parser.available", lambda: True)
    rgb = np.zeros((SIZE, SIZE, 3), np.uint8)
    out = parsed.correct_hair_mask(rgb, face, masks)
    assert bool(calls) == asked and (out is masks) == (not believed)
    if believed:
        assert out.hair[45, 120] > 0.85 > 0.2 > masks.hair[45, 120]
        below = slice(200, None)  # under the chin what the colours said stays
        assert np.allclose(out.clothes[below], masks.clothes[below])
        assert np.allclose(out.skin + out.hair + out.clothes, masks.person, atol=1e-4)
    monkeypatch.setattr("headcast.priors.parser.available", lambda: False)
    assert parsed.correct_hair_mask(rgb, face, masks) is masks


def test_what_the_parser_sees_in_one_picture_it_may_see_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    face, masks = person(0.1)
    rgb = [np.full((SIZE, SIZE, 3), x, np.uint8) for x in (0, 1)]
    found = {0: 0.9, 1: 0.5}
    monkeypatch.setattr("headcast.priors.parser.available", lambda: True)
    monkeypatch.setattr(parsed, "parsed_masks", lambda p, *_: answer(masks, found[int(p[0, 0, 0])]))
    alone = parsed.correct_hair_masks([(rgb[1], face, masks)])
    both = parsed.correct_hair_masks([(p, face, masks) for p in rgb])
    assert alone[0] is masks
    assert both[0].hair[45, 120] > 0.85 and 0.4 < both[1].hair[45, 120] < 0.6
