"""ARKit weights in JSON, as different programs write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headcast.errors import HeadcastError
from headcast.head.names import EXPRESSIONS
from headcast.motion.arkit_json import read_arkit_json

NAMES = sorted(EXPRESSIONS)


def written(data: Any, tmp_path: Path) -> Path:
    path = tmp_path / "talk.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def lam(frames: int = 4) -> dict[str, Any]:
    """A stream as LAM writes it: names in alphabetical order."""
    rows = [[0.01 * i + 0.1 * t for i in range(52)] for t in range(frames)]
    each = [{"weights": row, "time": t / 25, "rotation": []} for t, row in enumerate(rows)]
    return {"names": NAMES, "metadata": {"blendshapes": 52}, "frames": each}


def test_a_stream_is_read_by_name_whatever_its_order(tmp_path: Path) -> None:
    motion = read_arkit_json(written(lam(), tmp_path))
    assert len(motion) == 4 and motion.fps == 25
    for name in ("jawOpen", "tongueOut", "browDownLeft"):
        assert motion.curve(name).tolist() == pytest.approx(
            [0.01 * NAMES.index(name) + 0.1 * t for t in range(4)]
        )


@pytest.mark.parametrize(
    "data",
    [
        [
            {"time": 0, "blendshapes": {"jawOpen": 0.5}},
            {"time": 0.1, "blendshapes": {"jawOpen": 0.25, "_neutral": 1}},
        ],
        {"fps": 10, "frames": [{"jawOpen": 0.5}, {"jawOpen": 0.25}]},
        {
            "fps": 10,
            "frames": [{"weights": {"jawOpen": 0.5}}, {"weights": {"jawOpen": 0.25, "mouthPucker": 0}}],
        },
        {"fps": 10, "jawOpen": [0.5, 0.25], "mouthPucker": [0, 0]},
    ],
)
def test_named_frames_and_curves(data: Any, tmp_path: Path) -> None:
    motion = read_arkit_json(written(data, tmp_path))
    assert motion.fps == 10 and motion.curve("jawOpen").tolist() == [0.5, 0.25]
    assert float(motion.expression.sum()) == pytest.approx(0.75)


@pytest.mark.parametrize(
    "data, words",
    [
        ({"frames": [{"JawOpen": 1}]}, "frame 1: unknown expression 'JawOpen'; did you mean 'jawOpen'"),
        ({"names": ["eyeBlink_L"], "frames": [{"weights": [1]}]}, "'eyeBlink_L'; did you mean 'eyeBlink"),
        ({"names": NAMES[:3], "frames": [{"weights": [1, 2]}]}, "2 weights without as many 'names'"),
        ({"frames": [{"jawOpen": "wide"}]}, "jawOpen is wide"),
        ({"frames": [{"jawOpen": 1e9}]}, "give a weight"),
        ('{"frames": [{"jawOpen": NaN}]}', "jawOpen is nan"),
        ({"frames": []}, "no frame"),
        ([], "no frame"),
        ({"jawOpen": [1, 2], "mouthPucker": [1]}, "differ in length"),
        ("{", "not a readable JSON"),
        ("3", "no recording"),
        ({"frames": [{"jawOpen": 1, "rotation": [1, 0, 0]}]}, "rotation"),
        ({"frames": [3]}, "frame 1"),
        ({"fps": "fast", "frames": [{"jawOpen": 1}]}, "fps is fast"),
        ("[" * 100_000, "not a readable JSON"),
    ],
)
def test_mistakes_are_named(data: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(HeadcastError) as e:
        read_arkit_json(written(data, tmp_path))
    assert words in str(e.value) and "talk.json" in str(e.value) and "\n" not in str(e.value)
