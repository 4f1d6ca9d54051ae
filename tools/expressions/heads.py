"""Synthetic heads that show every expression weight: a neutral frame of each person and mixed expressions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from headcast.head.names import EXPRESSION_INDEX, EXPRESSIONS, mirrored_name
from headcast.synth import SynthConfig, make_batch
from headcast.synth.expressions import GESTURES, shape_weights
from headcast.synth.expressions import MOUTHS as MOUTH_SHAPES
from headcast.synth.framing import CameraFraming, ClippedNormal, SquaredUniform, Uniform
from headcast.synth.recorded import Recording

__all__ = ["SIZE", "ShownHead", "draw_mixtures", "show_heads"]

SIZE = 288
MOMENTS = 6
"""Frames of a person: the first is neutral."""

FRAMING = CameraFraming(
    "expressions",
    yaw=ClippedNormal(0.26, 2.2),
    pitch=ClippedNormal(0.14, 2.2),
    roll=ClippedNormal(0.07, 2.2),
    at=ClippedNormal((0.01, 0.01, 0.0), 2.0),
    fov=SquaredUniform(12, 25),
    fraction=Uniform(0.78, 1.0),
)

BROWS = (("browDown*",), ("browInnerUp",), ("browOuterUp*",), ("browInnerUp", "browOuterUp*"), ())
EYES = (("eyeBlink*",), ("eyeSquint*",), ("eyeSquint*",), ("eyeWide*",), ("eyeWide*",), ())
CHEEKS = (("cheekPuff",), ("cheekSquint*",), ("cheekSquint*",), ("noseSneer*",), (), ())
JAWS = (("jawOpen",), ("jawOpen",), ("jawForward",), ("jawLeft",), ("jawRight",), (), ())
MOUTHS = (
    "mouthSmile*",
    "mouthSmile*",
    "mouthFrown*",
    "mouthDimple*",
    "mouthStretch*",
    "mouthPress*",
    "mouthPress*",
    "mouthLowerDown*",
    "mouthUpperUp*",
    "mouthFunnel",
    "mouthFunnel",
    "mouthPucker",
    "mouthPucker",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthLeft",
    "mouthRight",
)
MOUTH_COUNT = (0.15, 0.4, 0.3, 0.15)
"""Chances of none, one, two, three of ``MOUTHS``."""
RIVALS = (
    {"mouthSmile*", "mouthFrown*"},
    {"mouthSmile*", "mouthPucker"},
    {"mouthLeft", "mouthRight"},
    {"mouthStretch*", "mouthPucker"},
    {"mouthStretch*", "mouthFunnel"},
    {"mouthPress*", "mouthLowerDown*"},
    {"mouthRollLower", "mouthFunnel"},
    {"mouthRollUpper", "mouthFunnel"},
    {"mouthRollLower", "mouthShrugLower"},
    {"mouthRollUpper", "mouthUpperUp*"},
)
"""Movements of the mouth that are not mixed."""
ONE_SIDED = 0.25
LOWEST = 0.3


@dataclass(frozen=True)
class ShownHead:
    """One rendered frame of a synthetic person.

    Attributes:
        rgb: (H, W, 3). points: (478, 2) true landmarks, pixels.
        expression: (52,) what moves, eyelids at rest not counted. lids: weight of eyeBlink at rest.
        gaze: (2,) yaw and pitch, radians. person, frame: numbers; frame 0 is neutral.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    points: Float[np.ndarray, "478 2"]
    expression: Float[np.ndarray, "52"]
    lids: float
    gaze: Float[np.ndarray, "2"]
    person: int
    frame: int


def draw_mixtures(rng: np.random.Generator, count: int) -> Float[np.ndarray, "n 52"]:
    """Draw expressions: movements of brows, eyes, cheeks, jaw and mouth, each independent of the others."""
    out = np.zeros((count, 52))
    for row in out:
        for group in (BROWS, EYES, CHEEKS, JAWS):
            for name in group[rng.integers(len(group))]:
                _show(rng, row, name)
        chosen: set[str] = set()
        for _ in range(rng.choice(len(MOUTH_COUNT), p=MOUTH_COUNT)):
            name = MOUTHS[rng.integers(len(MOUTHS))]
            if not any(name in r and r & chosen for r in RIVALS if name in r and (r - {name}) & chosen):
                chosen.add(name)
        for name in chosen:
            _show(rng, row, name)
        jaw = row[EXPRESSION_INDEX["jawOpen"]]
        if jaw > 0 and rng.random() < 0.3:
            row[EXPRESSION_INDEX["mouthClose"]] = jaw * rng.uniform(0.5, 1.0)
    return out


def draw_gestures(rng: np.random.Generator, count: int) -> Float[np.ndarray, "n 52"]:
    """Draw expressions as people make them: one of the authored gestures, at times with a mouth shape."""
    gestures, mouths = shape_weights(GESTURES).numpy(), shape_weights(MOUTH_SHAPES).numpy()
    flip = [EXPRESSION_INDEX[mirrored_name(n)] for n in EXPRESSIONS]
    chances = np.array([{"smile": 4.0, "laugh": 2.0}.get(name, 1.0) for name in GESTURES])
    out = np.zeros((count, 52))
    for row in out:
        shape = gestures[rng.choice(len(gestures), p=chances / chances.sum())]
        row[:] = (shape[flip] if rng.random() < 0.5 else shape) * rng.uniform(0.3, 1.15)
        if rng.random() < 0.35:
            row[:] = np.maximum(0.7 * row, mouths[rng.integers(len(mouths))] * rng.uniform(0.4, 1.3))
        row *= 1 + 0.15 * rng.normal(size=52).clip(-2, 2)
    return out.clip(0, 1)


def _show(rng: np.random.Generator, row: np.ndarray, name: str) -> None:
    amount = rng.uniform(LOWEST, 1.0)
    if not name.endswith("*"):
        row[EXPRESSION_INDEX[name]] = amount
        return
    sides = ("Left", "Right") if rng.random() > ONE_SIDED else (("Left", "Right")[rng.integers(2)],)
    for side in sides:
        row[EXPRESSION_INDEX[name[:-1] + side]] = min(1.0, amount * rng.uniform(0.85, 1.15))


@torch.no_grad()
def show_heads(split: str, seed: int, people: range, gestures: bool = False) -> Iterator[ShownHead]:
    """Render people of a split: a neutral frame and ``MOMENTS - 1`` mixed expressions of each.

    Args:
        gestures: authored gestures instead of independent movements.
    """
    config = SynthConfig(
        split=split,  # pyright: ignore[reportArgumentType]
        size=SIZE,
        people=1,
        frames=MOMENTS,
        clip=True,
        fps=1.0,
        antialias=1,
        layers=1,
        texture=512,
        framing=FRAMING,
    )
    draw = draw_gestures if gestures else draw_mixtures
    blinks = [EXPRESSION_INDEX[f"eyeBlink{s}"] for s in ("Left", "Right")]
    for person in people:
        rng = np.random.default_rng([seed, person])
        moves = np.concatenate([np.zeros((1, 52)), draw(rng, MOMENTS - 1)])
        gaze = np.clip(rng.normal(0, (0.17, 0.1), (MOMENTS, 2)), (-0.4, -0.25), (0.4, 0.25))
        gaze[0] = 0
        recording = Recording(
            name="mixtures",
            fps=1.0,
            expression=torch.from_numpy(moves).float(),
            neck=torch.zeros(MOMENTS, 3),
            gaze=torch.from_numpy(np.repeat(gaze[:, None], 2, 1)).float(),
        )
        batch = make_batch(config, torch.device("cpu"), seed, np.array([person]), recordings=(recording,))
        rgb = (batch.rgb.clamp(0, 1) * 255).round().byte().numpy()
        shown = batch.params.expression.double().numpy()
        look = batch.params.gaze
        assert look is not None
        for k in range(MOMENTS):
            moved = shown[k].copy()
            lids = float(batch.person.lids[k])
            moved[blinks] -= lids * (
                1 - shown[k, [EXPRESSION_INDEX[f"eyeWide{s}"] for s in ("Left", "Right")]]
            )
            yield ShownHead(
                rgb=rgb[k],
                points=batch.landmarks478[k].numpy(),
                expression=moved.clip(0, 1),
                lids=lids,
                gaze=look[k].mean(0).numpy(),
                person=person,
                frame=k,
            )
