"""Expression distance: its formula, what is refused, and a real smile where the network is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headcast.errors import HeadcastError
from headcast.image import load_image
from headcast.metrics.blendshapes import BLENDSHAPES, NEUTRAL, BlendshapeNetwork, expression_distance

SMILE_LEFT, SMILE_RIGHT = 44, 45


def test_the_neutral_score_is_no_expression() -> None:
    a, b = np.zeros((2, BLENDSHAPES), np.float32)
    b[NEUTRAL] = 1
    assert expression_distance(a, b) == 0
    b[[3, 7]] = 0.5, 0.25
    assert expression_distance(a, b) == pytest.approx(0.75 / 51)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(HeadcastError, match=r"gone.task: no such file; give --blendshapes FILE"):
        BlendshapeNetwork(tmp_path / "gone.task")
    (tmp_path / "text.task").write_text("no bundle")
    with pytest.raises(HeadcastError, match=r"text.task: not MediaPipe's face_landmarker.task"):
        BlendshapeNetwork(tmp_path / "text.task")


def test_a_smile_is_read(shared: Path) -> None:
    network = BlendshapeNetwork(shared / "data" / "mediapipe" / "face_landmarker.task")
    neutral, smile = (
        network.scores(load_image(shared / "data" / "london" / f"L002_{e}.jpg", 800).rgb)
        for e in ("neutral", "smile")
    )
    assert neutral is not None and smile is not None and neutral.shape == (BLENDSHAPES,)
    smiling = [SMILE_LEFT, SMILE_RIGHT]
    assert smile[smiling].min() > 0.6 and neutral[smiling].max() < 0.2
    assert expression_distance(neutral, smile) > 0.05
    assert network.scores(np.zeros((200, 160, 3), np.uint8)) is None
    network.close()
