"""Time codes both ways, and rows that become frames: length, order and range are kept."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from headcast.errors import HeadcastError
from headcast.motion.clip import Motion
from headcast.motion.livelink import read_livelink, write_livelink
from headcast.motion.timecode import (
    BASES,
    Timecode,
    code_frames,
    format_timecode,
    frame_number,
    frames_per_day,
    parse_timecode,
    timecode_base,
    timecode_rate,
)
from headcast.motion.timing import Schedule, hold_lost, row_times, schedule_rows

KINDS = [*((b, False) for b in (*BASES, 7, 10, 90)), *((b, True) for b in (24, 25, 30, 60, 120))]
steps = st.lists(st.floats(0.005, 0.5), min_size=1, max_size=60)


@given(st.sampled_from(KINDS), st.integers(0, 10**9), st.integers(0, 999))
@example((30, True), 1800, 0)
@example((30, True), 17982, 500)
@example((60, True), 3600, 1)
def test_a_code_is_what_it_was_written_from(kind: tuple[int, bool], frame: int, sub: int) -> None:
    base, drop = kind
    number = frame % frames_per_day(base, drop) + sub / 1000
    code = parse_timecode(format_timecode(number, base, drop))
    assert code is not None and code.drop == drop and code.frame < base
    assert frame_number(code, base) == pytest.approx(number, abs=1e-6)


@pytest.mark.parametrize(
    "frame, code",
    [
        (1799, "00:00:59;29.000"),
        (1800, "00:01:00;02.000"),
        (17981, "00:09:59;29.000"),
        (17982, "00:10:00;00.000"),
    ],
)
def test_drop_frame_codes_as_published(frame: int, code: str) -> None:
    """The two numbers after every full minute are skipped, but not after the tenth (SMPTE ST 12-1)."""
    assert format_timecode(frame, 30, True) == code


def test_a_day_of_drop_frame_codes_keeps_pace_with_the_clock() -> None:
    day = frames_per_day(30, True) / timecode_rate(30, True)
    assert day == pytest.approx(86400, abs=0.1)


@pytest.mark.parametrize("text", ["", "1", "12:00", "soon", "1:2:3:4:5", "00:00:00:", "0.5"])
def test_no_code(text: str) -> None:
    assert parse_timecode(text) is None


@given(st.sampled_from(KINDS), st.integers(0, 10**9), st.integers(2, 5))
def test_every_row_of_some_seconds_gives_the_base(kind: tuple[int, bool], start: int, seconds: int) -> None:
    base, drop = kind
    day = frames_per_day(base, drop)
    numbers = range(start % day, start % day + seconds * base + 1)
    codes = [parse_timecode(format_timecode(n, base, drop)) for n in numbers]
    known = [c for c in codes if c is not None]
    assert timecode_base(known) == base
    assert [b - a for a, b in zip(code_frames(known, base), code_frames(known, base)[1:], strict=False)] == [
        1.0
    ] * (len(known) - 1)
    times = row_times(known)
    assert times.rate == (pytest.approx(timecode_rate(base, drop)) if base >= 10 else None)


@given(st.sampled_from([24, 25, 30, 50, 60, 120]), st.sets(st.integers(0, 399), min_size=200, max_size=390))
def test_dropped_rows_do_not_shorten_a_take(base: int, left_out: set[int]) -> None:
    """Any rows of a take of 12 s may be missing but those at full seconds."""
    kept = [n for n in range(12 * base) if n not in left_out or n % base in (0, base - 1)]
    codes = [Timecode(n // base, float(n % base)) for n in kept]
    times = row_times(codes)
    schedule = schedule_rows(times.seconds, times.rate, 30.0, "take.csv")
    count = len(kept) if schedule.at is None else len(schedule.at)
    assert abs(count / schedule.fps - 12) <= 1 / schedule.fps + 1e-6


def scheduled(times: list[float | None], rate: float | None = None) -> Schedule:
    return schedule_rows(times, rate, 30.0, "take.csv")


@given(steps, st.floats(-1e3, 1e3), st.sampled_from([None, 24.0, 30.0, 60.0]))
def test_length_is_right_within_a_frame(gaps: list[float], start: float, rate: float | None) -> None:
    times = np.concatenate([[start], start + np.cumsum(gaps)])
    schedule = scheduled(times.tolist(), rate)
    count = len(times) if schedule.at is None else len(schedule.at)
    assert abs((count - 1) / schedule.fps - (times[-1] - times[0])) <= 1 / schedule.fps + 1e-6
    assert schedule.fps > 0 and schedule.order.tolist() == list(range(len(times)))


@given(steps, st.sampled_from([None, 24.0, 60.0]))
def test_frames_lie_where_their_times_are(gaps: list[float], rate: float | None) -> None:
    """Rows that hold their own times, resampled, hold the times of the frames."""
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    schedule = scheduled(times.tolist(), rate)
    at = np.arange(len(times)) if schedule.at is None else schedule.at
    read = np.interp(at, np.arange(len(times)), times)
    near = 0.8 / schedule.fps if schedule.at is None else 1e-6
    assert np.abs(read - np.arange(len(at)) / schedule.fps).max() <= near


@given(steps, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(gaps: list[float], random: object) -> None:
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    mixed = list(range(len(times)))
    random.shuffle(mixed)  # type: ignore[attr-defined]
    a, b = scheduled(times.tolist()), scheduled(times[mixed].tolist())
    assert a.fps == b.fps and [mixed[i] for i in b.order] == list(range(len(times)))
    assert (a.at is None and b.at is None) or np.array_equal(a.at, b.at)


@given(steps, st.lists(st.floats(0, 1), min_size=61, max_size=61), st.floats(5, 120))
def test_resampling_keeps_monotone_and_constant_clips(
    gaps: list[float], weights: list[float], fps: float
) -> None:
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    rising = sorted(weights)[: len(times)]
    motion = Motion.from_curves(30, len(times), {"jawOpen": rising, "tongueOut": [0.4] * len(times)})
    schedule = scheduled(times.tolist())
    if schedule.at is not None:
        motion = motion.sampled(torch.from_numpy(schedule.at), schedule.fps)
    other = motion.resampled(fps)
    for each in (motion, other):
        assert (each.curve("jawOpen").diff() >= -1e-6).all()
        assert torch.allclose(each.curve("tongueOut"), torch.tensor(0.4), atol=1e-6)
        assert (
            rising[0] - 1e-6 <= each.curve("jawOpen").min()
            and each.curve("jawOpen").max() <= rising[-1] + 1e-6
        )


@given(st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=1, max_size=20))
def test_any_missing_and_repeated_times_give_a_clip(ticks: list[int | None]) -> None:
    schedule = scheduled([None if t is None else t / 25 for t in ticks])
    assert (
        sorted(schedule.order) == list(range(len(ticks))) and math.isfinite(schedule.fps) and schedule.fps > 0
    )
    if schedule.at is not None:
        assert schedule.at.min() >= 0 and schedule.at.max() <= len(ticks) - 1


def test_too_long_gaps_and_clips_are_refused() -> None:
    with pytest.raises(HeadcastError, match=r"a gap of 601 s after 0 s"):
        scheduled([0.0, 601.0, 601.1])
    with pytest.raises(HeadcastError, match="too long at 30 frames per second"):
        scheduled([500.0 * i for i in range(100)])


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1))
def test_lost_values_are_held(values: list[float | None]) -> None:
    held = hold_lost(values)
    known = [v for v in values if v is not None]
    assert len(held) == len(values) and set(held) <= {*known, *([] if known else [0.0])}
    assert all(h == v for h, v in zip(held, values, strict=True) if v is not None)
    assert all(b == a for a, b, v in zip(held, held[1:], values[1:], strict=False) if v is None)


@pytest.mark.parametrize(
    "fps",
    [10.0, 12.5, 15.0, 23.976, 24.0, 25.0, 30000 / 1001, 30.0, 30.303, 60000 / 1001, 60.0, 90.0, 120.0],
)
def test_written_takes_keep_their_rate_and_length(tmp_path: Path, fps: float) -> None:
    path = tmp_path / "take.csv"
    motion = Motion.from_curves(fps, 400, {"jawOpen": [i / 400 for i in range(400)]})
    write_livelink(motion, path)
    again = read_livelink(path)
    assert len(again) == 400 and again.fps == pytest.approx(fps, rel=1e-4)
    assert again.curve("jawOpen").tolist() == pytest.approx(motion.curve("jawOpen").tolist(), abs=1e-5)
