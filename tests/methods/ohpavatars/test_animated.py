"""Frames of an image animator as coarse video: animated, tracked, dropped with a reason, kept as a step."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.command import Run
from tests.methods.test_facevid2vid_animate import CONFIGS, write_checkpoint

from headcast.avatar.gaussian import GaussianAvatar
from headcast.crops.square import Square
from headcast.errors import HeadcastError
from headcast.methods.base import get_animator, get_method, make_options
from headcast.methods.facevid2vid import importing, infer, weights
from headcast.methods.ohpavatars import animated, loop, method
from headcast.methods.ohpavatars import run as running
from headcast.methods.ohpavatars.animated import (
    available_animator,
    frames_from_tensors,
    frames_tensors,
    make_animated,
    script_clip,
    track_animated,
)
from headcast.methods.ohpavatars.field.avatar import FieldAvatar
from headcast.methods.ohpavatars.field.train import FieldTraining
from headcast.methods.ohpavatars.learner import frame_target
from headcast.methods.ohpavatars.method import OhpAvatars, OhpAvatarsOptions
from headcast.observe import landmarks, masks
from headcast.observe.types import Detection, Masks, Observation

Scene = tuple[GaussianAvatar, Observation]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's folder of weights is empty."""
    monkeypatch.setenv("HEADCAST_WEIGHTS", str(tmp_path / "weights"))
    weights._read_cached.cache_clear()


@pytest.fixture
def tiny_animator(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Import random networks of the official kind, small."""
    monkeypatch.setattr(importing, "PUBLISHED", dict(zip(CONFIGS, ("new", "original", "beta"), strict=True)))
    monkeypatch.setattr(weights, "CONFIGS", CONFIGS)
    file = write_checkpoint(tmp_path / "checkpoint.pth.tar", CONFIGS[0])
    assert run("weights", "import", "facevid2vid", file)[0] == 0
    monkeypatch.setattr(infer, "photo_square", lambda photo: Square(48.0, 48.0, 96.0))
    monkeypatch.setattr(infer, "driver_square", lambda clip: Square(32.0, 32.0, 64.0))


@pytest.fixture
def found_faces(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[Detection | None]:
    """Every image shows the face where the photo does, unless the list says otherwise; all is person."""
    said: list[Detection | None] = []
    photo = scene[1]

    class Detector:
        def __enter__(self) -> Detector:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def detect(self, rgb: np.ndarray, **_: object) -> list[Detection]:
            points = photo.detection.points[:, :2] * (rgb.shape[0] / photo.image.shape[0])
            box = (*points.min(0).tolist(), *points.max(0).tolist())
            one = said.pop(0) if said else Detection(points, box, 1.0)
            return [] if one is None else [one]

    def segment(rgb: np.ndarray, detection: Detection) -> Masks:
        full = np.ones(rgb.shape[:2], np.float32)
        clothes = np.zeros_like(full)
        clothes[-8:] = 1
        return Masks(person=full, skin=full, hair=0 * full, clothes=clothes, glasses=0 * full)

    monkeypatch.setattr(landmarks, "FaceDetector", Detector)
    monkeypatch.setattr(masks, "segment", segment)
    return said


def test_frames_are_tracked_cut_out_and_dropped_with_a_reason(
    scene: Scene, found_faces: list[Detection | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar, photo = scene
    points = photo.detection.points[:, :2]
    good = Detection(points, photo.detection.box, 1.0)
    turned_over = Detection(points[::-1].copy(), photo.detection.box, 1.0)
    found_faces[:] = [good, None, good, turned_over, good]
    cosines = iter([0.9, 0.2, 0.8])
    monkeypatch.setattr(animated, "_likeness", lambda *a: next(cosines))
    found = track_animated([photo.image] * 5, avatar, photo, avatar.head)
    assert found.made == 5 and len(found.frames) == 2
    assert found.dropped == Counter(
        {"without a face": 1, "which the head does not fit": 1, "of another person": 1}
    )
    assert "5 frames of the image animator; 3 dropped: 1 without a face" in found.note()
    frame = found.frames[0]
    assert torch.equal(frame.view.params.identity, photo.params.identity)
    assert (frame.rgba[:-8, :, 3] == 255).all() and (frame.rgba[-8:, :, 3] == 0).all()
    again = frames_from_tensors(frames_tensors(found))
    assert again.note() == found.note() and len(again.frames) == 2
    assert np.array_equal(again.frames[1].rgba, found.frames[1].rgba)
    assert torch.equal(again.frames[1].view.camera.K, found.frames[1].view.camera.K)
    assert torch.equal(again.frames[1].view.params.expression, found.frames[1].view.params.expression)


def test_clothes_count_for_nothing_where_the_avatar_has_a_body(
    scene: Scene, found_faces: list[Detection | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar, photo = scene
    monkeypatch.setattr(animated, "_likeness", lambda *a: 1.0)
    (frame,) = track_animated([photo.image], avatar, photo, avatar.head, with_body=True).frames
    weight = frame_target(frame).weight
    assert float(weight[-8:].max()) < 0.02 and float(weight[:-8].min()) == 1


def test_a_tiny_network_of_the_official_kind_makes_the_coarse_video(
    scene: Scene,
    tiny_animator: None,
    found_faces: list[Detection | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    avatar, photo = scene
    monkeypatch.setattr(animated, "_likeness", lambda *a: 1.0)
    animator = available_animator()
    assert animator is not None and animator.name == "facevid2vid"
    clip = script_clip(avatar, 3, 64)
    assert clip.frames.shape == (3, 64, 64, 3)
    found = make_animated(animator, avatar, photo, avatar.head, count=3, side=64)
    assert found.made == len(found.frames) == 3
    assert found.frames[0].rgba.shape == (64, 64, 4)

    fake = SimpleNamespace(reconstruct=lambda *a, **k: avatar, Options=get_method().Options)
    monkeypatch.setattr(method, "get_method", lambda: fake)
    monkeypatch.setattr(running, "FIELD_SIDE", 64)
    monkeypatch.setattr(running, "FIELD_FIRST", FieldTraining(rays=96))
    monkeypatch.setattr(loop, "is_identity_lost", lambda before, now: False)
    given: dict[str, Any] = {"representation": "field", "rounds": 1, "video_frames": 2, "always": True}
    options = make_options(OhpAvatars(), {**given, "field_iterations": 3, "steps_folder": tmp_path / "s"})
    assert isinstance(options, OhpAvatarsOptions)
    done = OhpAvatars().reconstruct([photo], avatar.head, options)
    assert isinstance(done, FieldAvatar)
    notes, used = done.provenance.warnings, done.provenance.weights
    assert any("2 frames of the image animator" in note for note in notes)
    assert any("CC BY-NC" in str(w.get("licence")) for w in used)
    assert (tmp_path / "s" / "animated.safetensors").is_file()
    calls: list[int] = []
    monkeypatch.setattr(running, "make_animated", lambda *a, **k: calls.append(1))
    OhpAvatars().reconstruct([photo], avatar.head, options)
    assert not calls  # the frames are taken from their step


def test_an_animator_that_shows_no_face_is_an_error_with_a_remedy(
    scene: Scene, tiny_animator: None, found_faces: list[Detection | None]
) -> None:
    avatar, photo = scene
    found_faces[:] = [None, None]
    with pytest.raises(HeadcastError, match=r"2 dropped: 2 without a face.*--frames-from avatar"):
        make_animated(get_animator("facevid2vid"), avatar, photo, avatar.head, count=2, side=64)


def test_without_weights_the_avatar_is_rendered(tmp_path: Path) -> None:
    assert available_animator() is None
    assert running.chosen_animator(OhpAvatarsOptions()) is None
    OhpAvatars().check(OhpAvatarsOptions())
    with pytest.raises(HeadcastError, match="--frames-from animator: no weights"):
        OhpAvatars().check(OhpAvatarsOptions(frames_from="animator"))
    with pytest.raises(HeadcastError, match=r"--driver .*leave it out"):
        OhpAvatars().check(OhpAvatarsOptions(driver=tmp_path / "talk.mp4"))
