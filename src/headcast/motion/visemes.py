"""Mouth shapes of speech sounds and how they run into each other.

The model is the classic one of dominance functions (Cohen and Massaro, "Modeling coarticulation in synthetic
visual speech", 1993): every sound pulls the mouth towards its shape with a strength that falls off in time;
the mouth is the average of all shapes weighted by their pull. Lips that must close (p, b, m) pull hardest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from headcast.errors import HeadcastError

__all__ = ["VISEMES", "Viseme", "speak"]


@dataclass(frozen=True)
class Viseme:
    """Mouth shape of a sound.

    Attributes:
        shape: expression weights; names that end in ``*`` stand for Left and Right.
        pull: strength of its claim on the mouth.
        reach: seconds after which the claim has fallen to 1/e, on either side.
    """

    shape: Mapping[str, float]
    pull: float = 1.0
    reach: float = 0.045


VISEMES: Mapping[str, Viseme] = {
    "_": Viseme({"mouthSmile*": 0.06}, 1.0, 0.07),
    "p": Viseme(
        {"mouthPress*": 0.30, "mouthRollLower": 0.24, "mouthRollUpper": 0.16, "jawOpen": 0.02}, 5.0, 0.030
    ),
    "f": Viseme(
        {"mouthRollLower": 0.42, "mouthUpperUp*": 0.16, "jawOpen": 0.05, "mouthShrugLower": 0.1}, 3.5, 0.035
    ),
    "th": Viseme(
        {"jawOpen": 0.13, "tongueOut": 0.12, "mouthLowerDown*": 0.14, "mouthUpperUp*": 0.08}, 1.4, 0.04
    ),
    "t": Viseme(
        {"jawOpen": 0.09, "mouthLowerDown*": 0.16, "mouthUpperUp*": 0.07, "mouthStretch*": 0.06}, 0.9, 0.035
    ),
    "s": Viseme(
        {"jawOpen": 0.05, "mouthLowerDown*": 0.22, "mouthStretch*": 0.16, "mouthSmile*": 0.10}, 1.3, 0.04
    ),
    "sh": Viseme(
        {"jawOpen": 0.07, "mouthFunnel": 0.42, "mouthPucker": 0.16, "mouthUpperUp*": 0.10}, 1.6, 0.05
    ),
    "k": Viseme({"jawOpen": 0.14, "mouthLowerDown*": 0.12, "mouthUpperUp*": 0.06}, 0.7, 0.035),
    "l": Viseme({"jawOpen": 0.15, "mouthLowerDown*": 0.12, "mouthUpperUp*": 0.08}, 0.8, 0.04),
    "r": Viseme({"jawOpen": 0.10, "mouthFunnel": 0.24, "mouthPucker": 0.20}, 1.0, 0.05),
    "w": Viseme({"jawOpen": 0.06, "mouthPucker": 0.56, "mouthFunnel": 0.16}, 1.8, 0.055),
    "aa": Viseme({"jawOpen": 0.42, "mouthLowerDown*": 0.16, "mouthUpperUp*": 0.08}, 1.3, 0.06),
    "ae": Viseme(
        {"jawOpen": 0.34, "mouthLowerDown*": 0.20, "mouthUpperUp*": 0.12, "mouthStretch*": 0.16}, 1.2, 0.055
    ),
    "ah": Viseme({"jawOpen": 0.24, "mouthLowerDown*": 0.12, "mouthUpperUp*": 0.06}, 1.0, 0.05),
    "eh": Viseme(
        {"jawOpen": 0.24, "mouthLowerDown*": 0.18, "mouthStretch*": 0.14, "mouthUpperUp*": 0.10}, 1.1, 0.05
    ),
    "ee": Viseme(
        {
            "jawOpen": 0.12,
            "mouthStretch*": 0.22,
            "mouthSmile*": 0.28,
            "mouthLowerDown*": 0.18,
            "mouthUpperUp*": 0.08,
        },
        1.2,
        0.055,
    ),
    "ih": Viseme(
        {"jawOpen": 0.15, "mouthStretch*": 0.14, "mouthSmile*": 0.14, "mouthLowerDown*": 0.12}, 1.0, 0.045
    ),
    "oh": Viseme({"jawOpen": 0.26, "mouthFunnel": 0.36, "mouthPucker": 0.24}, 1.4, 0.06),
    "oo": Viseme({"jawOpen": 0.10, "mouthPucker": 0.58, "mouthFunnel": 0.24}, 1.5, 0.06),
}
"""Sounds by a short name: p also stands for b and m, f for v, t for d and n, s for z, k for g."""


def both_sides(shape: Mapping[str, float]) -> dict[str, float]:
    """Expand ``name*`` to nameLeft and nameRight."""
    return {
        n: v
        for key, v in shape.items()
        for n in ((key[:-1] + "Left", key[:-1] + "Right") if key[-1] == "*" else (key,))
    }


def speak(text: str, fps: float) -> tuple[dict[str, Float[Tensor, "t"]], dict[str, float]]:
    """Return the mouth curves of a line of sounds.

    Args:
        text: sounds with their lengths in hundredths of a second, for example ``p8 aa14 _20``; a word in
            brackets marks the time at which the sound after it starts.
        fps: frames per second of the curves.

    Returns:
        curves by expression name, and seconds by mark.

    Raises:
        HeadcastError: an unknown sound.
    """
    at, centres, sounds, marks = 0.0, [], [], {}
    for token in text.split():
        if token.startswith("["):
            marks[token.strip("[]")] = at
            continue
        name = token.rstrip("0123456789")
        if name not in VISEMES:
            raise HeadcastError(f"'{token}': unknown sound; known are {' '.join(VISEMES)}")
        length = int(token[len(name) :]) / 100
        centres.append(at + length / 2)
        sounds.append((VISEMES[name], length))
        at += length
    times = torch.arange(round(at * fps)) / fps
    pull = torch.stack(
        [dominance(times - c, v, length) for c, (v, length) in zip(centres, sounds, strict=True)]
    )
    pull = pull / (pull.sum(0) + 1e-6)
    shapes = [both_sides(v.shape) for v, _ in sounds]
    names = sorted({n for s in shapes for n in s})
    return {n: torch.tensor([s.get(n, 0.0) for s in shapes]) @ pull for n in names}, marks


def dominance(offset: Float[Tensor, "t"], viseme: Viseme, length: float) -> Float[Tensor, "t"]:
    """Return a sound's weight ``offset`` seconds from its middle: 1 for half its length, then falling."""
    outside = (offset.abs() - length / 4).clamp(min=0)
    return viseme.pull * torch.exp(-((outside / viseme.reach) ** 1.4))
