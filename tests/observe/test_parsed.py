"""Label images of a whole photo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headcast.image import load_image
from headcast.observe import parsed
from headcast.observe.detection import Detection, Masks
from headcast.observe.masks import ParsedImage
from headcast.observe.types import Observation
from headcast.synth.config import LABELS

SKIN, HAIR = LABELS.index("skin"), LABELS.index("hair")


def test_labels_are_written_at_the_photos_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, half = np.full((80, 120, 3), 128, np.uint8), (40, 60)
    face = Detection(np.zeros((478, 2), np.float32), (20.0, 20.0, 80.0, 60.0), 1.0)
    left = (np.mgrid[:40, :60][1] < 30).astype(np.float32)
    probability = {n: np.zeros(half, np.float32) for n in LABELS} | {"skin": left, "hair": 1 - left}
    found = ParsedImage(rgb[::2, ::2], replace(face, box=(10.0, 10.0, 40.0, 30.0)), left, probability)
    monkeypatch.setattr(parsed, "parse_image", lambda *_: found)
    person = np.ones((80, 120), np.float32)
    person[:20] = 0
    none = np.zeros_like(person)
    masks = Masks(person=person, skin=none, hair=none, clothes=none, glasses=none)
    o = object.__new__(Observation)  # a camera and a fit are of no use here
    for name, value in (("image", rgb), ("detection", face), ("masks", masks)):
        object.__setattr__(o, name, value)
    parsed.write_labels(o, tmp_path / "report")
    label = load_image(tmp_path / "report" / "labels.png").rgb[..., 0]
    assert label.shape == (80, 120) and (label[:20] == 0).all()
    assert (label[24:, :56] == SKIN).all() and (label[24:, 64:] == HAIR).all()
    assert (tmp_path / "report" / "labels_colour.png").is_file()
