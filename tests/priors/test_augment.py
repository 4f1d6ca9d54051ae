"""Variations of training pictures that the encoders see: turned, veiled, lit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from headcast.priors.augment import (
    Crops,
    Framing,
    crop_faces,
    face_coordinates,
    mask_to_face,
    shade_sideways,
    warp_as_turned,
)
from headcast.priors.images import IGNORE, FaceImages

CPU = torch.device("cpu")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 4) -> FaceImages:
    """Grey pictures of 64², a face box in the middle 32², one person each."""
    rgb = (torch.arange(n, dtype=torch.uint8) * 50 + 40)[:, None, None, None].expand(n, 64, 64, 3)
    blank = torch.zeros(n, 64, 64, dtype=torch.uint8)
    box = torch.tensor([[16.0, 16, 48, 48]]).expand(n, 4)
    return FaceImages(
        rgb=rgb,
        alpha=blank,
        background=torch.zeros_like(rgb),
        label=blank + 1,
        box=box,
        person=torch.arange(n),
    )


def plain(framing: Framing) -> Crops:
    return crop_faces(pictures(), framing, rng())


def test_places_are_in_sides_of_the_box_from_its_middle() -> None:
    place = plain(Framing(size=32, room=(2.0, 2.0), shift=0.0, turn=0.0, mirror=False)).place
    assert place.shape == (4, 32, 32, 2)
    torch.testing.assert_close(place[0, 0, 0], torch.full((2,), -1 + 1 / 32))
    torch.testing.assert_close(place.mean((1, 2)), torch.zeros(4, 2), atol=1e-6, rtol=0)


def test_a_turn_moves_the_nose_against_the_rim_and_folds_nothing() -> None:
    box, steps = torch.tensor([[16.0, 16, 48, 48]]), torch.linspace(-0.9, 0.9, 181)
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)[None]
    for degrees in (-18.0, 18.0):
        angle = torch.deg2rad(torch.tensor([[degrees, 0.0]]))
        moved = warp_as_turned(grid, box, (64, 64), angle) - grid
        nose, rim = moved[0, 95, 90], moved[0, 90, 10]
        assert (
            float(nose[0] * degrees) > 0 > float(rim[0] * degrees) and float(moved[..., 1].abs().max()) == 0
        )
        assert torch.diff(face_coordinates(grid + moved, box, (64, 64))[..., 0], dim=2).min() > 0
    assert torch.equal(warp_as_turned(grid, box, (64, 64), torch.zeros(1, 2)), grid)


def test_a_veil_leaves_the_face_and_hides_the_rest() -> None:
    crops = plain(Framing(size=64, room=(2.0, 2.0), shift=0.0, turn=0.0, mirror=False))
    crops = replace(crops, rgb=torch.rand(crops.rgb.shape, generator=rng(1)))
    seen = mask_to_face(crops, rng(), 1.0)
    middle = (slice(None), slice(None), slice(26, 38), slice(26, 38))
    assert torch.equal(seen.rgb[middle], crops.rgb[middle])
    assert (seen.rgb[..., :4, :4] - crops.rgb[..., :4, :4]).abs().mean() > 0.1
    assert (seen.label[:, :4, :4] == IGNORE).all() and (seen.label[:, 26:38, 26:38] == 1).all()
    assert torch.equal(mask_to_face(crops, rng(), 0.0).rgb, crops.rgb)


@pytest.mark.parametrize("strength", [0.0, 0.4])
def test_another_lamp_keeps_the_middle(strength: float) -> None:
    x = torch.full((6, 3, 33, 33), 0.4)
    y = shade_sideways(x, rng(), strength)
    torch.testing.assert_close(y[:, :, 16, 16], x[:, :, 16, 16])
    assert torch.equal(y, x) if strength == 0 else (y.std((1, 2, 3)) > 0.01).all()
