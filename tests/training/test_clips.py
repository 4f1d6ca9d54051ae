"""Clips that can be understood are found; the others are passed over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headcast.errors import HeadcastError
from headcast.image import save_png
from headcast.training.clips import open_clips, understood_clip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three clips of six frames; the k-th clip's frames have the red value 10 k + number."""
    for k in range(3):
        (tmp_path / f"clip{k}").mkdir()
        for t in range(6):
            save_png(tmp_path / f"clip{k}" / f"{t}.png", np.full((64, 64, 3), 10 * k + t, np.uint8))
    return tmp_path


def red(frames: np.ndarray) -> list[int]:
    """The frames' values."""
    return [int(f[0, 0, 0]) for f in frames]


def test_windows_have_their_stride_and_are_a_function_of_the_number(folder: Path) -> None:
    clips = open_clips(str(folder), 2, 3, 0)
    assert clips is open_clips(str(folder), 2, 3, 0) and clips is not open_clips(str(folder), 2, 3, 1)
    found = [understood_clip(clips, n, red) for n in range(6)]
    assert found == [understood_clip(clips, n, red) for n in range(6)]
    assert all(b - a == 3 for a, b in found) and len({tuple(f) for f in found}) > 1


def test_what_cannot_be_understood_is_passed_over(folder: Path) -> None:
    asked: list[int] = []

    def fussy(frames: np.ndarray) -> int:
        asked.append(red(frames)[0] // 10)
        if asked[-1] != 2:
            raise HeadcastError("nobody here")
        return asked[-1]

    assert understood_clip(open_clips(str(folder), 1, 1, 0), 0, fussy) == 2
    assert asked[-1] == 2


def test_too_many_of_them_end_it_with_the_reason(folder: Path) -> None:
    asked: list[int] = []

    def never(frames: np.ndarray) -> None:
        asked.append(1)
        raise HeadcastError("nobody here")

    with pytest.raises(HeadcastError, match=r"no head in 3 clips one after the other \(nobody here\)"):
        understood_clip(open_clips(str(folder), 1, 1, 0), 0, never, what="head", tries=3)
    assert len(asked) == 3


def test_other_errors_are_not_hidden(folder: Path) -> None:
    def broken(frames: np.ndarray) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        understood_clip(open_clips(str(folder), 1, 1, 0), 0, broken)
