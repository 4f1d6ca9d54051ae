"""How often a video is decoded by what is made of it, when it is too large for memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fake_avatar import FakeAvatar

from headcast.video import LazyFrames, Reader, read_video
from headcast.video_out import write_video

pytest.importorskip("av", reason="the light core has no video codecs")

COUNT, SIDE = 14, 256


@pytest.fixture
def clip(demo_photo: Path, tmp_path: Path) -> Path:
    """A face that moves a little."""
    from headcast.image import load_image

    rgb = load_image(demo_photo).rgb
    frames = [rgb[2 * t : 2 * t + SIDE, 90 + t : 90 + t + SIDE] for t in range(COUNT)]
    write_video(tmp_path / "clip.mp4", frames, 25)
    return tmp_path / "clip.mp4"


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Frames decoded in each pass; at most 3 frames fit in memory."""
    counts: list[int] = []
    decode = Reader.decode

    def counted(self: Reader) -> Iterator[Any]:
        counts.append(0)
        k = len(counts) - 1
        for frame in decode(self):
            counts[k] += 1
            yield frame

    monkeypatch.setattr(Reader, "decode", counted)
    monkeypatch.setattr("headcast.video.MAX_BYTES", 3 * SIDE * SIDE * 3)
    return counts


def test_create_decodes_a_video_twice(clip: Path, passes: list[int]) -> None:
    from headcast.head.model import HeadModel
    from headcast.observe.observe import observe_video

    observations, _ = observe_video(clip, HeadModel.load(), count=3)
    assert 2 <= len(observations) <= 3  # two of the chosen frames may have the same sharpest neighbour
    assert len(passes) <= 2 and sum(passes) <= 2 * COUNT


def test_what_is_seen_does_not_depend_on_memory(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from headcast.observe.track import read_and_detect

    whole = read_and_detect(clip)
    monkeypatch.setattr("headcast.video.MAX_BYTES", 3 * SIDE * SIDE * 3)
    lazy = read_and_detect(clip)
    assert isinstance(whole.clip.frames, np.ndarray) and isinstance(lazy.clip.frames, LazyFrames)
    assert lazy.sharpness == whole.sharpness
    for a, b in zip(lazy.detections, whole.detections, strict=True):
        assert a is not None and b is not None and np.array_equal(a.points, b.points)


@pytest.mark.parametrize("side_by_side", [False, True])
def test_animate_decodes_the_driver_twice(
    clip: Path, passes: list[int], tmp_path: Path, side_by_side: bool
) -> None:
    from headcast.api import animate

    animate(FakeAvatar(), clip, tmp_path / "out.mp4", size=(96, 96), side_by_side=side_by_side)
    assert passes[0] == COUNT and len(passes) <= 2
    assert len(read_video(tmp_path / "out.mp4").times) == COUNT


def test_visitor_sees_every_frame_once_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.test_video import scene

    frames = [scene(t, 1) for t in range(15)] + [scene(t, 5) for t in range(35)]
    write_video(tmp_path / "a.mp4", frames, 25)
    whole = read_video(tmp_path / "a.mp4", visit=lambda frame, new_shot: frame.mean())
    assert whole.visited is None
    monkeypatch.setattr("headcast.video.MAX_BYTES", 5 * frames[0].nbytes)
    cuts: list[bool] = []

    def visit(frame: np.ndarray, new_shot: bool) -> float:
        cuts.append(new_shot)
        return float(frame.mean())

    lazy = read_video(tmp_path / "a.mp4", visit=visit)
    assert [k for k, cut in enumerate(cuts) if cut] == [15] and len(cuts) == 50
    assert lazy.visited == tuple(float(f.mean()) for f in whole.frames)
