"""Recordings as apps, spreadsheets and scripts write them, and what each must give.

One table for both readers: ``test_recordings.py`` reads it with Python, ``tests/web/test_clips.py``
with the viewer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["RECORDINGS", "Recorded", "codes", "take"]


@dataclass(frozen=True)
class Recorded:
    """A file and what reading it gives: frames, rate, ``jawOpen`` at some frames, words of notes or error."""

    name: str
    data: bytes
    frames: int = 0
    fps: float = 0.0
    jaw: dict[int, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str = ""


def codes(
    numbers: Iterable[int], base: int, start: int = 47584, mark: str = ":", sub: str = ".000"
) -> list[str]:
    """Write non-drop time codes of frames counted from ``start`` seconds after midnight."""
    out = []
    for n in numbers:
        second, frame = start + n // base, n % base
        clock = f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        out.append(f"{clock}{mark}{frame:02d}{sub}")
    return out


def take(
    times: Sequence[str],
    jaw: Sequence[float | str],
    header: str = "Timecode,BlendShapeCount,JawOpen,HeadYaw,LeftEyeYaw",
    count: str = "61",
) -> str:
    """Write rows of a time, a count, ``jawOpen`` and two angles."""
    rows = [
        f"{t},{count},{w if isinstance(w, str) else f'{w:.4f}'},0.1,0.2"
        for t, w in zip(times, jaw, strict=True)
    ]
    return "\n".join([header, *rows]) + "\n"


def semicolons(text: str) -> str:
    """Part cells by semicolons, and write decimals after a comma."""
    return text.replace(",", ";").replace(".", ",")


def ramp(count: int) -> list[float]:
    """Return weights that grow by a thousandth from row to row."""
    return [i / 1000 for i in range(count)]


def dumped(data: Any) -> bytes:
    """Write JSON."""
    return json.dumps(data).encode()


WHOLE = take(codes(range(120), 60), ramp(120))
KEPT = [i for i in range(600) if i % 4 != 3]
HOLE = [*range(200), *range(380, 600)]
EVENLY = {0: 0.0, 60: 0.06, 119: 0.119}


def rated(rate: int) -> Recorded:
    text = take(codes(range(3 * rate), rate), ramp(3 * rate))
    return Recorded(f"rate_{rate}.csv", text.encode(), 3 * rate, rate, {rate: rate / 1000})


def every(step: int, base: int) -> Recorded:
    numbers = range(0, 3 * base, step)
    text = take(codes(numbers, base), ramp(len(numbers)))
    return Recorded(f"every_{step}_of_{base}.csv", text.encode(), len(numbers), base / step, {4: 0.004})


def drop_codes(first: int, count: int, base: int) -> list[str]:
    """Write drop-frame codes by counting on, as a camera does: numbers are skipped at most full minutes."""
    out, second, frame = [], first, 0
    for _ in range(count):
        clock = f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        out.append(f"{clock};{frame:02d}.000")
        frame += 1
        if frame == base:
            second, frame = second + 1, 0
            if second % 60 == 0 and second % 600:
                frame = base // 15
    return out


def drop(name: str, first: int, count: int, base: int = 30) -> Recorded:
    text = take(drop_codes(first, count, base), ramp(count))
    return Recorded(name, text.encode(), count, base * 1000 / 1001, {count - 1: (count - 1) / 1000})


def named(key: str, times: Sequence[Any], **top: Any) -> bytes:
    """Write frames of one weight and a time under ``key``; ``top`` stands beside the frames."""
    return dumped(
        {**top, "frames": [{key: t, "weights": {"jawOpen": i / 1000}} for i, t in enumerate(times)]}
    )


def scores(weights: Sequence[float | None], snake: bool = False) -> list[dict[str, Any]]:
    """Write MediaPipe's results, in the case of JavaScript or of Python; None is a frame without a face."""
    face, name = ("face_blendshapes", "category_name") if snake else ("faceBlendshapes", "categoryName")
    rows = []
    for t, w in enumerate(weights):
        categories = [{name: "_neutral", "score": 0.1}, {name: "jawOpen", "score": w}]
        faces = [] if w is None else [categories] if snake else [{"categories": categories}]
        rows.append({"timestampMs": 40 * t, face: faces})
    return rows


LIVELINK = (
    Recorded("app.csv", WHOLE.encode(), 120, 60, EVENLY),
    Recorded("old_header.csv", WHOLE.replace("BlendShape", "Blendshape").encode(), 120, 60, EVENLY),
    Recorded(
        "camel_case.csv",
        WHOLE.replace("Timecode,BlendShapeCount,JawOpen", "timecode,blendShapeCount,jawOpen").encode(),
        120,
        60,
        EVENLY,
    ),
    Recorded("bom.csv", b"\xef\xbb\xbf" + WHOLE.encode(), 120, 60, EVENLY),
    Recorded("utf16_le.csv", b"\xff\xfe" + WHOLE.encode("utf-16-le"), 120, 60, EVENLY),
    Recorded("utf16_be.csv", b"\xfe\xff" + WHOLE.encode("utf-16-be"), 120, 60, EVENLY),
    Recorded("utf16_no_mark.csv", WHOLE.encode("utf-16-le"), 120, 60, EVENLY),
    Recorded("utf16_cut.csv", b"\xff\xfe" + WHOLE.encode("utf-16-le")[:-13], 119, 60, notes=("breaks off",)),
    Recorded("crlf.csv", WHOLE.replace("\n", "\r\n").encode(), 120, 60, EVENLY),
    Recorded("semicolons.csv", semicolons(WHOLE).encode(), 120, 60, EVENLY),
    Recorded("tabs.csv", WHOLE.replace(",", "\t").encode(), 120, 60, EVENLY),
    Recorded("sep_line.csv", b"sep=;\r\n" + semicolons(WHOLE).encode(), 120, 60, EVENLY),
    Recorded(
        "quoted.csv",
        "\n".join(",".join(f'"{c}"' for c in r.split(",")) for r in WHOLE.split("\n")[:-1]).encode(),
        120,
        60,
        EVENLY,
    ),
    Recorded(
        "quoted_decimals.csv",
        b'JawOpen,Notes\n"0,5","a ""b"", c"\n"0,25",\n',
        2,
        60,
        {0: 0.5, 1: 0.25},
        ("left out: Notes",),
    ),
    Recorded("trailing_comma.csv", WHOLE.replace("\n", ",\n").encode(), 120, 60, EVENLY),
    Recorded("trailing_comma_in_rows.csv", WHOLE.replace("0.2\n", "0.2,\n").encode(), 120, 60, EVENLY),
    Recorded(
        "other_columns.csv",
        WHOLE.replace("HeadYaw,LeftEyeYaw", "Temperature,Operator").encode(),
        120,
        60,
        EVENLY,
        ("left out: Temperature, Operator",),
    ),
    Recorded(
        "audio2face.csv", b"timeCode,blendShapes.JawOpen\n0.0,0.1\n0.04,0.2\n0.08,0.3\n", 3, 25, {2: 0.3}
    ),
    Recorded("no_times.csv", b"JawOpen\n0.1\n0.2\n", 2, 60, {1: 0.2}),
    Recorded("numbered.csv", b"Timecode,JawOpen\n7,0.1\n8,0.2\n9,0.3\n", 3, 60, {2: 0.3}),
    Recorded("one_row.csv", take(codes([5], 60), [0.5]).encode(), 1, 30, {0: 0.5}),
    Recorded(
        "cut_last_row.csv",
        WHOLE[: WHOLE.rindex("0.1,0.2")].rstrip(",").encode(),
        119,
        60,
        {118: 0.118},
        ("breaks off",),
    ),
    Recorded("cut_in_time.csv", (WHOLE + "13:13:0").encode(), 120, 60, EVENLY, ("breaks off",)),
    Recorded(
        "cut_in_last_cell.csv", WHOLE[: WHOLE.rindex("0.2")].encode() + b"-", 119, 60, {}, ("breaks off",)
    ),
    Recorded(
        "lost_rows.csv",
        take(codes(range(9), 60), [*ramp(3), "", "", *ramp(4)]).replace(",61,,0.1,0.2", ",0,,,").encode(),
        9,
        30,
        {2: 0.002, 3: 0.002, 4: 0.002, 5: 0.0},
        ("lost in 2 of 9 rows",),
    ),
    Recorded(
        "lost_at_start.csv",
        b"Timecode,BlendShapeCount,JawOpen\n00:00:06:00,0,\n00:00:06:01,0\n00:00:06:02,1,0.5\n",
        3,
        30,
        {0: 0.5, 1: 0.5, 2: 0.5},
        ("lost in 2 of 3 rows",),
    ),
    Recorded(
        "lost_zeros.csv",
        b"Timecode,BlendShapeCount,JawOpen\n00:00:06:00,61,0.5\n00:00:06:01,0,0.000\n00:00:06:02,61,0.0\n",
        3,
        30,
        {0: 0.5, 1: 0.5, 2: 0.0},
        ("lost in 1 of 3 rows",),
    ),
    Recorded("an_empty_cell.csv", b"JawOpen,JawLeft\n0.5,0.1\n,0.2\n0.1,0.3\n", 3, 60, {1: 0.5, 2: 0.1}),
    *(rated(rate) for rate in (15, 24, 25, 30, 48, 50, 60, 120)),
    every(2, 60),
    every(4, 60),
    every(2, 30),
    every(2, 50),
    Recorded(
        "throttled.csv",
        take(codes(KEPT, 60), [i / 1000 for i in KEPT]).encode(),
        599,
        60,
        {2: 0.002, 3: 0.003, 598: 0.598},
        ("450 rows became 599 frames",),
    ),
    Recorded(
        "hole.csv",
        take(codes(HOLE, 60), [i / 1000 for i in HOLE]).encode(),
        600,
        60,
        {199: 0.199, 300: 0.3, 599: 0.599},
        ("a gap of 3.0 s after 3.3 s: interpolated",),
    ),
    Recorded(
        "fractions.csv",
        take(
            [f"00:00:{int(n) // 60:02d}:{n % 60:06.3f}" for n in (1.5 * i for i in range(100))], ramp(100)
        ).encode(),
        100,
        40,
        {99: 0.099},
    ),
    Recorded("midnight.csv", take(codes(range(120), 60, 86399), ramp(120)).encode(), 120, 60, EVENLY),
    Recorded(
        "midnight_hole.csv",
        take(codes(KEPT, 60, 86395), [i / 1000 for i in KEPT]).encode(),
        599,
        60,
        {300: 0.3},
    ),
    drop("drop_frame.csv", 47584, 300),
    drop("drop_frame_minutes.csv", 47630, 1900),
    drop("drop_frame_tenth_minute.csv", 48590, 900),
    drop("drop_frame_60.csv", 47638, 400, 60),
    drop("drop_frame_midnight.csv", 86395, 300),
    Recorded(
        "drop_frame_semicolons.csv",
        semicolons(take(drop_codes(47584, 300, 30), ramp(300))).encode(),
        300,
        30000 / 1001,
        {299: 0.299},
    ),
    Recorded(
        "clock.csv",
        b"Timestamp,JawOpen\n23:59:59.960,0.1\n00:00:00.000,0.2\n00:00:00.040,0.3\n",
        3,
        25,
        {2: 0.3},
    ),
    Recorded(
        "unsorted.csv",
        b"Time,JawOpen\n0.08,0.3\n0.0,0.1\n0.04,0.2\n",
        3,
        25,
        {0: 0.1, 2: 0.3},
        ("sorted by time",),
    ),
    Recorded(
        "twice_each.csv",
        take(codes([n // 2 for n in range(180)], 30), ramp(180)).encode(),
        180,
        60,
        {179: 0.179},
    ),
    Recorded(
        "one_time.csv", take(codes([0] * 5, 30), ramp(5)).encode(), 5, 30, {4: 0.004}, ("has the same time",)
    ),
    Recorded("a_time_is_missing.csv", b"Time,JawOpen\n0.0,0.1\n,0.2\n0.08,0.3\n0.12,0.4\n", 4, 25, {1: 0.2}),
    Recorded("header_only.csv", WHOLE.splitlines()[0].encode(), error="holds no frame"),
    Recorded("blank_rows.csv", b"JawOpen,JawLeft\n,\n,\n", error="holds no frame"),
    Recorded(
        "no_face.csv", b"Timecode,BlendShapeCount,JawOpen\n00:00:06:00,0,\n", error="no row shows a face"
    ),
    Recorded("misspelt.csv", b"JawOpenn\n0.5\n", error="unknown column 'JawOpenn'"),
    Recorded("twice.csv", b"JawOpen,jawOpen\n0,0\n", error="stands twice"),
    Recorded("no_expression.csv", b"HeadYaw\n0\n", error="no expression column"),
    Recorded("word.csv", b"JawOpen,JawLeft\n0.5,x\n0.5,0\n", error="line 2 has no number in column 2"),
    Recorded("short_row.csv", b"JawOpen,JawLeft\n0.5\n0.5,0\n", error="line 2 has no number in column 2"),
    Recorded("long_row.csv", b"JawOpen\n0.5,0.4\n0.5\n", error="line 2 has 2 cells, the header 1"),
    Recorded("large.csv", b"JawOpen\n\n50\n", error="line 3, column 1: 50 is out of range"),
    Recorded("never.csv", b"Time,JawOpen\n0,0.5\n1e300,0.5\n", error="'1e300' is no time code"),
    Recorded("no_code.csv", b"Timecode,JawOpen\nsoon,0.5\n", error="'soon' is no time code"),
    Recorded("mixed_times.csv", b"Timecode,JawOpen\n00:00:00:01,0.5\n0.04,0.5\n", error="'0.04'"),
    Recorded("years.csv", b"Time,JawOpen\n0,0.5\n0.04,0.5\n0.08,0.5\n700.08,0.5\n", error="a gap of 700 s"),
    Recorded("bytes.csv", b"\xff\xfe\x00\x81" * 9, error="not a readable CSV"),
)

FACES = [0.0, 0.1, 0.2, None, None, 0.5]
HELD = {2: 0.2, 3: 0.2, 4: 0.2, 5: 0.5}
LOSES = ("lost in 2 of 6 frames",)
MISSING = [33.3 * n for n in range(60) if n % 5 != 2]

JSON = (
    Recorded(
        "audio2face.json",
        dumped(
            {
                "exportFps": 30.0,
                "numPoses": 2,
                "facsNames": ["eyeBlinkLeft", "jawOpen"],
                "weightMat": [[0, 0], [0, 0.5]],
            }
        ),
        2,
        30,
        {1: 0.5},
    ),
    Recorded("mediapipe.json", dumped(scores(FACES)), 6, 25, HELD, LOSES),
    Recorded("mediapipe_python.json", dumped({"frames": scores(FACES, snake=True)}), 6, 25, HELD, LOSES),
    *(
        Recorded(
            f"lost_{name}.json",
            dumped(
                {
                    "fps": 30,
                    "frames": [empty if w is None else {"blendshapes": {"jawOpen": w}} for w in FACES],
                }
            ),
            6,
            30,
            HELD,
            LOSES,
        )
        for name, empty in (
            ("null", {"blendshapes": None}),
            ("list", {"blendshapes": []}),
            ("object", {"blendshapes": {}}),
            ("frame_null", None),
            ("frame_object", {}),
            ("weight_null", {"blendshapes": {"jawOpen": None}}),
        )
    ),
    Recorded("lost_in_a_curve.json", dumped({"fps": 30, "jawOpen": FACES}), 6, 30, HELD, LOSES),
    Recorded(
        "names_of_metadata.json",
        dumped(
            {"metadata": {"fps": 50, "blendshape_names": ["jawOpen"]}, "frames": [{"weights": [0.1]}, [0.2]]}
        ),
        2,
        50,
        {1: 0.2},
    ),
    Recorded(
        "utf16.json",
        b"\xff\xfe" + json.dumps({"fps": 10, "jawOpen": [0.1, 0.2]}).encode("utf-16-le"),
        2,
        10,
        {1: 0.2},
    ),
    Recorded("bom.json", b"\xef\xbb\xbf" + dumped({"fps": 10, "jawOpen": [0.1, 0.2]}), 2, 10, {1: 0.2}),
    Recorded("seconds.json", named("time", [0, 0.04, 0.08]), 3, 25, {2: 0.002}),
    Recorded("negative.json", named("time", [-0.08, -0.04, 0.0]), 3, 25, {2: 0.002}),
    Recorded("epoch.json", named("timestamp", [1700000000000 + 40 * i for i in range(3)]), 3, 25, {2: 0.002}),
    Recorded("microseconds.json", named("timestamp", [0, 40000, 80000]), 3, 25, {2: 0.002}),
    Recorded(
        "jitter.json", named("timestampMs", [round(n * 1000 / 30) for n in range(61)]), 61, 30, {60: 0.06}
    ),
    Recorded("time_codes.json", named("timecode", codes(range(90), 24)), 90, 24, {89: 0.089}),
    Recorded(
        "missing_frames.json",
        named("timestamp", MISSING),
        60,
        30.03,
        {0: 0.0, 59: 0.047},
        ("48 rows became 60",),
    ),
    Recorded(
        "stated_rate.json", named("timestamp", MISSING, fps=60), 118, 60, {0: 0.0}, ("48 rows became 118",)
    ),
    Recorded("stamps_against_rate.json", named("time", [0, 0.04, 0.08], fps=50), 3, 25, {2: 0.002}),
    Recorded(
        "key_poses.json",
        named("time", [0, 1, 2]),
        61,
        30,
        {30: 0.001, 60: 0.002, 15: 0.0005},
        ("3 rows became 61",),
    ),
    Recorded(
        "unsorted.json", named("time", [0.08, 0.04, 0.0]), 3, 25, {0: 0.002, 2: 0.0}, ("sorted by time",)
    ),
    Recorded("one_frame.json", named("time", [3.5]), 1, 30, {0: 0.0}),
    Recorded(
        "times_of_curves.json", dumped({"time": [0, 0.04, 0.08], "jawOpen": [0.1, 0.2, 0.3]}), 3, 25, {2: 0.3}
    ),
    Recorded(
        "unknown.json", dumped({"frames": [{"JawOpen": 1}]}), error="frame 1: unknown expression 'JawOpen'"
    ),
    Recorded(
        "no_names.json", dumped({"frames": [{"weights": [1, 2]}]}), error="2 weights without as many 'names'"
    ),
    Recorded("rotated.json", dumped({"frames": [{"jawOpen": 1, "rotation": [1, 0, 0]}]}), error="rotation"),
    Recorded("word.json", dumped({"frames": [{"jawOpen": "wide"}]}), error="jawOpen is wide"),
    Recorded("lengths.json", dumped({"jawOpen": [1, 2], "mouthPucker": [1]}), error="differ in length"),
    Recorded("nothing.json", dumped([]), error="holds no frame"),
    Recorded("no_face.json", dumped([None, {}]), error="no frame shows a face"),
    Recorded("odd_time.json", named("time", [0, True]), error="frame 2: its time is"),
    Recorded("huge.json", b'{"jawOpen": [1' + b"0" * 400 + b"]}", error="frame 1: jawOpen is"),
    Recorded("text.json", b"{", error="not a readable JSON"),
    Recorded("rate.json", dumped({"fps": "fast", "jawOpen": [1]}), error="fps is fast"),
    Recorded("latin.json", '{"jawOpen": [1], "Gr\u00f6\u00dfe": 2}'.encode("latin-1"), error="latin.json"),
)

RECORDINGS = (*LIVELINK, *JSON)
