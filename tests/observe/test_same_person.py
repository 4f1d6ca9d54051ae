"""Photos of one person are told from photos of two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.observe.heads import head

from headcast.errors import HeadcastError
from headcast.image import load_image
from headcast.observe.landmarks import FaceDetector
from headcast.observe.observe import observe_photos
from headcast.observe.same_person import (
    MAX_DISTANCE,
    MAX_OFF_CAMERA,
    MAX_TURN,
    PhotoTraits,
    check_one_person,
)
from headcast.priors.embedding import embed_face


def embedded(name: str, distance: float, yaw: float = 0.0) -> PhotoTraits:
    """A photo whose face lies at a distance from one at zero, in a plane."""
    cosine = 1 - distance
    return PhotoTraits(name, direction(yaw), np.array([cosine, np.sqrt(max(0.0, 1 - cosine**2)), 0.0]))


def direction(yaw: float) -> np.ndarray:
    """The direction of a level face."""
    return np.array([np.sin(np.radians(yaw)), 0, np.cos(np.radians(yaw))])


def test_one_person_is_nothing_to_say() -> None:
    photos = [embedded(f"{x}.jpg", x) for x in (0.0, MAX_DISTANCE / 2, MAX_DISTANCE - 0.01)]
    assert check_one_person(photos) == ()


def test_two_people_are_refused_by_the_names_of_the_files() -> None:
    photos = [embedded("a.jpg", 0), embedded("b.jpg", 0.05), embedded("c.jpg", MAX_DISTANCE + 0.4)]
    with pytest.raises(HeadcastError, match=r"a\.jpg and c\.jpg: seem to show two people.*--same-person"):
        check_one_person(photos)


def test_who_says_that_it_is_one_person_is_warned_by_the_names_of_the_files() -> None:
    photos = [embedded("a.jpg", 0.0), embedded("b.jpg", MAX_DISTANCE + 0.01)]
    (note,) = check_one_person(photos, same_person=True)
    assert note.startswith("a.jpg and b.jpg may show two different people")


def test_a_photo_between_makes_a_refusal_a_warning() -> None:
    photos = [embedded("a.jpg", 0), embedded("b.jpg", MAX_DISTANCE + 0.02), embedded("c.jpg", 0.3)]
    assert len(check_one_person(photos)) == 1


def test_other_directions_are_not_compared() -> None:
    turned = MAX_TURN / 2 + 2
    assert check_one_person([embedded("a.jpg", 0, yaw=-turned), embedded("b.jpg", 1.5, yaw=turned)]) == ()
    side = MAX_OFF_CAMERA + 5
    assert check_one_person([embedded("a.jpg", 0, yaw=side), embedded("b.jpg", 1.5, yaw=side)]) == ()
    with pytest.raises(HeadcastError):
        check_one_person([embedded("a.jpg", 0), embedded("b.jpg", 1.5, yaw=10)])


def test_without_weights_nothing_is_said() -> None:
    photos = [PhotoTraits(f"{k}.jpg", direction(0), None) for k in "ab"]
    assert check_one_person(photos) == ()


def test_observation_compares_its_photos(demo_photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the network gives each photo a vector of its own."""
    vectors = iter(2 * [np.array([1.0, 0.0]), np.array([0.0, 1.0])])
    monkeypatch.setattr("headcast.priors.embedding.embed_face", lambda rgb, points: next(vectors))
    photos = [replace(load_image(demo_photo), name=name) for name in ("a.png", "b.png")]
    with pytest.raises(HeadcastError, match=r"a\.png and b\.png: seem to show two people"):
        observe_photos(photos, head())
    observations = observe_photos(photos, head(), same_person=True)
    assert any("two different people" in note for note in observations[0].notes)


@pytest.mark.parametrize("change", ["dark", "warm", "small", "grey", "mirrored"])
def test_one_photo_varied_is_one_person(demo_photo: Path, change: str) -> None:
    rgb = load_image(demo_photo).rgb
    x = rgb.astype(float)
    varied = {
        "dark": lambda: 255 * (x / 255) ** 1.8 * 0.7,
        "warm": lambda: x * [1.15, 1, 0.7],
        "small": lambda: x[::3, ::3],
        "grey": lambda: np.repeat(x.mean(2, keepdims=True), 3, 2),
        "mirrored": lambda: x[:, ::-1],
    }[change]()
    other = np.ascontiguousarray(varied.clip(0, 255).astype(np.uint8))
    with FaceDetector() as detector:
        a, b = (embed_face(image, detector.detect(image)[0].points) for image in (rgb, other))
    assert 1 - float(a @ b) < 0.3
