"""The protocol on clips: which frames are learned from, what is copied as a baseline, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headcast.avatar.gaussian import GaussianAvatar
from headcast.errors import HeadcastError
from headcast.evaluate.networks import EvaluationNetworks
from headcast.evaluate.protocols import evaluate
from headcast.evaluate.setting import Setting
from headcast.methods.ohpavatars.protocols.last_fifth import first_part, nearest_inputs, render_tests
from headcast.observe.types import Observation
from headcast.video import Clip

Scene = tuple[GaussianAvatar, Observation]


def test_the_last_fifth_is_never_learned_from() -> None:
    frames = np.arange(50, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    clip = Clip(frames, 25.0, np.arange(50) / 25, None, "clip.mp4")
    part, rest = first_part(clip)
    assert len(part.frames) == 40 and rest == list(range(40, 50)) and part.fps == 25
    part, rest = first_part(clip, every=5)
    assert part.frames[:, 0, 0, 0].tolist() == list(range(0, 40, 5)) and rest == list(range(40, 50))
    assert part.fps == 5 and np.allclose(part.times, np.arange(8) / 5)


def test_the_nearest_input_is_the_one_with_the_nearest_landmarks(scene: Scene) -> None:
    photo = scene[1]
    assert photo.masks is not None
    moved = replace(photo.detection, points=photo.detection.points + 9)
    other = replace(photo, detection=moved, image=255 - photo.image)
    near, far = nearest_inputs([photo, other], [other, photo])
    assert np.array_equal(near[..., :3], photo.image) and np.array_equal(far[..., :3], other.image)
    assert np.array_equal(near[..., 3], np.round(photo.masks.person * 255).astype(np.uint8))


def test_avatars_are_rendered_as_the_head_was_fitted(scene: Scene) -> None:
    avatar, photo = scene
    with torch.no_grad():
        (image,) = render_tests(avatar, [photo])
    assert photo.masks is not None
    assert image.shape == (*photo.image.shape[:2], 4)
    assert float(np.abs(image[..., 3] / 255 - photo.masks.person).mean()) < 0.05


def test_other_methods_are_refused(tmp_path: Path) -> None:
    setting = Setting(("fit",), tmp_path, tmp_path, EvaluationNetworks(), torch.device("cpu"))
    with pytest.raises(HeadcastError, match="last-fifth: give insta"):
        evaluate("last-fifth", setting)
