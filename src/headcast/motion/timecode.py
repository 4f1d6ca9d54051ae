"""SMPTE time codes: hours, minutes, seconds and frames, with a fraction of a frame as Live Link Face adds.

Drop-frame codes (a semicolon before the frames) skip the first numbers of every minute but each tenth, so
that 29.97 or 59.94 frames per second keep pace with the clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

__all__ = [
    "Timecode",
    "code_frames",
    "format_timecode",
    "frame_number",
    "frames_per_day",
    "parse_timecode",
    "timecode_base",
    "timecode_rate",
]

BASES = (15, 24, 25, 30, 48, 50, 60, 100, 120, 240)
"""Usual numbers of frames in a second of code."""
THOUSANDTHS = 1000
"""The base of codes whose last field counts thousandths of a second."""
PATTERN = re.compile(r"(\d{1,2})[:;](\d{1,2})[:;](\d{1,2})(?:[:;](\d{1,3}(?:[.,]\d*)?)|([.,]\d+)?)")


class Timecode(NamedTuple):
    """A time code.

    Attributes:
        second: second of the day.
        frame: frame within the second, with its fraction.
        drop: whether frame numbers are dropped.
        base: frame numbers in a second, where the code itself says so.
    """

    second: int
    frame: float
    drop: bool = False
    base: int | None = None


def parse_timecode(text: str) -> Timecode | None:
    """Parse ``HH:MM:SS:FF``, ``HH:MM:SS:FF.sub``, drop-frame ``HH:MM:SS;FF`` or a clock ``HH:MM:SS.sss``.

    None: it is none of them.
    """
    found = PATTERN.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds = (int(g) for g in found.groups()[:3])
    second = 3600 * hours + 60 * minutes + seconds
    if found[4] is None:
        fraction = float((found[5] or "0").replace(",", "."))
        return Timecode(second, fraction * THOUSANDTHS, base=THOUSANDTHS)
    return Timecode(second, float(found[4].replace(",", ".")), ";" in text)


def format_timecode(frame: float, base: int, drop: bool = False) -> str:
    """Return the code of a frame of the day, the fraction in thousandths: ``HH:MM:SS:FF.sub``.

    Args:
        frame: frames since midnight, counted as ``frame_number`` does.
        base: frame numbers in a second of code.
        drop: skip frame numbers as drop-frame codes do; only at bases of 30, 60, 120.
    """
    whole, sub = divmod(round(frame * 1000), 1000)
    dropped = dropped_a_minute(base, drop)
    if dropped:
        tens, rest = divmod(whole, 600 * base - 9 * dropped)
        minutes = max(0, rest - dropped) // (60 * base - dropped)
        whole += dropped * (9 * tens + minutes)
    seconds, number = divmod(whole, base)
    clock = f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{clock}{';' if drop else ':'}{number:02d}.{sub:03d}"


def frame_number(code: Timecode, base: int) -> float:
    """Return frames since midnight, the fraction of a frame included."""
    minutes = code.second // 60
    return base * code.second + code.frame - dropped_a_minute(base, code.drop) * (minutes - minutes // 10)


def frames_per_day(base: int, drop: bool) -> int:
    """Return how many frames a day of codes counts."""
    return 86400 * base - dropped_a_minute(base, drop) * 1296


def timecode_rate(base: int, drop: bool) -> float:
    """Return frames per second of a base: 30000/1001 for drop-frame codes at 30, and so on."""
    return base * 1000 / 1001 if dropped_a_minute(base, drop) else float(base)


def dropped_a_minute(base: int, drop: bool) -> int:
    """Return how many frame numbers a minute skips."""
    return base // 15 if drop and base % 30 == 0 else 0


def timecode_base(codes: Sequence[Timecode]) -> int:
    """Return how many frame numbers a second has, from the numbers before and after every full second.

    Evenly numbered codes give it exactly; else it is the least usual base above all numbers. Codes within a
    single second leave it open: 30, unless a number is larger.
    """
    if codes[0].base is not None:
        return codes[0].base
    numbers = [math.floor(c.frame) for c in codes]
    least = max(numbers) + 1
    pairs = [(b.second - a.second, m, n, b) for (a, m), (b, n) in pairwise(zip(codes, numbers, strict=True))]
    steps = {n - m for seconds, m, n, _ in pairs if seconds == 0 and n > m}
    step = min(steps, default=1)
    turns = [
        m + step - n for seconds, m, n, b in pairs if seconds == 1 and not (b.drop and b.second % 60 == 0)
    ]
    evenly = len(steps) < 2 and len(set(turns)) == 1 and turns[0] >= least
    if evenly and (len(turns) > 1 or turns[0] in BASES):
        return turns[0]
    if turns:
        least = max(least, math.ceil(0.95 * float(np.median(turns))))
    elif len({c.second for c in codes}) == 1:
        least = max(least, 30)
    return next((b for b in BASES if b >= least), THOUSANDTHS)


def code_frames(codes: Sequence[Timecode], base: int) -> list[float]:
    """Return frame numbers that run on over midnight: a leap of over half a day is a change of the day."""
    day = frames_per_day(base, codes[0].drop)
    numbers, shift, last = [], 0, None
    for code in codes:
        now = frame_number(code, base)
        if last is not None and abs(now - last) > day / 2:
            shift += day if now < last else -day
        numbers.append(now + shift)
        last = now
    return numbers
