"""A prior over expressions: sparse mixtures of gestures and mouth shapes by ARKit name, gaze and neck.

Authored, not learned: nothing here comes from recordings of people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS, EYE_LOOK
from headcast.interpolation import smoothstep
from headcast.synth.rng import CounterRng

__all__ = ["GESTURES", "MOUTHS", "HeadMotion", "draw_moments", "draw_motion"]

GESTURES: Mapping[str, Mapping[str, float]] = {
    "smile": {"mouthSmile*": 0.6, "cheekSquint*": 0.35, "eyeSquint*": 0.2, "mouthDimple*": 0.12},
    "laugh": {
        "mouthSmile*": 0.85,
        "cheekSquint*": 0.6,
        "eyeSquint*": 0.4,
        "jawOpen": 0.3,
        "mouthUpperUp*": 0.3,
        "mouthLowerDown*": 0.25,
    },
    "sad": {"browInnerUp": 0.75, "mouthFrown*": 0.55, "mouthShrugLower": 0.35, "eyeSquint*": 0.15},
    "angry": {
        "browDown*": 0.85,
        "eyeSquint*": 0.3,
        "noseSneer*": 0.35,
        "mouthPress*": 0.45,
        "jawForward": 0.1,
    },
    "surprise": {"browInnerUp": 0.7, "browOuterUp*": 0.75, "eyeWide*": 0.7, "jawOpen": 0.4},
    "fear": {
        "browInnerUp": 0.8,
        "browOuterUp*": 0.35,
        "eyeWide*": 0.8,
        "mouthStretch*": 0.6,
        "jawOpen": 0.15,
    },
    "disgust": {
        "noseSneer*": 0.8,
        "mouthUpperUp*": 0.5,
        "browDown*": 0.4,
        "mouthFrown*": 0.25,
        "eyeSquint*": 0.3,
    },
    "contempt": {"mouthDimpleLeft": 0.5, "mouthSmileLeft": 0.35, "mouthPressLeft": 0.3},
    "doubt": {"browDownRight": 0.5, "browOuterUpLeft": 0.7, "mouthLeft": 0.2, "mouthPress*": 0.2},
    "kiss": {"mouthPucker": 0.85, "mouthFunnel": 0.1},
    "puff": {"cheekPuff": 0.9, "mouthPress*": 0.3, "mouthPucker": 0.2},
    "yawn": {"jawOpen": 0.9, "eyeBlink*": 0.6, "browInnerUp": 0.2, "mouthStretch*": 0.15},
    "think": {"browDown*": 0.25, "mouthPucker": 0.3, "mouthLeft": 0.35, "eyeSquint*": 0.2},
    "press": {"mouthPress*": 0.6, "mouthRollLower": 0.35, "mouthRollUpper": 0.3},
    "tongue": {"tongueOut": 0.8, "jawOpen": 0.35, "mouthSmile*": 0.2},
    "wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.5, "mouthSmileLeft": 0.4},
    "squeeze": {"eyeBlink*": 1.0, "cheekSquint*": 0.6, "noseSneer*": 0.4, "browDown*": 0.6},
    "jaw": {"jawLeft": 0.6, "mouthLeft": 0.15},
}
"""Gestures of the face; ``*`` stands for both sides."""

MOUTHS: Mapping[str, Mapping[str, float]] = {
    "rest": {},
    "a": {"jawOpen": 0.5, "mouthLowerDown*": 0.2, "mouthUpperUp*": 0.12},
    "e": {"jawOpen": 0.24, "mouthStretch*": 0.3, "mouthLowerDown*": 0.25, "mouthUpperUp*": 0.12},
    "i": {"jawOpen": 0.1, "mouthSmile*": 0.3, "mouthStretch*": 0.25, "mouthLowerDown*": 0.2},
    "o": {"jawOpen": 0.3, "mouthFunnel": 0.5, "mouthPucker": 0.2},
    "u": {"jawOpen": 0.1, "mouthPucker": 0.65, "mouthFunnel": 0.25},
    "m": {"mouthPress*": 0.4, "mouthRollLower": 0.3, "mouthRollUpper": 0.25, "jawOpen": 0.02},
    "f": {"mouthRollLower": 0.5, "mouthUpperUp*": 0.22, "jawOpen": 0.07},
    "s": {"jawOpen": 0.05, "mouthStretch*": 0.2, "mouthLowerDown*": 0.28},
    "sh": {"mouthFunnel": 0.55, "mouthPucker": 0.2, "jawOpen": 0.08},
    "l": {"jawOpen": 0.2, "mouthLowerDown*": 0.15, "mouthUpperUp*": 0.1},
    "closed": {"jawOpen": 0.3, "mouthClose": 0.3},
}
"""Mouth shapes of speech."""

BLINK_STEP = 3.2
"""Seconds from blink to blink of a clip, on average."""


@dataclass(frozen=True)
class HeadMotion:
    """Motion of N heads: expression (N, 52), neck (N, 3) axis-angle, gaze (N, 2, 2) as in ``HeadParams``."""

    expression: Float[Tensor, "n 52"]
    neck: Float[Tensor, "n 3"]
    gaze: Float[Tensor, "n 2 2"]


def shape_weights(shapes: Mapping[str, Mapping[str, float]]) -> Float[Tensor, "k 52"]:
    """Return the weights of named shapes, one row each."""
    rows = torch.zeros(len(shapes), len(EXPRESSIONS))
    for i, shape in enumerate(shapes.values()):
        for key, value in shape.items():
            names = (key[:-1] + "Left", key[:-1] + "Right") if key.endswith("*") else (key,)
            for name in names:
                rows[i, EXPRESSION_INDEX[name]] = value
    return rows


def mirror_order() -> list[int]:
    """Return for every expression the index of its mirror image."""
    from headcast.head.names import mirrored_name

    return [EXPRESSION_INDEX[mirrored_name(n)] for n in EXPRESSIONS]


def draw_moments(rng: CounterRng, strength: float) -> HeadMotion:
    """Sample unrelated frames: a fifth at rest, else a gesture, a mouth shape, or both, and stray muscles."""
    e = draw_gestures(rng)
    speech = draw_mouths(rng, "mouth") * rng.uniform("speech", low=0.4, high=1.3)[:, None]
    e = torch.where(rng.chance("speaks", 0.35)[:, None], torch.maximum(e * 0.7, speech), e)
    stray = (rng.uniform("stray", 52) < 0.05) * rng.uniform("stray amount", 52) * 0.6
    e = torch.maximum(e, stray * rng.chance("strays", 0.5)[:, None])
    e = e * (1 + 0.15 * rng.normal("jitter", 52, clip=2.0))
    blink = rng.chance("blinks", 0.08).float() * rng.uniform("blink", low=0.3, high=1.0)
    e = e * (~rng.chance("at rest", 0.22))[:, None] * strength
    return clamp_motion(
        e,
        blink * min(strength, 1.0),
        0.17 * rng.normal("gaze yaw", clip=2.2),
        0.1 * rng.normal("gaze pitch", clip=2.2),
        rng.normal("neck", 3, clip=2.2) * torch.tensor([0.11, 0.16, 0.07], device=rng.device),
    )


def draw_gestures(rng: CounterRng) -> Float[Tensor, "n 52"]:
    """Sample none, one or two of ``GESTURES``, each as it is or mirrored; the larger weight counts."""
    gestures = shape_weights(GESTURES).to(rng.device)
    chances = tuple({"smile": 4.0, "laugh": 2.0}.get(name, 1.0) for name in GESTURES)
    e = torch.zeros(len(rng.rows), len(EXPRESSIONS), device=rng.device)
    for k, probability in enumerate((0.6, 0.2)):
        shape = gestures[rng.choice(f"gesture {k}", chances)]
        flip = rng.chance(f"flip {k}", 0.5)[:, None]
        shape = torch.where(flip, shape[:, mirror_order()], shape)
        amount = rng.uniform(f"amount {k}", low=0.25, high=1.15) * rng.chance(f"has gesture {k}", probability)
        e = torch.maximum(e, shape * amount[:, None])
    return e


def draw_mouths(rng: CounterRng, name: str) -> Float[Tensor, "n 52"]:
    """Sample one of ``MOUTHS`` for each row."""
    return shape_weights(MOUTHS).to(rng.device)[rng.choice(name, (1.0,) * len(MOUTHS))]


def clamp_motion(e: Tensor, blink: Tensor, yaw: Tensor, pitch: Tensor, neck: Tensor) -> HeadMotion:
    """Clamp weights to 0..1 and add the blink; eyeLook* follow from gaze alone."""
    e = e.clamp(0, 1)
    e[:, [EXPRESSION_INDEX[n] for n in EYE_LOOK]] = 0
    for side in ("Left", "Right"):
        i = EXPRESSION_INDEX[f"eyeBlink{side}"]
        e[:, i] = torch.maximum(e[:, i], blink)
    eye = torch.stack([yaw, pitch], -1)
    return HeadMotion(e, neck, torch.stack([eye, eye], 1))


def draw_motion(people: CounterRng, frames: int, fps: float, strength: float) -> HeadMotion:
    """Sample smooth clips: N = people x frames, a person's frames together.

    Gestures swell and fade, speech passes through mouth shapes, eyes jump and rest, lids blink every few
    seconds, the neck drifts.
    """
    each = [_clip(people, i, frames, fps, strength) for i in range(len(people.rows))]
    return HeadMotion(*(torch.cat([getattr(m, n) for m in each]) for n in ("expression", "neck", "gaze")))


@dataclass(frozen=True)
class KeyTimes:
    """Key frames at regular steps of one person's clip.

    Attributes:
        rng: a row per key.
        at (T,): where between the keys each frame lies; the whole part is the key before it.
    """

    rng: CounterRng
    at: Float[Tensor, " t"]

    @staticmethod
    def every(step: float, people: CounterRng, person: int, frames: int, fps: float) -> KeyTimes:
        """Set keys every ``step`` seconds."""
        count = int(frames / fps / step) + 3
        rows = np.repeat(people.rows[person : person + 1], count, 0)
        rows = np.concatenate([rows, np.arange(count)[:, None]], 1)
        at = torch.arange(frames) / fps / step + 0.5
        return KeyTimes(CounterRng(rows, people.seed, people.device), at.to(people.device))

    def ease(self, values: Float[Tensor, "k c"]) -> Float[Tensor, "t c"]:
        """Interpolate values of the keys with a smoothstep."""
        i, t = self.at.long(), smoothstep((self.at % 1)[:, None], 0, 1)
        return values[i] + (values[i + 1] - values[i]) * t


def _clip(people: CounterRng, person: int, frames: int, fps: float, strength: float) -> HeadMotion:
    gesture, syllable, saccade, blink = (
        KeyTimes.every(step, people, person, frames, fps) for step in (1.6, 0.13, 0.7, BLINK_STEP)
    )
    moment = draw_moments(gesture.rng, strength)
    mouth = draw_mouths(syllable.rng, "syllable")
    mouth = mouth * syllable.rng.uniform("loud", low=0.5, high=1.1)[:, None] * strength
    talking = gesture.rng.chance("talking", 0.55).float()[:, None]
    expression = torch.maximum(gesture.ease(moment.expression), syllable.ease(mouth) * gesture.ease(talking))
    yaw, pitch = draw_saccades(saccade).unbind(1)
    return clamp_motion(expression, draw_blinks(blink), yaw, pitch, gesture.ease(moment.neck))


def draw_saccades(keys: KeyTimes) -> Float[Tensor, "t 2"]:
    """Sample gaze (yaw, pitch) that jumps to a new target at each key and rests there."""
    yaw = 0.17 * keys.rng.normal("saccade yaw", clip=2.2)
    pitch = 0.09 * keys.rng.normal("saccade pitch", clip=2.2)
    target, i = torch.stack([yaw, pitch], -1), keys.at.long()
    jump = (keys.at % 1).clamp(max=0.08) / 0.08
    return target[i] + (target[i + 1] - target[i]) * jump[:, None]


def draw_blinks(keys: KeyTimes) -> Float[Tensor, " t"]:
    """Sample weights of blinks, one between every two keys."""
    when = keys.rng.uniform("when", low=0.1, high=0.9)[keys.at.long()]
    close = (1 - ((keys.at % 1 - when).abs() * BLINK_STEP / 0.11)).clamp(0, 1)
    return (1.6 * close).clamp(max=1)
