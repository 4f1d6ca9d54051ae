"""Whether photos given together show one person: shape of the head and appearance of the face.

Only photos from about the same frontal direction are compared: from other directions, and in other light, the
measures differ as much within one person as between people (docs/results/cases-faces.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.errors import HeadcastError
from headcast.observe.fit import Fitter, FrameFit
from headcast.observe.seen import Detection

__all__ = ["PersonTraits", "check_one_person", "measure_traits"]

MAX_YAW = 25.0  # degrees, for a photo to be compared
MAX_TURN = 15.0  # degrees between two photos' directions
SHAPE_SCALE, FACE_SCALE = 6.0, 0.2  # distances that no two frontal photos of one person in one light exceed
DOUBT, CERTAIN = 1.0, 1.5  # of both distances over these scales, for a warning and for a refusal


class PersonTraits(NamedTuple):
    """What tells people apart in one photo.

    Attributes:
        name: the file.
        direction: unit vector out of the face, in the camera's axes.
        shape: identity coefficients fitted to this photo alone.
        face: unit vector of the identity encoder; None without its weights.
    """

    name: str
    direction: Float[np.ndarray, "3"]
    shape: Float[np.ndarray, "i"]
    face: Float[np.ndarray, "d"] | None


def measure_traits(
    rgb: UInt8[np.ndarray, "h w 3"],
    detection: Detection,
    fitter: Fitter,
    focal_35mm: float | None,
    name: str,
) -> PersonTraits:
    """Fit one photo by itself and encode its face."""
    height, width = rgb.shape[:2]
    fit = fitter.fit_photo(detection, width, height, focal_35mm)
    return PersonTraits(name, face_direction(fit), fit.shared.identity, encode_face(rgb, detection))


def face_direction(fit: FrameFit) -> Float[np.ndarray, "3"]:
    """Return the direction in which a fitted face looks."""
    return fit.frame.rotation[:, 2]


def encode_face(rgb: UInt8[np.ndarray, "h w 3"], detection: Detection) -> Float[np.ndarray, "d"] | None:
    """Return the identity encoder's unit vector of a face; None without its weights."""
    from headcast.priors.encoder import available, face_crops, load_encoder

    if not available("losses"):
        return None
    image = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        crop = face_crops(image, torch.tensor([detection.box], dtype=torch.float32))
        return load_encoder("losses").embed(crop)[0].numpy()


def difference(a: PersonTraits, b: PersonTraits) -> float | None:
    """Return the evidence for two people: the lesser of both distances in their scales; None: no telling."""
    frontal = np.cos(np.radians(MAX_YAW))
    if min(np.hypot(x.direction[1], x.direction[2]) for x in (a, b)) < frontal:
        return None
    if float(a.direction @ b.direction) < np.cos(np.radians(MAX_TURN)) or a.face is None or b.face is None:
        return None
    shape = float(np.linalg.norm(a.shape - b.shape)) / SHAPE_SCALE
    return min(shape, (1 - float(a.face @ b.face)) / FACE_SCALE)


def check_one_person(traits: Sequence[PersonTraits]) -> tuple[str, ...]:
    """Compare all photos of a person; return a warning for those that may show another.

    Raises:
        HeadcastError: two photos certainly show two people.
    """
    doubts = []
    for a, b in combinations(traits, 2):
        evidence = difference(a, b)
        if evidence is None or evidence < DOUBT:
            continue
        if evidence >= CERTAIN and not any(links(a, b, c) for c in traits if c is not a and c is not b):
            raise HeadcastError(
                f"{a.name} and {b.name}: show two different people; give photos of one person only"
            )
        doubts.append(f"{a.name} and {b.name} may show two different people; then leave one of them away")
    return tuple(doubts)


def links(a: PersonTraits, b: PersonTraits, c: PersonTraits) -> bool:
    """Whether a third photo resembles two that differ, so that all three may show one person."""
    evidence = [difference(a, c), difference(b, c)]
    return all(e is not None and e < DOUBT for e in evidence)
