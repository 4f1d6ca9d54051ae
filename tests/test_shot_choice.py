"""Of a clip with cuts the longest shot that shows what is wanted is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headcast.observe.detection import Detection
from headcast.observe.people import PROBES, PeopleVisitor
from headcast.video import Scan, read_video, write_video


def shot(level: int, count: int) -> list[np.ndarray]:
    """Frames of a texture that moves, of a colour of its own."""
    rng = np.random.default_rng(level)
    texture = rng.integers(0, 120, (96, 160, 3)).astype(np.uint8)
    texture[..., level % 3] += 120
    texture = np.kron(texture[::12, ::16], np.ones((12, 16, 1), np.uint8))
    return [np.roll(texture, t, axis=1) for t in range(count)]


@pytest.fixture(scope="module")
def cut_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shots of 20, 30 and 25 frames, red, green, blue."""
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    write_video(path, [*shot(0, 20), *shot(1, 30), *shot(2, 25)], 25)
    return path


def shows(channel: int, scan: Scan, run: slice) -> bool:
    """Whether a shot is of one colour."""
    assert scan.frames is not None
    return int(scan.frames[run.start].mean((0, 1)).argmax()) == channel


@pytest.mark.parametrize(("channel", "count"), [(0, 20), (1, 30), (2, 25)])
def test_the_longest_wanted_shot_is_read(cut_clip: Path, channel: int, count: int) -> None:
    clip = read_video(cut_clip, is_wanted=lambda scan, run: shows(channel, scan, run))
    assert len(clip.frames) == count
    kind = "the longest shot, " if channel == 1 else "the longest shot with a face, "
    assert kind in clip.notes[0]


def test_the_longest_is_read_where_none_is_wanted(cut_clip: Path) -> None:
    assert len(read_video(cut_clip, is_wanted=lambda scan, run: False).frames) == 30


class Counter:
    """Detect a face in green frames only."""

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, frame: np.ndarray, refine: bool = True, turned: bool = True) -> list[Detection]:
        """One face or none."""
        self.calls += 1
        face = Detection(np.zeros((478, 2), np.float32), (0, 0, 1, 1), 1.0)
        return [face] if frame.mean((0, 1)).argmax() == 2 else []

    def close(self) -> None:
        """Nothing to close."""


def test_shots_are_probed_for_faces_from_the_longest_on(cut_clip: Path) -> None:
    visitor = PeopleVisitor(lambda n: None)
    visitor.detector = detector = Counter()  # type: ignore[assignment]
    clip = read_video(cut_clip, is_wanted=visitor.shows_face)
    assert len(clip.frames) == 25
    assert detector.calls == 2 * PROBES
