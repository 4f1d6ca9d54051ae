"""Motion from the CSV files of the Live Link Face app (and of programs that write the same)."""

from __future__ import annotations

import csv
import difflib
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.head.names import EXPRESSIONS
from headcast.motion.clip import Motion
from headcast.motion.timecode import BASES, Timecode, format_timecode, timecode_rate
from headcast.motion.timing import hold_lost, lost_notes, parse_moment, row_times, schedule_rows
from headcast.parsing import read_text, short_reason
from headcast.rotation import axis_angle_to_matrix, matrix_to_axis_angle

__all__ = ["read_livelink", "write_livelink"]

EXTRAS = tuple(
    f"{what}{axis}" for what in ("Head", "LeftEye", "RightEye") for axis in ("Yaw", "Pitch", "Roll")
)
COLUMNS = {n[0].upper() + n[1:]: n for n in EXPRESSIONS}
VALUES = frozenset((*COLUMNS, *EXTRAS))
TIME, COUNT = "Timecode", "BlendShapeCount"
STEMS = ("eye", "jaw", "mouth", "brow", "cheek", "nose", "tongue")
"""What the names of expressions start with: another name of that kind is a misspelling."""
ANGLE_LIMIT = math.pi
FPS = 60.0
"""Frames per second where a file does not say: what the app records by default."""
COUNTER_RATE = 60.0
"""Frames per second of rows that are merely numbered."""
BLANK = " \t,;\ufeff"
DROP_CODE = re.compile(r"^([^0-9]*)(\d{1,2}:\d{1,2}:\d{1,2};\d{1,3}(?:[.,]\d*)?)(?=;)")
"""A drop-frame code that is not quoted, in a file whose cells are parted by semicolons as well."""


class Table(NamedTuple):
    """The cells of a recording, by line, and what its columns mean.

    Attributes:
        path: the file, for messages.
        header: the name of every column, as ``COLUMNS`` and ``EXTRAS`` write it; empty: not read.
        rows: line number and cells of every row.
        notes: what the user should know.
    """

    path: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]
    notes: tuple[str, ...]


def read_livelink(path: str | Path) -> Motion:
    """Read a Live Link Face recording: frames at an even rate, at the times that its rows state.

    Columns: ``Timecode`` (HH:MM:SS:FF.sub), ``BlendShapeCount``, the 52 names, and the angles HeadYaw,
    HeadPitch, HeadRoll, LeftEyeYaw ... in radians. Neither order nor upper and lower case matter, absent
    columns are zero, columns of another kind are left out. Cells are parted by commas, semicolons or tabs,
    in UTF-8 or UTF-16. ARKit's angles are taken as: positive yaw towards the subject's left, positive pitch
    down, positive roll towards the subject's right shoulder. The eye angles are dropped where ``EyeLook*``
    columns exist. Where the face was lost (empty cells) the values before are held; ``Motion.notes`` counts
    such rows, missing frames and rows out of order.

    Raises:
        HeadcastError: missing, empty, a column that misspells an expression, a cell that is no number, a
            gap of more than ten minutes, no row with a face.
    """
    path = Path(path)
    table = without_cut_row(read_table(path))
    if not table.rows:
        raise HeadcastError(f"{path}: holds no frame; export it again from Live Link Face")
    times = row_times(read_moments(table), COUNTER_RATE)
    schedule = schedule_rows(times.seconds, times.rate, FPS, str(path))
    values, lost = read_values(table)
    if lost == len(table.rows):
        raise HeadcastError(f"{path}: no row shows a face; record it again")
    held = {h: hold_lost([v[i] for i in schedule.order]) for h, v in values.items()}
    curves = {COLUMNS[h]: v for h, v in held.items() if h in COLUMNS}
    count = len(table.rows)
    motion = Motion.from_curves(schedule.fps, count, curves, str(path), head_rotation(held, count))
    notes = (*table.notes, *lost_notes(lost, count, "rows"), *schedule.notes)
    motion = replace(motion, gaze=eye_gaze(held, count), notes=tuple(f"{path.name}: {n}" for n in notes))
    return motion if schedule.at is None else motion.sampled(torch.from_numpy(schedule.at), schedule.fps)


def read_table(path: Path) -> Table:
    """Read the cells of a file, its delimiter found in the header; blank lines are left out."""
    text = read_text(path, "CSV")
    try:
        lines = re.split(r"\r\n?|\n", text)
        numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip(BLANK)]
        stated = re.fullmatch(r"sep=(.)", numbered[0][1].strip(), re.IGNORECASE) if numbered else None
        numbered = numbered[1:] if stated else numbered
        top = numbered[0][1] if numbered else ""
        delimiter = stated[1] if stated else max(",;\t", key=top.count)
        if delimiter == ";":
            numbered = [(n, DROP_CODE.sub(r'\1"\2"', line)) for n, line in numbered]
        cells = [next(csv.reader([line], delimiter=delimiter)) for _, line in numbered]
        if top and not re.search("[A-Za-z]", top):
            raise ValueError("no column has a name")
    except (ValueError, csv.Error) as e:
        raise HeadcastError(
            f"{path}: not a readable CSV file ({short_reason(e)}); export it again from Live Link Face"
        ) from e
    if len(cells) < 2:
        raise HeadcastError(f"{path}: holds no frame; export it again from Live Link Face")
    header, notes = match_columns(path, [h.strip() for h in cells[0]])
    return Table(path, header, [(n, r) for (n, _), r in zip(numbered[1:], cells[1:], strict=True)], notes)


def match_columns(path: Path, given: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the known name of every column, empty for others, and a note that counts those."""
    header = [KNOWN.get(fold(h), "") for h in given]
    check_header(path, [known or h for known, h in zip(header, given, strict=True)])
    others = [h for known, h in zip(header, given, strict=True) if h and not known]
    shown = ", ".join(h[:20] for h in others[:3]) + (" ..." if len(others) > 3 else "")
    return header, (f"columns of another kind are left out: {shown}",) if others else ()


def fold(name: str) -> str:
    """Reduce a column's name to lower-case letters and digits, without the prefix of Audio2Face."""
    return re.sub("[^a-z0-9]", "", name.lower().removeprefix("blendshapes."))


KNOWN = {fold(n): n for n in (*COLUMNS, *EXTRAS, TIME, COUNT)} | dict.fromkeys(("time", "timestamp"), TIME)
"""What a column is called, by its folded name."""


def check_header(path: Path, header: list[str]) -> None:
    """Refuse misspelt expressions and repeated columns by name."""
    for h in header:
        if h not in KNOWN.values() and fold(h).startswith(STEMS):
            near = difflib.get_close_matches(h, COLUMNS, 1, 0.0)[0]
            raise HeadcastError(f"{path}: unknown column '{h[:40]}'; did you mean '{near}'?")
        if h in KNOWN.values() and header.count(h) > 1:
            raise HeadcastError(f"{path}: the column '{h}' stands twice; remove one")
    if not set(header) & set(COLUMNS):
        raise HeadcastError(
            f"{path}: has no expression column such as 'JawOpen'; export it from Live Link Face"
        )


def without_cut_row(table: Table) -> Table:
    """Leave out a last row that breaks off, as a stopped app leaves it, unless it is the only one."""
    if len(table.rows) < 2:
        return table
    row = table.rows[-1][1]
    last = max(i for i, h in enumerate(table.header) if h)
    cut = len(row) <= last and not is_lost(table.header, row)
    if not cut and len(row) == last + 1 and table.header[last] in VALUES:
        cut = not is_number(row[last]) and row[last].strip() != ""
    if not cut:
        return table
    return table._replace(
        rows=table.rows[:-1], notes=(*table.notes, "the last row breaks off and is left out")
    )


def is_lost(header: list[str], row: list[str]) -> bool:
    """Whether a row shows no face: all its values are empty, or zero with a count of no blendshapes."""
    cells = {h: c.strip() for h, c in zip(header, row, strict=False) if h}
    values = [c for h, c in cells.items() if h in VALUES]
    if not any(values):
        return COUNT in cells or len(row) >= len(header)
    zero = all(not c or (is_number(c) and cell_value(c) == 0) for c in values)
    return zero and is_number(cells.get(COUNT, "")) and cell_value(cells[COUNT]) == 0


def is_number(text: str) -> bool:
    """Whether a cell holds a number."""
    try:
        cell_value(text)
    except ValueError:
        return False
    return True


def cell_value(text: str) -> float:
    """Return the number of a cell, its decimals after a point or a comma."""
    return float(text.replace(",", ".", 1))


def read_values(table: Table) -> tuple[dict[str, list[float | None]], int]:
    """Return the numbers of every column, None where a cell is empty, and how many rows show no face."""
    lost = [is_lost(table.header, row) for _, row in table.rows]
    columns = [(i, h) for i, h in enumerate(table.header) if h in VALUES]
    for line, row in table.rows:
        if any(c.strip() for c in row[len(table.header) :]):
            raise HeadcastError(
                f"{table.path}: line {line} has {len(row)} cells, the header {len(table.header)}; mend it"
            )
    values = {
        h: [
            None if gone else cell(table.path, row, i, line)
            for (line, row), gone in zip(table.rows, lost, strict=True)
        ]
        for i, h in columns
    }
    return values, sum(lost)


def cell(path: Path, row: list[str], column: int, line: int) -> float | None:
    """Parse a finite number from a cell; None: it is empty."""
    try:
        value = cell_value(row[column]) if row[column].strip() else None
    except (ValueError, IndexError) as e:
        raise HeadcastError(
            f"{path}: line {line} has no number in column {column + 1}; mend or remove it"
        ) from e
    if value is not None and (not math.isfinite(value) or abs(value) > 10):
        raise HeadcastError(
            f"{path}: line {line}, column {column + 1}: {value:g} is out of range; mend or remove it"
        )
    return value


def read_moments(table: Table) -> list[Timecode | float | None]:
    """Return the time that every row states."""
    if TIME not in table.header:
        return [None] * len(table.rows)
    column = table.header.index(TIME)
    moments = []
    for line, row in table.rows:
        text = row[column] if column < len(row) else ""
        try:
            moments.append(parse_moment(text))
        except ValueError:
            raise HeadcastError(
                f"{table.path}: line {line}: '{text[:20]}' is no time code; write HH:MM:SS:FF"
            ) from None
        if moments[-1] is not None and type(moments[-1]) is not type(
            next(m for m in moments if m is not None)
        ):
            raise HeadcastError(
                f"{table.path}: line {line}: '{text[:20]}' is a time of another kind; mend it"
            )
    return moments


def head_rotation(table: dict[str, list[float]], frames: int) -> Tensor:
    """Return (T, 3) axis-angle of yaw, then pitch, then roll (+X subject's left, +Y up, +Z forward)."""

    def axis(name: str, direction: tuple[float, float, float]) -> Tensor:
        angles = torch.tensor(table.get(name, [0.0] * frames)).clamp(-ANGLE_LIMIT, ANGLE_LIMIT)
        return axis_angle_to_matrix(angles[:, None] * torch.tensor(direction))

    yaw, pitch, roll = axis("HeadYaw", (0, 1, 0)), axis("HeadPitch", (1, 0, 0)), axis("HeadRoll", (0, 0, 1))
    return matrix_to_axis_angle(yaw @ pitch @ roll)


def eye_gaze(table: dict[str, list[float]], frames: int) -> Tensor | None:
    """Return (T, 2, 2) eyeball rotation from the angle columns, unless ``EyeLook*`` columns have values."""
    if any(h.startswith("EyeLook") for h in table) or not any(
        "EyeYaw" in h or "EyePitch" in h for h in table
    ):
        return None
    zero = [0.0] * frames
    sides = [
        torch.stack(
            [torch.tensor(table.get(f"{s}EyeYaw", zero)), -torch.tensor(table.get(f"{s}EyePitch", zero))], -1
        )
        for s in ("Left", "Right")
    ]
    return torch.stack(sides, 1)


def write_livelink(motion: Motion, path: str | Path) -> None:
    """Write expression and head rotation in the same format, for other programs; complete or not at all."""
    from headcast.files import atomic_path

    base, drop = code_base(motion.fps)
    step = timecode_rate(base, drop) / motion.fps
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow([TIME, COUNT, *COLUMNS, *EXTRAS[:3]])
        for t, weights in enumerate(motion.expression.tolist()):
            turn = (f"{a:.6f}" for a in angles(motion.neck[t]))
            writer.writerow(
                [format_timecode(t * step, base, drop), 61, *(f"{w:.6f}" for w in weights), *turn]
            )


def code_base(fps: float) -> tuple[int, bool]:
    """Return the frame numbers in a second, and whether codes drop numbers, for a frame rate."""
    for base in (30, 60, 120):
        if abs(fps - timecode_rate(base, True)) < 0.01:
            return base, True
    if fps == round(fps):
        return round(fps), False
    return next((b for b in BASES if b >= fps), 1000), False


class HeadAngles(NamedTuple):
    """Yaw, pitch and roll of the head, radians."""

    yaw: float
    pitch: float
    roll: float


def angles(axis_angle: Tensor) -> HeadAngles:
    """Return yaw, pitch, roll of a rotation, the inverse of ``head_rotation``."""
    R = axis_angle_to_matrix(axis_angle.double())
    pitch = math.asin(max(-1.0, min(1.0, -float(R[1, 2]))))
    yaw = math.atan2(float(R[0, 2]), float(R[2, 2]))
    return HeadAngles(yaw, pitch, math.atan2(float(R[1, 0]), float(R[1, 1])))
