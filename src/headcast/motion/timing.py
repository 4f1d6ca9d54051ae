"""When the rows of a recording were taken: their order, the frame rate, and where frames lie between rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from headcast.errors import HeadcastError
from headcast.motion.timecode import (
    THOUSANDTHS,
    Timecode,
    code_frames,
    parse_timecode,
    timecode_base,
    timecode_rate,
)

__all__ = [
    "RowTimes",
    "Schedule",
    "hold_lost",
    "lost_notes",
    "parse_moment",
    "row_times",
    "schedule_rows",
    "time_unit",
]

FPS = 30.0
SLOWEST, FASTEST = 10.0, 1000.0
"""Frames per second of clips; rows that are further apart or closer are resampled to ``FPS``."""
EVEN = 0.25
"""Rows within this share of a frame from an even grid are frames as they stand."""
GAP = 0.25
"""Seconds between rows that are worth a word."""
LONGEST_GAP = 600.0
LATEST = 1e20
"""The largest number that can be a time: nanoseconds of a century are less."""
MOST_FRAMES = 1_000_000


class RowTimes(NamedTuple):
    """Seconds of every row, None where they are not known, and the frame rate that they imply, if any."""

    seconds: list[float | None]
    rate: float | None


class Schedule(NamedTuple):
    """How rows become frames.

    Attributes:
        fps: frames per second.
        order: the rows by time.
        at: for every frame its place among the ordered rows, 1.5 is halfway between the second and the third;
            None: the ordered rows are the frames.
        notes: what the user should know.
    """

    fps: float
    order: Int[np.ndarray, "n"]
    at: Float[np.ndarray, "t"] | None
    notes: tuple[str, ...] = ()


def parse_moment(text: str) -> Timecode | float | None:
    """Parse a time code, a clock or a number; None: the cell is empty.

    Raises:
        ValueError: it is none of them.
    """
    code = parse_timecode(text)
    if code is not None or not text.strip():
        return code
    value = float(text.replace(",", "."))
    if not abs(value) <= LATEST:
        raise ValueError(text)
    return value


def row_times(moments: Sequence[Timecode | float | None], counter_rate: float | None = None) -> RowTimes:
    """Return the seconds of every row from time codes, or from numbers in seconds, milliseconds or finer.

    Args:
        moments: all of one kind, None where a row has none.
        counter_rate: frames per second where the numbers count rows; None: they are times.
    """
    codes = [m for m in moments if isinstance(m, Timecode)]
    numbers = [float(m) for m in moments if isinstance(m, float | int)]
    if codes:
        known, rate = code_times(codes)
    elif counter_rate and all(n.is_integer() for n in numbers) and typical_step(numbers) == 1:
        known, rate = [n / counter_rate for n in numbers], counter_rate
    else:
        unit = time_unit(numbers)
        known, rate = [n * unit for n in numbers], None
    rest = iter(known)
    return RowTimes([None if m is None else next(rest) for m in moments], rate)


def code_times(codes: Sequence[Timecode]) -> RowTimes:
    """Return seconds of time codes, and frames per second of the rows.

    The fraction of a frame counts only where frames are missing: elsewhere a row is its frame.
    """
    base = timecode_base(codes)
    rate = timecode_rate(base, codes[0].drop)
    frames = code_frames(codes, base)
    whole = sorted(math.floor(f) for f in frames)
    steps = {b - a for a, b in pairwise(whole)}
    if len(steps) == 1 and min(steps) > 0:
        frames, step = [float(math.floor(f)) for f in frames], float(min(steps))
    else:
        typical = typical_step(frames)
        step = math.floor(typical + 0.5) if typical >= 1 else 1 / math.floor(1 / (typical or 1) + 0.5)
    known = base != THOUSANDTHS and rate / step >= SLOWEST
    return RowTimes([f / rate for f in frames], rate / step if known else None)


def typical_step(values: Sequence[float]) -> float:
    """Return the median distance of neighbouring distinct values; 0 where there is one value."""
    steps = np.diff(np.unique(np.asarray(values, dtype=np.float64)))
    return float(np.median(steps)) if len(steps) else 0.0


def time_unit(values: Sequence[float]) -> float:
    """Return the seconds of one unit of time stamps, from their distance: 4 or more are milliseconds."""
    step = typical_step(values)
    return next((u for limit, u in ((4e6, 1e-9), (4e3, 1e-6), (4.0, 1e-3)) if step >= limit), 1.0)


def schedule_rows(times: Sequence[float | None], rate: float | None, default: float, where: str) -> Schedule:
    """Return how rows taken at given times become frames at an even rate; the length is kept within a frame.

    Rows out of order are sorted; rows of one time are spread up to the next; a missing time lies between its
    neighbours' times. Evenly spaced rows are frames as they stand.

    Args:
        times: seconds of every row.
        rate: frames per second, if known: taken where the times agree with it or are uneven.
        default: frames per second where neither times nor a rate are known.
        where: the file, for messages.

    Raises:
        HeadcastError: a gap of more than ten minutes, more than a million frames.
    """
    rows = np.arange(len(times))
    stated = [t for t in times if t is not None]
    if len(set(stated)) < 2:
        fps = default if rate is None else rate
        same = f"every row has the same time; they are played at {fps:g} frames per second"
        return Schedule(fps, rows, None, (same,) if len(stated) > 1 else ())
    filled = fill_times(times)
    order = np.argsort(filled, kind="stable")
    sorting = ("rows out of order were sorted by time",) if np.any(np.diff(filled) < 0) else ()
    t = spread_ties(filled[order])
    steps = np.diff(t)
    if steps.max() > LONGEST_GAP:
        raise HeadcastError(
            f"{where}: a gap of {steps.max():g} s after {t[steps.argmax()]:g} s; cut the recording there"
        )
    even = even_rate(t, rate)
    if even is not None:
        return Schedule(even, order, None, sorting)
    fps = usual_rate(steps) if rate is None else rate
    count = math.floor(t[-1] * fps + 0.1) + 1
    if count > MOST_FRAMES:
        raise HeadcastError(f"{where}: lasts {t[-1]:g} s, too long at {fps:g} frames per second; cut it")
    resampled = f"{len(t)} rows became {count} frames at {fps:g} frames per second"
    at = np.interp(np.arange(count) / fps, t, rows)
    return Schedule(fps, order, at, (*sorting, *describe_gaps(t, steps), resampled))


def even_rate(times: Float[np.ndarray, "n"], rate: float | None) -> float | None:
    """Return frames per second of evenly spaced rows: ``rate`` where it agrees; None: they are uneven.

    Args:
        times: ascending seconds, the first zero.
        rate: frames per second, if known.
    """
    steps = len(times) - 1
    measured = float(steps / times[-1])
    if not SLOWEST <= measured <= FASTEST or np.abs(times * measured - np.arange(steps + 1)).max() > EVEN:
        return None
    return rate if rate is not None and abs(times[-1] * rate - steps) <= 0.5 else round(measured, 3)


def usual_rate(steps: Float[np.ndarray, "m"]) -> float:
    """Return frames per second of unevenly spaced rows, gaps left aside."""
    fps = round(1 / float(steps[steps <= 1.5 * np.median(steps)].mean()), 3)
    return fps if SLOWEST <= fps <= FASTEST else FPS


def fill_times(times: Sequence[float | None]) -> Float[np.ndarray, "n"]:
    """Fill missing times from their neighbours', beyond the ends at the usual distance."""
    at = np.array([i for i, t in enumerate(times) if t is not None])
    values = np.array([t for t in times if t is not None], dtype=np.float64)
    rows = np.arange(len(times))
    step = float(np.median(np.diff(values) / np.diff(at)))
    before, after = np.minimum(rows - at[0], 0), np.maximum(rows - at[-1], 0)
    return np.interp(rows, at, values) + step * (before + after)


def spread_ties(times: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Spread rows of one time evenly up to the next time, and start at zero."""
    values, counts = np.unique(times, return_counts=True)
    steps = np.diff(values)
    room = np.minimum(np.append(steps, np.inf), np.median(steps))
    nth = np.arange(len(times)) - np.repeat(np.cumsum(counts) - counts, counts)
    spread = np.repeat(values - values[0], counts) + np.repeat(room / counts, counts) * nth
    return spread


def describe_gaps(times: Float[np.ndarray, "n"], steps: Float[np.ndarray, "m"]) -> tuple[str, ...]:
    """Say how many gaps the rows have, and where the longest is."""
    gaps = int((steps > max(GAP, 1.5 * float(np.median(steps)))).sum())
    if gaps == 0:
        return ()
    longest = int(steps.argmax())
    many = "a gap" if gaps == 1 else f"{gaps} gaps, the longest"
    return (f"{many} of {steps[longest]:.1f} s after {times[longest]:.1f} s: interpolated",)


def hold_lost(values: Sequence[float | None]) -> list[float]:
    """Replace None by the value before, at the start by the first value; without any value, by zero."""
    last = next((v for v in values if v is not None), 0.0)
    held = []
    for value in values:
        last = last if value is None else value
        held.append(last)
    return held


def lost_notes(lost: int, count: int, what: str) -> tuple[str, ...]:
    """Say in how many rows or frames the face is lost."""
    return (f"the face is lost in {lost} of {count} {what}: the expression before is held",) if lost else ()
