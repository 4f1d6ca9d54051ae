"""Motion from the CSV files of the Live Link Face app (and of programs that write the same)."""

from __future__ import annotations

import csv
import difflib
import math
import statistics
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from headcast.errors import HeadcastError
from headcast.head.names import EXPRESSIONS
from headcast.motion.clip import Motion
from headcast.rotation import axis_angle_to_matrix, matrix_to_axis_angle

__all__ = ["read_livelink", "write_livelink"]

EXTRAS = tuple(
    f"{what}{axis}" for what in ("Head", "LeftEye", "RightEye") for axis in ("Yaw", "Pitch", "Roll")
)
COLUMNS = {n[0].upper() + n[1:]: n for n in EXPRESSIONS}
ANGLE_LIMIT = math.pi


def read_livelink(path: str | Path) -> Motion:
    """Read a Live Link Face recording.

    Columns: ``Timecode`` (HH:MM:SS:FF.sub), ``BlendshapeCount``, the 52 names with a capital, and the angles
    HeadYaw, HeadPitch, HeadRoll, LeftEyeYaw ... in radians. Order does not matter, absent columns are zero.
    ARKit's angles are taken as: positive yaw towards the subject's left, positive pitch down, positive roll
    towards the subject's right shoulder. The eye angles are dropped where ``EyeLook*`` columns exist.

    Raises:
        HeadcastError: missing, empty, an unknown column, a cell that is no number, under one frame.
    """
    path = Path(path)
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise HeadcastError(
            f"{path}: not a readable CSV file ({e}); export it again from Live Link Face"
        ) from e
    rows = [r for r in rows if any(c.strip() for c in r)]
    if len(rows) < 2:
        raise HeadcastError(f"{path}: holds no frame; export it again from Live Link Face")
    header = [h.strip() for h in rows[0]]
    check_header(path, header)
    table = {
        h: [cell(path, r, i, line) for line, r in enumerate(rows[1:], 2)]
        for i, h in enumerate(header)
        if h not in ("Timecode", "BlendshapeCount")
    }
    curves = {COLUMNS[h]: v for h, v in table.items() if h in COLUMNS}
    codes = [r[header.index("Timecode")] for r in rows[1:]] if "Timecode" in header else []
    motion = Motion.from_curves(
        rate_from_timecodes(codes), len(rows) - 1, curves, str(path), head_rotation(table, len(rows) - 1)
    )
    return Motion(
        fps=motion.fps,
        expression=motion.expression,
        neck=motion.neck,
        gaze=eye_gaze(table, len(motion)),
        name=str(path),
    )


def check_header(path: Path, header: list[str]) -> None:
    """Refuse unknown and repeated columns by name."""
    known = [*COLUMNS, *EXTRAS, "Timecode", "BlendshapeCount"]
    for h in header:
        if h not in known:
            near = difflib.get_close_matches(h, known, 1, 0.0)[0]
            raise HeadcastError(f"{path}: unknown column '{h}'; did you mean '{near}'?")
        if header.count(h) > 1:
            raise HeadcastError(f"{path}: the column '{h}' stands twice; remove one")
    if not set(header) & set(COLUMNS):
        raise HeadcastError(
            f"{path}: has no expression column such as 'JawOpen'; export it from Live Link Face"
        )


def cell(path: Path, row: list[str], column: int, line: int) -> float:
    """Parse a finite number from a cell."""
    try:
        value = float(row[column])
    except (ValueError, IndexError) as e:
        raise HeadcastError(
            f"{path}: line {line} has no number in column {column + 1}; mend or remove it"
        ) from e
    if not math.isfinite(value) or abs(value) > 10:
        raise HeadcastError(
            f"{path}: line {line}, column {column + 1}: {value} is out of range; mend or remove it"
        )
    return value


def rate_from_timecodes(codes: list[str]) -> float:
    """Return frames per second from timecodes: how many frames have one second; 60 when unknown."""
    seconds: dict[str, int] = {}
    for code in codes:
        seconds[code.rpartition(":")[0]] = seconds.get(code.rpartition(":")[0], 0) + 1
    whole = list(seconds.values())[1:-1]
    if not whole or max(whole) < 10:
        frames = [
            int(float(c.rpartition(":")[2])) for c in codes if c.rpartition(":")[2].replace(".", "").isdigit()
        ]
        return 60.0 if not frames or max(frames) >= 30 else 30.0
    rate = statistics.median(whole)
    return float(min((24, 25, 30, 50, 60), key=lambda r: abs(r - rate)))


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

    rate = round(motion.fps)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["Timecode", "BlendshapeCount", *COLUMNS, *EXTRAS[:3]])
        for t, weights in enumerate(motion.expression.tolist()):
            s, frame = divmod(t, rate)
            code = f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}:{frame:02d}.000"
            writer.writerow(
                [code, 61, *(f"{w:.6f}" for w in weights), *(f"{a:.6f}" for a in angles(motion.neck[t]))]
            )


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
