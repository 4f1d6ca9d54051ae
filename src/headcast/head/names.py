"""The 52 ARKit expression names, in the order of every expression axis of this project.

Order is an implementation detail of arrays in memory: files and functions speak names.
Left and right are the subject's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headcast.errors import HeadcastError

__all__ = ["EXPRESSIONS", "EXPRESSION_INDEX", "EYE_LOOK", "check_names", "mirrored_name"]

EXPRESSIONS: tuple[str, ...] = (
    "eyeBlinkLeft",
    "eyeLookDownLeft",
    "eyeLookInLeft",
    "eyeLookOutLeft",
    "eyeLookUpLeft",
    "eyeSquintLeft",
    "eyeWideLeft",
    "eyeBlinkRight",
    "eyeLookDownRight",
    "eyeLookInRight",
    "eyeLookOutRight",
    "eyeLookUpRight",
    "eyeSquintRight",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawRight",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthLeft",
    "mouthRight",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
)

EXPRESSION_INDEX: Mapping[str, int] = {name: i for i, name in enumerate(EXPRESSIONS)}

EYE_LOOK: tuple[str, ...] = tuple(n for n in EXPRESSIONS if n.startswith("eyeLook"))


def check_names(names: Iterable[str], where: str) -> None:
    """Raise HeadcastError on names that are not among the 52; the message suggests the nearest."""
    import difflib

    for name in names:
        if name not in EXPRESSION_INDEX:
            near = difflib.get_close_matches(name, EXPRESSIONS, 1, 0.0)[0]
            raise HeadcastError(f"{where}: unknown expression '{name[:40]}'; did you mean '{near}'?")


def mirrored_name(name: str) -> str:
    """Return the name of the same movement on the other side of the face; middle shapes map to themselves."""
    for a, b in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(a):
            return name.removesuffix(a) + b
    return name
