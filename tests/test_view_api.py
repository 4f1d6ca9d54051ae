"""Views, backgrounds and the Python interface, with an avatar that draws dots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.fake_avatar import FakeAvatar

from headcast.api import Runtime, animate, create, observe, render
from headcast.drive import drive_from, relative_rotation
from headcast.errors import HeadcastError
from headcast.files import is_video
from headcast.head.params import HeadParams
from headcast.motion.presets import preset
from headcast.progress import subrange
from headcast.render.types import Rendering
from headcast.view import (
    background_colour,
    flatten,
    front_view,
    head_center,
    over_colour,
    parse_size,
    source_view,
    to_rgba,
)


@pytest.fixture(scope="module")
def avatar() -> FakeAvatar:
    return FakeAvatar()


def extent(picture: np.ndarray) -> tuple[float, float, float, float]:
    y, x = np.nonzero(picture[..., 3])
    return (
        x.min() / picture.shape[1],
        x.max() / picture.shape[1],
        y.min() / picture.shape[0],
        y.max() / picture.shape[0],
    )


@pytest.mark.parametrize("size", [(512, 512), (320, 400), (640, 360)])
def test_front_view_frames_the_face(avatar: FakeAvatar, size: tuple[int, int]) -> None:
    picture = render(avatar, size=size)
    assert picture.shape == (size[1], size[0], 4)
    left, right, top, bottom = extent(picture)
    assert abs((left + right) / 2 - 0.5) < 0.02, "in the middle"
    assert 0.15 < top < bottom < 0.85 and bottom - top > 0.25


def test_yaw_shows_the_left_side(avatar: FakeAvatar) -> None:
    view = front_view(avatar)
    turned = view.orbited(head_center(avatar, view.params), 40.0, 0.0)
    nose = avatar.head.landmarks(avatar.head(view.params), 478)[1]
    assert turned.camera.project(nose)[0] < view.camera.project(nose)[0] - 20, (
        "the nose points to the picture's left"
    )


def test_source_view_is_the_photos_own(avatar: FakeAvatar) -> None:
    view = source_view(avatar)
    assert (view.camera.width, view.camera.height) == (300, 400)
    assert render(avatar, view="source").shape == (400, 300, 4)
    half = view.resized((150, 200))
    point = torch.tensor([0.05, 0.02, -1.2])
    assert torch.allclose(half.camera.project(point), view.camera.project(point) / 2, atol=1e-3)
    wide = view.resized((400, 400))
    assert torch.allclose(
        wide.camera.project(point), view.camera.project(point) + torch.tensor([50.0, 0]), atol=1e-3
    )


def test_expression_changes_the_picture(avatar: FakeAvatar) -> None:
    rest, opened = render(avatar), render(avatar, expression={"jawOpen": 1.0})
    assert extent(opened)[3] > extent(rest)[3] + 0.01
    with pytest.raises(HeadcastError, match="did you mean"):
        render(avatar, expression={"jawOpne": 1.0})


def test_backgrounds(avatar: FakeAvatar) -> None:
    assert render(avatar, background="white")[0, 0].tolist() == [255] * 3
    assert render(avatar, background="grey")[0, 0].tolist() == [128] * 3
    assert render(avatar, background="#0a0b0c")[0, 0].tolist() == [10, 11, 12]
    assert background_colour("transparent") is None
    for text in ("#12", "puce", "#12345g", ""):
        with pytest.raises(HeadcastError, match="--background"):
            background_colour(text)


@given(st.integers(16, 8192), st.integers(16, 8192))
def test_sizes(width: int, height: int) -> None:
    assert parse_size(f"{width}x{height}") == (width, height)
    assert parse_size(str(width)) == (width, width)


@given(st.text(max_size=8))
def test_bad_sizes(text: str) -> None:
    try:
        parse_size(text)
    except HeadcastError as e:
        assert "--size" in str(e)


def test_a_video_frame_is_the_flattened_picture() -> None:
    g = torch.Generator().manual_seed(0)
    for space in ("srgb", "linear"):
        rgb = torch.rand(3, 150, 90, generator=g).movedim(0, -1) * 1.2 - 0.1  # planes, partly out of range
        drawn = Rendering(rgb, torch.rand(150, 90, generator=g), torch.zeros(150, 90), space)  # type: ignore[arg-type]
        colour = (10, 128, 250)
        assert np.array_equal(over_colour(drawn, colour), flatten(to_rgba(drawn), colour))


def test_linear_renderings_become_srgb_and_flatten_over_a_colour() -> None:
    x = torch.full((2, 2, 3), 0.2140)
    rgba = to_rgba(Rendering(x, torch.full((2, 2), 0.5), torch.ones(2, 2), "linear"))
    assert abs(int(rgba[0, 0, 0]) - 128) <= 1 and rgba[0, 0, 3] == 128
    assert abs(int(flatten(rgba, (255, 255, 255))[0, 0, 0]) - 191) <= 2
    solid = to_rgba(Rendering(x, torch.ones(2, 2), torch.ones(2, 2), "srgb"))
    assert solid[0, 0].tolist() == [55, 55, 55, 255]


def test_runtime(avatar: FakeAvatar) -> None:
    live = Runtime(avatar, size=(96, 96))
    a, b = live.step({"jawOpen": 0.5}), live.step(live.params({"jawOpen": 0.5}, None, None).expression)
    assert np.array_equal(a, b) and a.shape == (96, 96, 4)
    turned = live.step({}, neck=torch.tensor([0.0, 0.4, 0.0]))
    assert not np.array_equal(turned, live.step({}))
    assert Runtime(avatar, size=(80, 90), view="source").step({}).shape == (90, 80, 4)


def test_animate_writes_the_frames_asked_for(avatar: FakeAvatar, tmp_path: Path) -> None:
    from headcast.video import read_video

    told: list[float] = []
    out = tmp_path / "x.mp4"
    animate(avatar, "turntable", out, frames=5, size=(96, 64), fps=10.0, progress=lambda s, w: told.append(s))
    clip = read_video(out)
    assert len(clip.frames) == 5 and clip.frames[0].shape == (64, 96, 3) and clip.fps == pytest.approx(10)
    assert told == sorted(told) and told[-1] == 1.0
    animate(avatar, preset("speech").first(3), out, size=(64, 64))
    assert len(read_video(out).frames) == 3


def test_animate_refuses_what_makes_no_sense(avatar: FakeAvatar, tmp_path: Path) -> None:
    out = tmp_path / "x.mp4"
    for words, flags in {
        "transparency": {"background": "transparent"},
        "nothing to put beside": {"side_by_side": True},
        "no camera": {"camera": "driver"},
        "from 1": {"frames": 0},
    }.items():
        with pytest.raises(HeadcastError, match=words):
            animate(avatar, "speech", out, **flags)  # type: ignore[arg-type]
    with pytest.raises(HeadcastError, match="drive with"):
        animate(avatar, "somewhere/clip.xyz", out)
    assert not list(tmp_path.iterdir())


def test_drive_of_a_turntable_moves_the_camera_only(avatar: FakeAvatar) -> None:
    drive = drive_from(avatar, "turntable")
    assert len(drive) == drive.params.batch[0]
    assert drive.cameras[45].center[0] > 0.5 and torch.equal(drive.params[0].neck, torch.zeros(3))


def test_relative_rotation_is_zero_at_the_usual_pose_and_bounded() -> None:
    turns = torch.zeros(9, 3)
    turns[:, 1] = torch.tensor([0.3] * 7 + [0.5, 2.9])
    neck = relative_rotation(turns)
    assert neck[0].norm() < 1e-5 and 0.15 < neck[7, 1] < 0.2 and neck.norm(dim=-1).max() < 0.7


def test_sources_are_checked_before_work(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match="not both"):
        observe(["a.jpg", "b.mp4"])
    with pytest.raises(HeadcastError, match="give a photo"):
        observe([])
    with pytest.raises(HeadcastError, match="--representation"):
        create("a.jpg", options={"representation": "fog"})
    assert is_video("x.MP4") and not is_video("x.jpg")


def test_part_of_progress() -> None:
    told: list[tuple[float, str]] = []
    half = subrange(lambda s, w: told.append((s, w)), 0.5, 1.0)
    assert half is not None and subrange(None, 0, 1) is None
    half(0.5, "x")
    assert told == [(0.75, "x")]


def test_params_stay_unbatched(avatar: FakeAvatar) -> None:
    assert isinstance(front_view(avatar).params, HeadParams) and front_view(avatar).params.batch == ()
