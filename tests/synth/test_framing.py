"""Framings are data: names, places of methods' own, and the cameras that come of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from headcast import registry
from headcast.errors import HeadcastError
from headcast.synth import SynthConfig
from headcast.synth.framing import (
    EG3D,
    FRAMINGS,
    FRONT,
    PORTRAIT,
    CameraFraming,
    ClippedNormal,
    Constant,
    SquaredUniform,
    Uniform,
    find_framing,
)
from headcast.synth.rng import CounterRng
from headcast.synth.views import MIDDLE, draw_views, project_to_views

CPU = torch.device("cpu")
OF_A_METHOD = registry.collect("framings")
ALL = [*FRAMINGS, *OF_A_METHOD.values()]


def rng(n: int = 400) -> CounterRng:
    """Draws for n rows."""
    return CounterRng(np.arange(n, dtype=np.int64)[:, None], 3, CPU)


def test_names_and_places_find_framings() -> None:
    assert find_framing("front") is FRONT and find_framing("eg3d") is EG3D
    assert find_framing(PORTRAIT) is PORTRAIT
    assert find_framing("headcast.synth.framing:EG3D") is EG3D
    assert find_framing(OF_A_METHOD["portrait4d"]).name == "portrait4d"
    assert all(find_framing(name).name == name for name in FRAMINGS)


@pytest.mark.parametrize(
    "wrong", ["profile", "headcast.synth.framing:NONE", "headcast.synth.framing:CameraFraming"]
)
def test_unknown_framings_are_refused(wrong: str) -> None:
    with pytest.raises(HeadcastError, match="use portrait, eg3d, front"):
        find_framing(wrong)
    with pytest.raises(HeadcastError, match="is unknown"):
        SynthConfig(framing=wrong)


def test_distributions_have_their_ranges() -> None:
    u = Uniform(-2.0, 3.0).draw(rng(), "a", 2)
    assert u.shape == (400, 2) and -2 <= float(u.min()) < -1.8 and 2.8 < float(u.max()) <= 3
    n = ClippedNormal(0.5, 2.0).draw(rng(), "b")
    assert float(n.abs().max()) <= 1.0 and 0.35 < float(n.std()) < 0.55
    per_axis = ClippedNormal((1.0, 0.0)).draw(rng(), "b", 2)
    assert bool(per_axis[:, 0].any()) and not per_axis[:, 1].any()
    s = SquaredUniform(12, 33).draw(rng(), "c")
    assert float(s.min()) >= 12 and float(s.max()) <= 45 and float(s.median()) < 25
    assert torch.equal(Constant(4.0).draw(rng(), "d", 3), torch.full((400, 3), 4.0))


@pytest.mark.parametrize("name", ALL)
def test_the_head_is_in_every_view(name: str) -> None:
    views = draw_views(name, rng(), 100)
    middle = torch.tensor(MIDDLE).expand(400, 1, 3)
    at = project_to_views(middle, views.K, views.cam_from_world)
    assert bool(((at > 15) & (at < 85)).all())
    assert views.size == 100 and len(views.K) == 400


def test_a_framing_of_ones_own_says_where_cameras_stand() -> None:
    mine = CameraFraming(
        "mine", yaw=Constant(0.5), radius=Constant(3.0), units_per_metre=3.0, fov=Constant(30.0)
    )
    views = draw_views(mine, rng(2), 64)
    torch.testing.assert_close(views.K[:, 0, 0], torch.full((2,), 32 / math.tan(math.radians(15))))
    off = views.centers - torch.tensor(MIDDLE)
    torch.testing.assert_close(off, torch.tensor([[math.sin(0.5), 0.0, math.cos(0.5)]]).expand(2, 3))
    assert SynthConfig(framing=mine).framing is mine
    # a head of 25 cm that fills half of the height
    half = draw_views(CameraFraming("half", fov=Constant(20.0), fraction=Constant(0.5)), rng(1), 100)
    distance = float((half.centers - torch.tensor(MIDDLE)).norm())
    assert math.isclose(distance, 0.05 + 0.25 / (2 * 0.5 * math.tan(math.radians(10))), rel_tol=1e-5)


def test_the_published_statistics() -> None:
    views = draw_views(OF_A_METHOD["portrait4d"], rng(), 64)
    distance = (views.centers - torch.tensor(MIDDLE)).norm(dim=-1) * 3
    assert 3.6 < float(distance.min()) < 3.75 and 4.35 < float(distance.max()) < 4.5
    torch.testing.assert_close(views.K[:, 0, 0], torch.full((400,), 32 / math.tan(math.radians(6))))


def test_points_behind_a_camera_are_finite() -> None:
    views = draw_views("front", rng(1), 64)
    behind = torch.tensor([[[0.0, 0.0, 5.0]]])
    assert bool(project_to_views(behind, views.K, views.cam_from_world).isfinite().all())
