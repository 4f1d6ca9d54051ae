"""Photos of one person are told from photos of two by shape and appearance together."""

from __future__ import annotations

import numpy as np
import pytest

from headcast.errors import HeadcastError
from headcast.observe.same_person import FACE_SCALE, SHAPE_SCALE, PersonTraits, check_one_person


def traits(name: str, shape: float = 0.0, face: float = 0.0, yaw: float = 0.0) -> PersonTraits:
    """Traits at given distances, over their scales, from those of all zeros."""
    direction = np.array([np.sin(np.radians(yaw)), 0, np.cos(np.radians(yaw))])
    cosine = 1 - face * FACE_SCALE
    vector = np.array([cosine, np.sqrt(max(0.0, 1 - cosine**2)), 0.0])
    return PersonTraits(name, direction, np.r_[shape * SHAPE_SCALE, np.zeros(40)], vector)


def test_one_person_is_nothing_to_say() -> None:
    assert check_one_person([traits("a.jpg"), traits("b.jpg", 0.6, 0.5), traits("c.jpg", 0.2, 0.3)]) == ()


def test_two_people_are_refused_by_the_names_of_the_files() -> None:
    with pytest.raises(HeadcastError, match=r"a\.jpg and c\.jpg: show two different people"):
        check_one_person([traits("a.jpg"), traits("b.jpg", 0.1, 0.1), traits("c.jpg", 2.0, 2.5)])


def test_doubt_warns_by_the_names_of_the_files() -> None:
    (note,) = check_one_person([traits("a.jpg"), traits("b.jpg", 1.2, 1.2)])
    assert note.startswith("a.jpg and b.jpg may show two different people")


@pytest.mark.parametrize(("shape", "face"), [(3.0, 0.5), (0.5, 3.0)])
def test_shape_or_appearance_alone_decides_nothing(shape: float, face: float) -> None:
    assert check_one_person([traits("a.jpg"), traits("b.jpg", shape, face)]) == ()


def test_other_directions_are_not_compared() -> None:
    assert check_one_person([traits("a.jpg", yaw=-20), traits("b.jpg", 3, 3, yaw=20)]) == ()
    assert check_one_person([traits("a.jpg", yaw=40), traits("b.jpg", 3, 3, yaw=42)]) == ()


def test_a_photo_between_makes_a_refusal_a_warning() -> None:
    both = [traits("a.jpg"), traits("b.jpg", 1.7, 1.7), traits("c.jpg", 0.85, 0.85)]
    assert len(check_one_person(both)) == 1
