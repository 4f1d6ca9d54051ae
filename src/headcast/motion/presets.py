"""Motions that need no driver: a spoken sentence, a round of expressions, a camera around the head."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS
from headcast.interpolation import smoothstep
from headcast.motion.clip import Motion
from headcast.motion.visemes import both_sides, speak

__all__ = ["EXPRESSION_ROUND", "PRESETS", "expressions", "preset", "speech", "turntable"]

FPS = 30.0

# "Hello. A moment ago I was only one photograph. Now I can turn, and blink, and smile, and speak."
SENTENCE = """
    _35 [hello] ah6 eh9 l8 oh20 _28
    ah6 p8 [moment] oh13 p7 ih6 t7 t5 ah6 k7 [ago] oh18 _6
    aa11 w6 ah7 s9 oh8 t6 l6 ee8 w7 ah9 t7 f7 [photo] oh13 t7 ah6 k5 r7 ae17 f11 _34
    t7 [now] aa13 w13 aa10 k7 ae9 t6 t7 [turn] r8 ah13 t10 _20
    ae8 t5 p7 l6 [blink] ih11 t5 k9 _20
    ae8 t5 s9 p8 [smile] aa14 l14 _22
    ae9 t6 s9 p8 [speak] ee17 k11 _70
"""
BLINKS = (("hello", -0.12), ("ago", 0.16), ("photo", 0.62), ("blink", 0.02), ("speak", 0.42))

EXPRESSION_ROUND: Mapping[str, Mapping[str, float]] = {
    "smile": {"mouthSmile*": 0.85, "cheekSquint*": 0.55, "eyeSquint*": 0.25},
    "jaw open": {"jawOpen": 0.8},
    "blink": {"eyeBlink*": 1.0},
    "surprise": {"browInnerUp": 0.9, "browOuterUp*": 0.9, "eyeWide*": 0.8, "jawOpen": 0.35},
    "frown": {"browDown*": 0.9, "mouthFrown*": 0.7, "eyeSquint*": 0.3},
    "sadness": {"browInnerUp": 0.9, "mouthFrown*": 0.6, "mouthShrugLower": 0.35, "eyeLookDown*": 0.3},
    "disgust": {"noseSneer*": 0.85, "mouthUpperUp*": 0.5, "browDown*": 0.5, "eyeSquint*": 0.4},
    "pucker": {"mouthPucker": 0.9},
    "funnel": {"mouthFunnel": 0.9, "jawOpen": 0.15},
    "cheeks": {"cheekPuff": 0.9, "mouthPress*": 0.3},
    "wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.5, "mouthSmileLeft": 0.5},
    "look left": {"eyeLookOutLeft": 0.8, "eyeLookInRight": 0.8},
    "look right": {"eyeLookInLeft": 0.8, "eyeLookOutRight": 0.8},
    "tongue": {"tongueOut": 0.9, "jawOpen": 0.35},
}


def speech(fps: float = FPS) -> Motion:
    """Make a spoken sentence of about seven seconds with blinks, brow accents and small head movements."""
    curves, mark = speak(SENTENCE, fps)
    frames = len(next(iter(curves.values())))
    t = torch.arange(frames) / fps
    blink = torch.stack([blink_curve(t - mark[m] - d) for m, d in BLINKS]).amax(0)
    accent = sum_of_bumps(
        t, [(mark["hello"], 0.5), (mark["photo"], 0.7), (mark["now"], 0.6), (mark["smile"], 0.35)], 0.16
    )
    smile = ramp(t, mark["smile"] - 0.1, 0.35) * (1 - 0.6 * ramp(t, mark["speak"], 0.4)) * 0.5
    look = ramp(t, mark["turn"] - 0.05, 0.3) * (1 - ramp(t, mark["turn"] + 0.45, 0.35))
    look_down = sum_of_bumps(t, [(mark["moment"] + 0.1, 0.22)], 0.22) + 0.15 * blink
    extra = _sentence_expressions(blink, accent, smile, look_down, look)
    for key, values in extra.items():
        for name in both_sides({key: 0.0}):
            curves[name] = curves.get(name, torch.zeros(frames)) + values
    neck = speech_neck(t, mark, look)
    return Motion.from_curves(fps, frames, {n: c.clamp(0, 1) for n, c in curves.items()}, "speech", neck)


def _sentence_expressions(
    blink: Tensor, accent: Tensor, smile: Tensor, look_down: Tensor, look: Tensor
) -> dict[str, Tensor]:
    """Return the sentence's expressions over time; ``*`` is both sides."""
    return {
        "eyeBlink*": blink,
        "browInnerUp": 0.55 * accent,
        "browOuterUp*": 0.35 * accent,
        "mouthSmile*": smile,
        "cheekSquint*": 0.5 * smile,
        "eyeSquint*": 0.35 * smile,
        "eyeLookDown*": look_down,
        "eyeLookInLeft": 0.25 * look,
        "eyeLookOutRight": 0.25 * look,
    }


def speech_neck(
    t: Float[Tensor, " t"], mark: Mapping[str, float], look: Float[Tensor, " t"]
) -> Float[Tensor, "t 3"]:
    """Return the neck's axis-angle (radians) of ``speech``: stressed words nod, the head never rests.

    Args:
        t: seconds. mark: seconds of the sentence's words. look: 0..1, how far the head is turned.
    """
    nod = sum_of_bumps(
        t, [(mark[m] + 0.05, 1.0) for m in ("hello", "photo", "now", "blink", "smile", "speak")], 0.15
    )
    pitch = 0.035 * nod + 0.012 * torch.sin(2 * math.pi * 0.31 * t + 0.6)
    yaw = 0.035 * torch.sin(2 * math.pi * 0.23 * t) - 0.20 * look
    roll = 0.022 * torch.sin(2 * math.pi * 0.17 * t + 1.1) + 0.03 * ramp(t, mark["smile"], 0.5)
    fade = ramp(t, 0.0, 0.4) * (1 - ramp(t, float(t[-1]) - 0.4, 0.4))
    return torch.stack([pitch, yaw, roll], -1) * fade[:, None]


def expressions(fps: float = FPS, hold: float = 0.55, ease: float = 0.3) -> Motion:
    """Play the expressions of ``EXPRESSION_ROUND`` one after the other, each named by its label."""
    frames_each = round((hold + 2 * ease + 0.1) * fps)
    t = torch.arange(frames_each) / fps
    weight = ramp(t, 0.05, ease) * (1 - ramp(t, 0.05 + ease + hold, ease))
    total = frames_each * len(EXPRESSION_ROUND)
    weights = torch.zeros(total, len(EXPRESSIONS))
    labels: list[str] = []
    for i, (label, shape) in enumerate(EXPRESSION_ROUND.items()):
        for name, value in both_sides(shape).items():
            weights[i * frames_each : (i + 1) * frames_each, EXPRESSION_INDEX[name]] = value * weight
        labels += [label] * frames_each
    return Motion(
        fps=float(fps),
        expression=weights,
        neck=torch.zeros(total, 3),
        labels=tuple(labels),
        name="expressions",
    )


def turntable(fps: float = FPS, degrees: float = 60.0, seconds: float = 6.0) -> Motion:
    """Move the camera to one side, to the other and back, while the head blinks twice."""
    frames = round(seconds * fps)
    t = torch.arange(frames) / fps
    blink = torch.maximum(blink_curve(t - 0.22 * seconds), blink_curve(t - 0.74 * seconds))
    still = Motion.from_curves(fps, frames, {"eyeBlinkLeft": blink, "eyeBlinkRight": blink}, "turntable")
    yaw = degrees * torch.sin(2 * math.pi * t / seconds)
    return Motion(
        fps=still.fps, expression=still.expression, neck=still.neck, camera_yaw=yaw, name="turntable"
    )


PRESETS: Mapping[str, Callable[[float], Motion]] = {
    "speech": speech,
    "expressions": expressions,
    "turntable": turntable,
}


def preset(name: str, fps: float = FPS) -> Motion:
    """Return a bundled motion by name.

    Raises:
        HeadcastError: an unknown name.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, 1, 0.0)[0]
        raise HeadcastError(
            f"--preset {name}: unknown; did you mean '{near}'? There are {', '.join(PRESETS)}"
        )
    return PRESETS[name](fps)


def ramp(t: Float[Tensor, "t"], start: float, length: float) -> Float[Tensor, "t"]:
    """Return 0 before ``start``, 1 after ``start + length`` seconds, smooth between."""
    return smoothstep((t - start) / length, 0, 1)


def sum_of_bumps(t: Float[Tensor, "t"], bumps: list[tuple[float, float]], width: float) -> Float[Tensor, "t"]:
    """Sum Gaussian bumps of (centre, height); ``width`` is their standard deviation in seconds."""
    return torch.stack([h * torch.exp(-0.5 * ((t - c) / width) ** 2) for c, h in bumps]).sum(0)


def blink_curve(t: Float[Tensor, "t"]) -> Float[Tensor, "t"]:
    """Return a blink that starts at 0: 90 ms to close, 40 ms closed, 170 ms to open."""
    return ramp(t, 0.0, 0.09) * (1 - ramp(t, 0.13, 0.17))
