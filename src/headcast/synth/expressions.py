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

__all__ = ["GESTURES", "MOUTHS", "Motion", "draw_moments", "draw_motion"]

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


@dataclass(frozen=True)
class Motion:
    """Motion of N heads: expression (N, 52), neck (N, 3) axis-angle, gaze (N, 2, 2) as in ``HeadParams``."""

    expression: Float[Tensor, "n 52"]
    neck: Float[Tensor, "n 3"]
    gaze: Float[Tensor, "n 2 2"]


def table(shapes: Mapping[str, Mapping[str, float]]) -> Float[Tensor, "k 52"]:
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


def draw_moments(rng: CounterRng, strength: float) -> Motion:
    """Sample unrelated frames: a fifth at rest, else a gesture, a mouth shape, or both, and stray muscles."""
    n, device = len(rng.rows), rng.device
    gestures, mouths = table(GESTURES).to(device), table(MOUTHS).to(device)
    weights = tuple({"smile": 4.0, "laugh": 2.0}.get(name, 1.0) for name in GESTURES)
    e = torch.zeros(n, len(EXPRESSIONS), device=device)
    for k, probability in enumerate((0.6, 0.2)):
        shape = gestures[rng.choice(f"gesture {k}", weights)]
        flip = rng.chance(f"flip {k}", 0.5)[:, None]
        shape = torch.where(flip, shape[:, mirror_order()], shape)
        amount = rng.uniform(f"amount {k}", low=0.25, high=1.15) * rng.chance(f"has gesture {k}", probability)
        e = torch.maximum(e, shape * amount[:, None])
    speech = (
        mouths[rng.choice("mouth", (1.0,) * len(MOUTHS))] * rng.uniform("speech", low=0.4, high=1.3)[:, None]
    )
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
        rng.normal("neck", 3, clip=2.2) * torch.tensor([0.11, 0.16, 0.07], device=device),
    )


def clamp_motion(e: Tensor, blink: Tensor, yaw: Tensor, pitch: Tensor, neck: Tensor) -> Motion:
    """Clamp weights to 0..1 and add the blink; eyeLook* follow from gaze alone."""
    e = e.clamp(0, 1)
    e[:, [EXPRESSION_INDEX[n] for n in EYE_LOOK]] = 0
    for side in ("Left", "Right"):
        i = EXPRESSION_INDEX[f"eyeBlink{side}"]
        e[:, i] = torch.maximum(e[:, i], blink)
    eye = torch.stack([yaw, pitch], -1)
    return Motion(e, neck, torch.stack([eye, eye], 1))


def draw_motion(people: CounterRng, frames: int, fps: float, strength: float) -> Motion:
    """Sample smooth clips: N = people x frames, a person's frames together.

    Gestures swell and fade, speech passes through mouth shapes, eyes jump and rest, lids blink every few
    seconds, the neck drifts.
    """
    each = [_clip(people, i, frames, fps, strength) for i in range(len(people.rows))]
    return Motion(*(torch.cat([getattr(m, n) for m in each]) for n in ("expression", "neck", "gaze")))


def _clip(people: CounterRng, person: int, frames: int, fps: float, strength: float) -> Motion:
    seconds = frames / fps

    def keys(step: float, name: str) -> tuple[CounterRng, Tensor]:
        count = int(seconds / step) + 3
        rows = np.concatenate(
            [np.repeat(people.rows[person : person + 1], count, 0), np.arange(count)[:, None]], 1
        )
        at = torch.arange(frames) / fps / step + 0.5
        return CounterRng(rows, people.seed, people.device), at.to(people.device)

    slow, at_slow = keys(1.6, "slow")
    moment = draw_moments(slow, strength)
    e = ease(moment.expression, at_slow)
    fast, at_fast = keys(0.13, "fast")
    mouth = table(MOUTHS).to(people.device)[fast.choice("syllable", (1.0,) * len(MOUTHS))]
    mouth = mouth * fast.uniform("loud", low=0.5, high=1.1)[:, None] * strength
    talking = slow.chance("talking", 0.55).float()[:, None]
    e = torch.maximum(e, ease(mouth, at_fast) * ease(talking, at_slow))
    looks, at_looks = keys(0.7, "looks")
    jump = (at_looks % 1).clamp(max=0.08) / 0.08
    i = at_looks.long()
    target = torch.stack(
        [0.17 * looks.normal("saccade yaw", clip=2.2), 0.09 * looks.normal("saccade pitch", clip=2.2)], -1
    )
    gaze = target[i] + (target[i + 1] - target[i]) * jump[:, None]
    blinks, at_blinks = keys(3.2, "blinks")
    when = blinks.uniform("when", low=0.1, high=0.9)[at_blinks.long()]
    close = (1 - ((at_blinks % 1 - when).abs() * 3.2 / 0.11)).clamp(0, 1)
    return clamp_motion(e, (1.6 * close).clamp(max=1), gaze[:, 0], gaze[:, 1], ease(moment.neck, at_slow))


def ease(keys: Float[Tensor, "k c"], at: Float[Tensor, " t"]) -> Float[Tensor, "t c"]:
    """Interpolate from key to key with a smoothstep."""
    i, t = at.long(), smoothstep((at % 1)[:, None], 0, 1)
    return keys[i] + (keys[i + 1] - keys[i]) * t
