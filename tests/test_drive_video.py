"""Driving by a video: what reaches the avatar is weights, pose and gaze, never the driver's pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.avatar.export.heads import synthetic_avatar

from headcast.avatar.base import Avatar
from headcast.camera import Camera
from headcast.crops.square import box_of
from headcast.drive import CameraChoice, Drive, LightChoice, drive_from, drive_from_video
from headcast.errors import HeadcastError
from headcast.head.embed import usual_landmarks
from headcast.head.model import HeadModel
from headcast.head.params import HeadParams
from headcast.observe import track as tracking
from headcast.observe.track import Track
from headcast.observe.types import Detection
from headcast.video import Clip

FRAMES, SIDE = 2, 96


Driven = Callable[[int, CameraChoice, LightChoice, bool], Drive]


@pytest.fixture
def avatar() -> Avatar:
    """A synthetic person's avatar with a light of its own."""
    return synthetic_avatar(shells=False)


@pytest.fixture
def driven(avatar: Avatar, monkeypatch: pytest.MonkeyPatch) -> Driven:
    """Return a function of a seed: the drive by a clip of its pixels in which the same face was tracked."""
    rest = HeadParams.neutral(avatar.head.identities).replace(translation=torch.tensor([0.0, 0.0, -1.0]))
    moving = [
        rest.with_expression({"jawOpen": 0.5, "eyeLookOutLeft": 0.4, "mouthSmileLeft": w}) for w in (0.2, 0.8)
    ]
    camera_of_clip = Camera.make(250.0, SIDE, SIDE)
    points = camera_of_clip.project(usual_points(avatar.head, rest)).numpy()
    face = Detection(points=points, box=box_of(points), score=1.0)

    def drive(seed: int, camera: CameraChoice, light: LightChoice, same_person: bool) -> Drive:
        pixels = np.random.default_rng(seed).integers(0, 256, (FRAMES, 1, 1, 3)).astype(np.uint8)
        frames = np.broadcast_to(pixels, (FRAMES, SIDE, SIDE, 3))
        clip = Clip(frames=frames, fps=25.0, times=np.arange(FRAMES) / 25, audio=None, name="driver.mp4")
        track = Track(
            params=HeadParams.stack(moving),
            camera=camera_of_clip,
            detections=(face,) * FRAMES,
            size=(SIDE, SIDE),
            fps=25.0,
            errors=np.zeros(FRAMES),
            same_person=same_person,
        )
        monkeypatch.setattr(tracking, "read_and_track", lambda *_, **__: (clip, track))
        return drive_from_video(
            avatar, Path("driver.mp4"), camera, light, None, (SIDE, SIDE), None, None, None
        )

    return drive


def usual_points(head: HeadModel, params: HeadParams) -> torch.Tensor:
    """Return where the 478 landmarks usually lie on a head."""
    triangle, weight = usual_landmarks(head)
    corners = head(params)[head.faces[torch.from_numpy(triangle)]]
    return (corners * torch.from_numpy(weight)[..., None].to(corners)).sum(1)


@pytest.mark.parametrize("same_person", [False, True])
@pytest.mark.parametrize("camera", ["source", "driver"])
def test_another_driver_with_the_same_parameters_renders_the_same(
    camera: CameraChoice, same_person: bool, avatar: Avatar, driven: Driven
) -> None:
    one, other = (driven(seed, camera, "source", same_person) for seed in (1, 2))
    renderer = avatar.renderer()
    for t in range(FRAMES):
        a, b = (d.render(renderer, t).rgb.clone() for d in (one, other))
        assert torch.equal(a, b)
    assert not torch.equal(one.render(renderer, 0).rgb.clone(), one.render(renderer, 1).rgb)


def test_light_is_read_from_the_driver_only_when_asked_for(avatar: Avatar, driven: Driven) -> None:
    one, other = (driven(seed, "driver", "driver", True) for seed in (1, 2))
    renderer = avatar.renderer()
    assert not torch.equal(one.render(renderer, 0).rgb.clone(), other.render(renderer, 0).rgb)


def test_light_of_another_person_is_not_read(driven: Driven) -> None:
    drive = driven(1, "driver", "driver", False)
    assert drive.light is None
    assert any("own light is kept" in note for note in drive.notes)


def test_light_of_the_driver_is_seen_in_its_camera_only(avatar: Avatar) -> None:
    with pytest.raises(HeadcastError, match="--camera driver"):
        drive_from(avatar, "driver.mp4", light="driver")
