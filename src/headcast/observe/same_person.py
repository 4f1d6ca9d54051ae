"""Whether photos given together show one person.

dlib's face descriptor tells, where the metrics extra is installed. Without it the shape of the head and the
bundled encoder can only raise doubts, and only between frontal photos: from other directions, in other light
they differ as much within one person as between people (docs/results/cases-faces.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.errors import HeadcastError
from headcast.observe.fit import Fitter
from headcast.observe.seen import Detection

__all__ = ["PersonTraits", "check_one_person", "measure_traits"]

MAX_YAW = 25.0  # degrees, for a photo to be compared
MAX_TURN = 15.0  # degrees between two photos' directions
SHAPE_SCALE, FACE_SCALE = 6.0, 0.2  # distances that no two frontal photos of one person in one light exceed
DOUBT, CERTAIN = 0.6, 0.7  # of dlib's distance: a warning, a refusal
MAX_DESCRIPTOR_YAW = 45.0  # degrees, for dlib's distance to be used


class PersonTraits(NamedTuple):
    """What tells people apart in one photo.

    Attributes:
        name: the file.
        direction: unit vector out of the face, in the camera's axes.
        shape: identity coefficients fitted to this photo alone.
        face: unit vector of the identity encoder; None without its weights.
        descriptor: dlib's; None where it is not installed.
    """

    name: str
    direction: Float[np.ndarray, "3"]
    shape: Float[np.ndarray, "i"]
    face: Float[np.ndarray, "d"] | None
    descriptor: Float[np.ndarray, "128"] | None = None


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
    return PersonTraits(
        name=name,
        direction=fit.frame.rotation[:, 2],
        shape=fit.shared.identity,
        face=encode_face(rgb, detection),
        descriptor=describe_face(rgb, detection),
    )


def describe_face(rgb: UInt8[np.ndarray, "h w 3"], detection: Detection) -> Float[np.ndarray, "128"] | None:
    """Return dlib's descriptor of a face; None where the metrics extra is not installed."""
    from headcast.metrics.face import identity_descriptor

    if find_spec("dlib") is None or find_spec("face_recognition_models") is None:
        return None
    return identity_descriptor(rgb, detection.points)


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
    """Return the evidence for two people, on the scale of dlib's distance; None: there is no telling."""
    if a.descriptor is not None and b.descriptor is not None:
        if not faces_camera(a, MAX_DESCRIPTOR_YAW) or not faces_camera(b, MAX_DESCRIPTOR_YAW):
            return None
        return float(np.linalg.norm(a.descriptor - b.descriptor))
    if a.face is None or b.face is None or not faces_camera(a, MAX_YAW) or not faces_camera(b, MAX_YAW):
        return None
    if float(a.direction @ b.direction) < np.cos(np.radians(MAX_TURN)):
        return None
    shape = float(np.linalg.norm(a.shape - b.shape)) / SHAPE_SCALE
    looks = (1 - float(a.face @ b.face)) / FACE_SCALE
    return DOUBT * min(shape, looks, 1.0)


def faces_camera(traits: PersonTraits, limit: float) -> bool:
    """Whether a face is turned to the side by less than a limit in degrees."""
    x, _, z = traits.direction
    return abs(float(np.degrees(np.arctan2(x, z)))) < limit


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
