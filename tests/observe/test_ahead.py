"""A helping process finds what this one would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from headcast.observe import ahead


def test_finds_the_same(demo_photo: Path) -> None:
    ahead.begin([demo_photo])
    try:
        found = ahead.take_results([demo_photo], None)
    finally:
        ahead.end()
    face = ahead.find_face(demo_photo, None)
    if found is None:  # a single processor
        return
    got = found[0]
    assert np.array_equal(got.detection.points, face.detection.points)
    assert got.detection.box == face.detection.box and got.detection.yaw == face.detection.yaw
    assert (got.turns, got.note) == (face.turns, face.note)


def test_other_questions_are_not_answered(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nothing")
    ahead.begin([bad])
    try:
        assert ahead.take_results([bad], 2) is None
        assert ahead.take_results([bad], None) is None  # the helper failed: whoever asks looks for himself
    finally:
        ahead.end()


def test_needs_no_torch() -> None:
    code = (
        "import sys, headcast.image, headcast.observe.ahead, headcast.observe.masks;"
        "import headcast.observe.landmarks, headcast.observe.glasses;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
