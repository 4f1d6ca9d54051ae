"""Driving by a video: what reaches the avatar is weights, pose and gaze, never the driver's pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.avatar.export.heads import synthetic_avatar

from headcast.camera import Camera
from headcast.drive import CameraChoice, Drive, drive_from_video
from headcast.head.params import HeadParams
from headcast.observe import track as tracking
from headcast.observe.track import Track
from headcast.observe.types import Detection
from headcast.video import Clip

FRAMES, SIDE = 2, 96


@pytest.mark.parametrize("camera", ["source", "driver"])
def test_another_driver_with_the_same_parameters_renders_the_same(
    camera: CameraChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar = synthetic_avatar(shells=False)
    rest = HeadParams.neutral(avatar.head.identities).replace(translation=torch.tensor([0.0, 0.0, -1.0]))
    moving = [
        rest.with_expression({"jawOpen": 0.5, "eyeLookOutLeft": 0.4, "mouthSmileLeft": w}) for w in (0.2, 0.8)
    ]
    face = Detection(points=np.zeros((478, 2), np.float32), box=(0, 0, 1, 1), score=1.0)
    track = Track(
        params=HeadParams.stack(moving),
        camera=Camera.make(250.0, SIDE, SIDE),
        detections=(face,) * FRAMES,
        size=(SIDE, SIDE),
        fps=25.0,
        errors=np.zeros(FRAMES),
        same_person=False,
    )

    def driven(seed: int) -> Drive:
        """The drive by a clip of other pixels in which the same parameters were tracked."""
        pixels = np.random.default_rng(seed).integers(0, 256, (FRAMES, SIDE, SIDE, 3)).astype(np.uint8)
        clip = Clip(frames=pixels, fps=25.0, times=np.arange(FRAMES) / 25, audio=None, name="driver.mp4")
        monkeypatch.setattr(tracking, "read_and_track", lambda *_, **__: (clip, track))
        return drive_from_video(avatar, Path("driver.mp4"), camera, None, (SIDE, SIDE), None, None, None)

    one, other = driven(1), driven(2)
    renderer = avatar.renderer()
    for t in range(FRAMES):
        a, b = (d.render(renderer, t).rgb.clone() for d in (one, other))
        assert torch.equal(a, b)
    assert not torch.equal(one.render(renderer, 0).rgb.clone(), one.render(renderer, 1).rgb)
