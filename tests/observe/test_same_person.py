"""Photos of one person are told from photos of two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.observe.heads import head

from headcast.demo import demo_photo as find_demo_photo
from headcast.errors import HeadcastError
from headcast.observe.observe import observe_photos
from headcast.observe.same_person import (
    CERTAIN,
    DOUBT,
    FACE_SCALE,
    SHAPE_SCALE,
    PhotoTraits,
    check_one_person,
)


def described(name: str, x: float, yaw: float = 0.0) -> PhotoTraits:
    """A photo whose descriptor lies at x on a line."""
    return PhotoTraits(
        name=name, direction=direction(yaw), shape=np.zeros(41), face=None, descriptor=np.r_[x, np.zeros(127)]
    )


def fitted(name: str, shape: float = 0.0, face: float = 0.0, yaw: float = 0.0) -> PhotoTraits:
    """A photo without a descriptor, at given distances, over their scales, from one of all zeros."""
    cosine = 1 - face * FACE_SCALE
    vector = np.array([cosine, np.sqrt(max(0.0, 1 - cosine**2)), 0.0])
    return PhotoTraits(
        name=name, direction=direction(yaw), shape=np.r_[shape * SHAPE_SCALE, np.zeros(40)], face=vector
    )


def direction(yaw: float) -> np.ndarray:
    """The direction of a level face."""
    return np.array([np.sin(np.radians(yaw)), 0, np.cos(np.radians(yaw))])


def test_one_person_is_nothing_to_say() -> None:
    assert check_one_person([described(f"{x}.jpg", x) for x in (0.0, 0.3, 0.5)]) == ()


def test_two_people_are_refused_by_the_names_of_the_files() -> None:
    photos = [described("a.jpg", 0), described("b.jpg", 0.1), described("c.jpg", CERTAIN + 0.2)]
    with pytest.raises(HeadcastError, match=r"a\.jpg and c\.jpg: show two different people"):
        check_one_person(photos)


@pytest.mark.parametrize("make", [described, lambda name, x: fitted(name, 9 * x, 9 * x)])
def test_doubt_warns_by_the_names_of_the_files(make: Callable[[str, float], PhotoTraits]) -> None:
    (note,) = check_one_person([make("a.jpg", 0.0), make("b.jpg", DOUBT + 0.01)])
    assert note.startswith("a.jpg and b.jpg may show two different people")


def test_a_photo_between_makes_a_refusal_a_warning() -> None:
    far = CERTAIN + 0.05
    photos = [described("a.jpg", 0), described("b.jpg", far), described("c.jpg", far / 2)]
    assert len(check_one_person(photos)) == 1


@pytest.mark.parametrize(("shape", "face"), [(3.0, 0.5), (0.5, 3.0)])
def test_shape_or_encoder_alone_decides_nothing(shape: float, face: float) -> None:
    assert check_one_person([fitted("a.jpg"), fitted("b.jpg", shape, face)]) == ()


def test_other_directions_are_not_compared() -> None:
    assert check_one_person([fitted("a.jpg", yaw=-20), fitted("b.jpg", 3, 3, yaw=20)]) == ()
    assert check_one_person([fitted("a.jpg", yaw=40), fitted("b.jpg", 3, 3, yaw=42)]) == ()
    assert check_one_person([described("a.jpg", 0), described("b.jpg", 2, yaw=55)]) == ()


def test_photos_from_other_directions_may_differ_more() -> None:
    far = CERTAIN + 0.02
    with pytest.raises(HeadcastError):
        check_one_person([described("a.jpg", 0), described("b.jpg", far, yaw=10)])
    assert check_one_person([described("a.jpg", 0), described("b.jpg", far, yaw=35)]) == ()


def test_two_people_in_two_photos_are_refused(demo_photo: Path) -> None:
    pytest.importorskip("dlib")
    pytest.importorskip("matplotlib")  # it carries the photo
    hopper = find_demo_photo("hopper")
    with pytest.raises(HeadcastError, match=r"astronaut\.png and .*grace_hopper\.jpg: show two different"):
        observe_photos([demo_photo, hopper], head())
