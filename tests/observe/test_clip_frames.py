"""Which further frames of a clip are used, and what is said of the others."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from headcast.errors import HeadcastError
from headcast.head.model import HeadModel
from headcast.observe import observe
from headcast.observe.clip_frames import choose_frames, observe_frame, unusable_note
from headcast.observe.detection import Detection
from headcast.observe.fit import Fitter
from headcast.observe.observe import observe_photo
from headcast.observe.track import DetectedClip
from headcast.observe.types import Observation
from headcast.video import Clip


def face(k: int) -> Detection:
    points = np.zeros((478, 2)) + k
    return Detection(points, (0.0, 0.0, 1.0, 1.0), 1.0)


def test_frames_are_spread_over_those_that_are_sharp() -> None:
    detections = [face(k) if k % 10 else None for k in range(100)]
    sharpness = [0.01 if k in (3, 4) else 1.0 for k in range(100)]
    found = choose_frames(detections, sharpness, [50, 51], 20)
    assert len(found.frames) == 20 and found.frames == sorted(found.frames)
    assert found.frames[0] == 1 and found.frames[-1] == 99
    assert not {3, 4, 50, 51, 10, 20} & set(found.frames)
    assert found.unusable == Counter({"without a face": 10, "blurred": 2})
    assert unusable_note(found.unusable, 100) == (
        "12 of 100 frames are not used: 10 without a face, 2 blurred"
    )
    every = choose_frames(detections, sharpness, [], 500)
    assert len(every.frames) == 88
    assert unusable_note(Counter(), 5) == "" and choose_frames([None], [0.0], [], 3).frames == []


@pytest.fixture(scope="module")
def photo(demo_photo: Path) -> Observation:
    return observe_photo(demo_photo, HeadModel.load())


def test_a_frame_is_fitted_with_the_keyframes_identity_and_made_small(photo: Observation) -> None:
    fitter = Fitter(HeadModel.load())
    height, width = photo.image.shape[:2]
    (near,) = fitter.fit_photos([photo.detection], [(width, height)])
    seen, fit = observe_frame(photo.image, "clip frame 7", photo.detection, fitter, near)
    assert seen is not None and seen.light is None and seen.name == "clip frame 7"
    assert max(seen.image.shape[:2]) <= 512 and seen.camera.width == seen.image.shape[1]
    assert bool((fit.params.identity == near.params.identity).all())
    landmarks = seen.camera.project(fitter.head.landmarks(fitter.head(seen.params), 478)).numpy()
    assert np.median(np.linalg.norm(landmarks - seen.detection.points, axis=1)) < 0.03 * seen.image.shape[1]
    upside_down = Detection(photo.detection.points[::-1].copy(), photo.detection.box, 1.0)
    nothing, kept = observe_frame(photo.image, "clip frame 8", upside_down, fitter, near)
    assert nothing is None and kept is near


def test_a_clip_with_hardly_a_usable_frame_says_why(photo: Observation) -> None:
    clip = Clip(np.zeros((40, 4, 4, 3), np.uint8), 25.0, np.arange(40) / 25, None, "clip.mp4")
    detections = [*[None] * 39, photo.detection]
    found = DetectedClip(clip, detections, [0.0] * 39 + [1.0])
    fitter = Fitter(HeadModel.load())
    height, width = photo.image.shape[:2]
    (fit,) = fitter.fit_photos([photo.detection], [(width, height)])
    with pytest.raises(HeadcastError, match=r"clip.mp4: 1 usable frames.*39 without a face.*sharper clip"):
        observe._with_more_frames(found, {39: fit}, [photo], 30, fitter, lambda fraction, what: None)
