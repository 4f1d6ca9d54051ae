"""Label images of a whole photo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headcast.image import load_image
from headcast.observe import parsed
from headcast.observe.detection import Detection, Masks
from headcast.observe.landmark_points import IRIS_LEFT, IRIS_RIGHT, OVAL
from headcast.observe.masks import ParsedImage
from headcast.observe.parsed import fuse_labels
from headcast.observe.types import Observation
from headcast.synth.config import LABELS

SKIN, HAIR, EARS, NOSE = (LABELS.index(n) for n in ("skin", "hair", "ears", "nose"))
SIZE = 200


def face_points() -> np.ndarray:
    """Landmarks of a face whose outline is a circle: from 40 to 160 pixels, eyes at 88."""
    points = np.full((478, 2), 100, np.float32)
    angle = np.linspace(0, 2 * np.pi, len(OVAL), endpoint=False)
    points[list(OVAL)] = 100 + 60 * np.stack([np.sin(angle), -np.cos(angle)], 1)
    points[IRIS_LEFT], points[IRIS_RIGHT] = (120, 88), (80, 88)
    return points


def masks_of(**parts: np.ndarray | float) -> Masks:
    """Masks of an image that the person fills."""
    names = ("person", "skin", "hair", "clothes", "glasses")
    flat = np.zeros((SIZE, SIZE), np.float32)
    return Masks(**{n: flat + np.float32(parts.get(n, n == "person")) for n in names})


def probabilities(**given: np.ndarray | float) -> dict[str, np.ndarray]:
    """Probabilities of all labels."""
    flat = np.zeros((SIZE, SIZE), np.float32)
    return {n: flat + np.float32(given.get(n, 0)) for n in LABELS}


def test_hair_is_where_the_masks_say_and_faces_where_the_parser_says() -> None:
    label = fuse_labels(probabilities(skin=0.6, hair=0.4), masks_of(hair=1), face_points())
    assert label[100, 100] == SKIN  # within the outline
    assert (label[:30] == HAIR).all() and (label[100, :20] == HAIR).all()
    person = np.ones((SIZE, SIZE), np.float32)
    person[:10] = 0
    label = fuse_labels(probabilities(skin=1), masks_of(skin=1, person=person), face_points())
    assert (label[:10] == 0).all() and label[20, 100] == SKIN


def test_skin_beside_the_face_is_an_ear_and_a_nose_in_profile_is_none() -> None:
    nose = np.zeros((SIZE, SIZE), np.float32)
    nose[95:105, 140:176] = 0.9  # out of the face
    found = probabilities(skin=(1 - nose) * 0.7, nose=nose)
    label = fuse_labels(found, masks_of(skin=1), face_points())
    assert (label[95:105, 30:38] == EARS).all()
    assert (label[96:104, 162:174] == NOSE).all() and (label[108:112, 163:170] == EARS).all()
    assert label[20, 100] == SKIN and label[180, 100] == SKIN  # above the forehead, below the chin
    assert label[100, 10] == SKIN  # too far out
    sure = fuse_labels(probabilities(skin=0.95), masks_of(skin=1), face_points())
    assert not (sure == EARS).any()  # a cheek
    hair = fuse_labels(probabilities(skin=0.7), masks_of(hair=1), face_points())
    assert not (hair == EARS).any()


def test_labels_are_written_at_the_photos_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, half = np.full((80, 120, 3), 128, np.uint8), (40, 60)
    face = Detection(face_points() * (0.6, 0.4), (20.0, 20.0, 80.0, 60.0), 1.0)
    left = (np.mgrid[:40, :60][1] < 30).astype(np.float32)
    probability = {n: np.zeros(half, np.float32) for n in LABELS} | {"skin": left, "hair": 1 - left}
    found = ParsedImage(rgb[::2, ::2], replace(face, box=(10.0, 10.0, 40.0, 30.0)), left, probability)
    monkeypatch.setattr(parsed, "parse_image", lambda *_: found)
    person = np.ones((80, 120), np.float32)
    person[:20] = 0
    none, skin = np.zeros_like(person), np.repeat(np.repeat(left, 2, 0), 2, 1)
    masks = Masks(person=person, skin=skin, hair=1 - skin, clothes=none, glasses=none)
    o = object.__new__(Observation)  # a camera and a fit are of no use here
    for name, value in (("image", rgb), ("detection", face), ("masks", masks)):
        object.__setattr__(o, name, value)
    parsed.write_labels(o, tmp_path / "report")
    label = load_image(tmp_path / "report" / "labels.png").rgb[..., 0]
    assert label.shape == (80, 120) and (label[:20] == 0).all()
    assert (label[24:, :56] == SKIN).all() and (label[24:, 64:] == HAIR).all()
    assert (tmp_path / "report" / "labels_colour.png").is_file()
