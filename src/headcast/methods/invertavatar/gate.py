"""Which frames may add to an avatar: those that show this person, from about the front, sharp, eyes open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from headcast.head.names import EXPRESSION_INDEX
from headcast.image import srgb_table
from headcast.methods.invertavatar.state import FusionState
from headcast.observe.fit import eye_openness
from headcast.observe.report import head_angles
from headcast.observe.types import Observation

__all__ = ["FrameTraits", "measure_frame_traits", "reason_to_skip", "remember_traits"]

MAX_YAW, MAX_PITCH = 60.0, 40.0  # degrees by which a usable head is turned
BLINK_OPENNESS = 0.055  # eyelid gap over eye width, of an eye that is closed
BLINK_WEIGHT = 0.7  # of eyeBlink, with a gap below twice that
MIN_DETAIL = 0.75  # of the usual detail of the frames used, below which a frame is blurred
SIDE = 192  # pixels of the square in which the face's detail is measured
EPS = 2e-3
MIN_PIXELS = 200  # of skin or hair, for a colour
PERSON_LIMIT = 0.80  # distance (1 - cosine) to the frames used, at which it is another person by itself
PERSON_SCALE, SKIN_SCALE, HAIR_SCALE, SHAPE_SCALE = 0.8, 0.9, 1.6, 1.9
"""Differences that each count as one; their mean square is compared with 1: another person."""


class FrameTraits(NamedTuple):
    """What tells frames apart.

    Attributes:
        person: unit identity vector; empty: the network's weights are missing.
        skin, hair: (3,) mean logarithm of linear colour; nan: too little is visible.
        detail: logarithm of the face's finest octave, relative to its contrast.
        own_error: median landmark distance with an identity of the frame's own, % of the eye distance.
    """

    person: Float[np.ndarray, "d"]
    skin: Float[np.ndarray, "3"]
    hair: Float[np.ndarray, "3"]
    detail: float
    own_error: float


def measure_frame_traits(observation: Observation) -> FrameTraits:
    """Measure a frame that was fitted by itself."""
    from headcast.priors.embedding import embed_face, identity_available

    o = observation
    person = embed_face(o.image, o.detection.points) if identity_available() else np.zeros(0)
    skin, hair = (mean_colour(o, name) for name in ("skin", "hair"))
    return FrameTraits(np.asarray(person, np.float64), skin, hair, face_detail(o), o.landmark_error)


def mean_colour(observation: Observation, mask: str) -> Float[np.ndarray, "3"]:
    """Return the mean logarithm of linear colour under a mask of the observation."""
    if observation.masks is None:
        return np.full(3, np.nan)
    x0, y0, x1, y1 = (max(0, int(v)) for v in observation.detection.box)
    if mask == "hair":  # above the face and beside it
        height = y1 - y0
        y0, y1, x0, x1 = max(0, y0 - height // 2), y1, max(0, x0 - height // 4), x1 + height // 4
    inside = getattr(observation.masks, mask)[y0:y1, x0:x1] > 0.9
    if inside.sum() < MIN_PIXELS:
        return np.full(3, np.nan)
    return np.log(srgb_table()[observation.image[y0:y1, x0:x1][inside]] + EPS).mean(0)


def face_detail(observation: Observation) -> float:
    """Return the logarithm of the face's finest octave over its contrast, at one size."""
    import cv2

    x0, y0, x1, y1 = (max(0, int(v)) for v in observation.detection.box)
    grey = cv2.cvtColor(observation.image[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 1.5)
    broad = cv2.GaussianBlur(grey, (0, 0), 1.5) - cv2.GaussianBlur(grey, (0, 0), 12.0)
    return float(np.log(fine.std() + 0.05) - np.log(broad.std() + 0.5))


@dataclass(frozen=True)
class Difference:
    """By how much a frame differs from those used, each 0 where it cannot be compared.

    Attributes:
        person: 1 - cosine. skin, hair: distance of colours, without their brightness counting fully.
        shape: logarithm of the landmark error with the avatar's identity over that with its own.
    """

    person: float
    skin: float
    hair: float
    shape: float

    @property
    def total(self) -> float:
        """Return the mean square of the differences, each on its scale; 1: another person."""
        scaled = [
            self.person / PERSON_SCALE,
            self.skin / SKIN_SCALE,
            self.hair / HAIR_SCALE,
            self.shape / SHAPE_SCALE,
        ]
        return float(np.sum(np.square(scaled)))


def frame_difference(traits: FrameTraits, state: FusionState, observation: Observation) -> Difference:
    """Compare a frame with those used.

    Args:
        observation: fitted with the avatar's identity.
    """
    person = 0.0
    if len(traits.person) and len(traits.person) == len(state.person) and np.any(state.person):
        person = 1 - float(traits.person @ state.person) / float(np.linalg.norm(state.person))
    skin, hair = (
        colour_difference(x, total, count)
        for x, total, count in zip(
            (traits.skin, traits.hair), state.colours, state.colour_counts, strict=True
        )
    )
    shape = float(np.log(max(observation.landmark_error, 1e-3) / max(traits.own_error, 1e-3)))
    return Difference(person, skin, hair, max(shape, 0.0))


def colour_difference(x: Float[np.ndarray, "3"], total: Float[np.ndarray, "3"], count: float) -> float:
    """Return the distance of two logarithms of colour; brightness, which light changes, counts a half."""
    if count < 1 or not np.isfinite(x).all():
        return 0.0
    off = x - total / count
    bright = off.mean()
    return float(np.sqrt(((off - bright) ** 2).sum() + (0.5 * bright) ** 2))


def reason_to_skip(traits: FrameTraits, state: FusionState, observation: Observation) -> str | None:
    """Return why a frame is left out, in words; None: it is used.

    Args:
        observation: fitted with the avatar's identity.
    """
    yaw, pitch = head_angles(observation)
    if abs(yaw) > MAX_YAW or abs(pitch) > MAX_PITCH:
        return f"the head is turned {max(abs(yaw), abs(pitch)):.0f} degrees"
    off = frame_difference(traits, state, observation)
    if off.person > PERSON_LIMIT or off.total > 1:
        return "it seems to show another person"
    if is_blink(observation):
        return "an eye is closed"
    if traits.detail - state.detail < np.log(MIN_DETAIL):
        return "it is blurred"
    return None


def is_blink(observation: Observation) -> bool:
    """Whether an eye is closed."""
    gap = min(eye_openness(observation.detection.points))
    blink = max(
        float(observation.params.expression[EXPRESSION_INDEX[f"eyeBlink{s}"]]) for s in ("Left", "Right")
    )
    return gap < BLINK_OPENNESS or (gap < 2 * BLINK_OPENNESS and blink > BLINK_WEIGHT)


def remember_traits(state: FusionState, traits: FrameTraits) -> FusionState:
    """Add a used frame's traits to the state."""
    person = traits.person if not len(state.person) else state.person + traits.person
    colours, counts = state.colours.copy(), state.colour_counts.copy()
    for k, x in enumerate((traits.skin, traits.hair)):
        if np.isfinite(x).all():
            colours[k] += x
            counts[k] += 1
    n = state.detail_count
    detail = (state.detail * n + traits.detail) / (n + 1)
    return replace(
        state, person=person, colours=colours, colour_counts=counts, detail=detail, detail_count=n + 1
    )
