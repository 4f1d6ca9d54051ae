"""The judge sees what it should on a real photo, and counts what is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headcast.errors import HeadcastError
from headcast.evaluate.judge import LOST, Judge, summary
from headcast.image import load_image


def test_a_picture_is_itself_and_grey_is_lost(demo_photo: Path) -> None:
    pytest.importorskip("dlib", reason="dlib comes with the extra metrics")
    rgb = load_image(demo_photo).rgb
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    with Judge() as judge:
        same = judge.compare(rgb, opaque, "same")
        gone = judge.compare(rgb, opaque * 0, "gone")
        with pytest.raises(HeadcastError, match="sizes differ"):
            judge.compare(rgb, opaque[1:], "small")
        with pytest.raises(HeadcastError, match="no face"):
            judge.real_points(rgb * 0, "black")
    assert same["akd"] == 0 and same["iddist"] == 0 and same["psnr"] > 100 and same["holes"] == 0
    assert gone["lost"] == 1 and gone["akd"] == LOST["akd"] and gone["holes"] == 1 and gone["psnr"] < 25


def test_summary_takes_the_tail_that_hurts() -> None:
    rows = [{"psnr": float(i), "akd": float(i)} for i in range(101)]
    assert summary(rows) == {"psnr": (50, 10), "akd": (50, 90)}
