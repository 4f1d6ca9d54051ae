"""Whether photos given together show one person.

The bundled identity network tells (docs/results/encoder.md), for photos from similar directions: its
vectors of one person differ with the direction as much as between people.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from headcast.errors import HeadcastError
from headcast.observe.detection import Detection
from headcast.observe.fit import Fitter

__all__ = ["MAX_DISTANCE", "PhotoTraits", "check_one_person", "measure_traits"]

MAX_DISTANCE = 0.82
"""Distance (1 - the vectors' dot product) of one person's photos; docs/results/encoder.md."""
MAX_OFF_CAMERA = 30.0  # degrees between where a face looks and the camera, for it to be compared
MAX_TURN = 25.0  # degrees between two photos' directions


class PhotoTraits(NamedTuple):
    """What tells people apart in one photo.

    Attributes:
        name: the file.
        direction: unit vector out of the face, in the camera's axes.
        face: unit vector of the identity network; None without its weights.
    """

    name: str
    direction: Float[np.ndarray, "3"]
    face: Float[np.ndarray, "d"] | None


def measure_traits(
    rgb: UInt8[np.ndarray, "h w 3"],
    detection: Detection,
    fitter: Fitter,
    focal_35mm: float | None,
    name: str,
) -> PhotoTraits:
    """Fit one photo by itself and embed its face."""
    from headcast.priors.embedding import embed_face, identity_available

    height, width = rgb.shape[:2]
    fit = fitter.fit_photo(detection, width, height, focal_35mm)
    face = embed_face(rgb, detection.points) if identity_available() else None
    return PhotoTraits(name, fit.frame.rotation[:, 2], face)


def difference(a: PhotoTraits, b: PhotoTraits) -> float | None:
    """Return the distance of two faces; None: not comparable."""
    if a.face is None or b.face is None:
        return None
    if max(degrees_off_camera(x.direction) for x in (a, b)) > MAX_OFF_CAMERA:
        return None
    if float(a.direction @ b.direction) < np.cos(np.radians(MAX_TURN)):
        return None
    return 1 - float(a.face @ b.face)


def degrees_off_camera(direction: Float[np.ndarray, "3"]) -> float:
    """Return the angle between where a face looks and the camera."""
    return float(np.degrees(np.arccos(np.clip(direction[2], -1, 1))))


def check_one_person(traits: Sequence[PhotoTraits], same_person: bool = False) -> tuple[str, ...]:
    """Compare all photos of a person; return a warning for those that may show another.

    Args:
        same_person: the user says that all photos show one person: nothing is refused.

    Raises:
        HeadcastError: two photos seem to show two people.
    """
    doubts = []
    for a, b in combinations(traits, 2):
        evidence = difference(a, b)
        if evidence is None or evidence < MAX_DISTANCE:
            continue
        if not same_person and not any(links(a, b, c) for c in traits if c is not a and c is not b):
            raise HeadcastError(
                f"{a.name} and {b.name}: seem to show two people; leave one of them away, or say that they"
                " show one person with --same-person"
            )
        doubts.append(f"{a.name} and {b.name} may show two different people; then leave one of them away")
    return tuple(doubts)


def links(a: PhotoTraits, b: PhotoTraits, c: PhotoTraits) -> bool:
    """Whether a third photo resembles two that differ, so that all three may show one person."""
    evidence = [difference(a, c), difference(b, c)]
    return all(e is not None and e < MAX_DISTANCE for e in evidence)
