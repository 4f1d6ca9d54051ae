"""Whether photos given together show one person.

dlib's face descriptor tells, where the metrics extra is installed. Without it the shape of the head and the
bundled encoder can only raise doubts, and only between frontal photos: from other directions, in other light
they differ as much within one person as between people (docs/results/cases.md).
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
from headcast.observe.detection import Detection
from headcast.observe.fit import Fitter

__all__ = ["PhotoTraits", "check_one_person", "measure_traits"]

MAX_OFF_CAMERA = 25.0  # degrees, for a photo to be frontal
MAX_TURN = 15.0  # degrees between two photos' directions
SHAPE_SCALE, FACE_SCALE = 6.0, 0.2  # distances that no two frontal photos of one person in one light exceed
DOUBT, CERTAIN = 0.56, 0.65  # of dlib's distance: a warning, a refusal; one frontal person stays below .49
TURN_ALLOWANCE = 0.14  # by which dlib's distance of one person grows between photos from other directions
MAX_DESCRIPTOR_YAW = 45.0  # degrees, for dlib's distance to be used


class PhotoTraits(NamedTuple):
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
) -> PhotoTraits:
    """Fit one photo by itself and encode its face."""
    height, width = rgb.shape[:2]
    fit = fitter.fit_photo(detection, width, height, focal_35mm)
    return PhotoTraits(
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


def difference(a: PhotoTraits, b: PhotoTraits) -> float | None:
    """Return the evidence for two people, on the scale of dlib's distance; None: undecidable."""
    frontal = max(degrees_off_camera(x.direction) for x in (a, b)) < MAX_OFF_CAMERA
    comparable = frontal and float(a.direction @ b.direction) > np.cos(np.radians(MAX_TURN))
    if a.descriptor is not None and b.descriptor is not None:
        if max(abs(yaw_of(x.direction)) for x in (a, b)) > MAX_DESCRIPTOR_YAW:
            return None
        distance = float(np.linalg.norm(a.descriptor - b.descriptor))
        return distance if comparable else distance - TURN_ALLOWANCE
    if a.face is None or b.face is None or not comparable:
        return None
    shape = float(np.linalg.norm(a.shape - b.shape)) / SHAPE_SCALE
    looks = (1 - float(a.face @ b.face)) / FACE_SCALE
    return DOUBT * min(shape, looks, 1.0)


def yaw_of(direction: Float[np.ndarray, "3"]) -> float:
    """Return the degrees by which a face is turned to the side."""
    return float(np.degrees(np.arctan2(direction[0], direction[2])))


def degrees_off_camera(direction: Float[np.ndarray, "3"]) -> float:
    """Return the angle between where a face looks and the camera."""
    return float(np.degrees(np.arccos(np.clip(direction[2], -1, 1))))


def check_one_person(traits: Sequence[PhotoTraits]) -> tuple[str, ...]:
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


def links(a: PhotoTraits, b: PhotoTraits, c: PhotoTraits) -> bool:
    """Whether a third photo resembles two that differ, so that all three may show one person."""
    evidence = [difference(a, c), difference(b, c)]
    return all(e is not None and e < DOUBT for e in evidence)
