"""Motion from JSON files of ARKit weights: streams of names and weights (as LAM writes), and named frames."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from headcast.errors import HeadcastError
from headcast.files import check_readable
from headcast.head.names import check_names
from headcast.motion.clip import Motion

__all__ = ["read_arkit_json"]

FPS = 30.0
LARGEST = 10.0
MOST_BYTES = 1 << 28
IGNORED = ("_neutral",)
"""MediaPipe's first score, which is no expression."""
BESIDE = ("time", "timestamp", "rotation")
"""What a frame may hold beside its weights; a rotation must be empty."""


def read_arkit_json(path: str | Path) -> Motion:
    """Read a JSON recording in any of three forms:

    - ``{"names": [...], "frames": [{"weights": [...], "time": seconds}, ...]}``: weights in that order;
    - ``[{"time": seconds, "blendshapes": {name: weight}}, ...]`` or ``{"frames": [...]}`` of the same, or of
      plain ``{name: weight}``;
    - ``{name: [weight, ...], ...}``: a curve for each name.

    The frame rate is ``fps`` (or ``metadata.fps``), else that of the times, else 30.

    Raises:
        HeadcastError: unreadable, of another form, an unknown name, a weight that is no number.
    """
    path = Path(path)
    data = _read_json(path)
    frames = data if isinstance(data, list) else data.get("frames") if isinstance(data, dict) else None
    times: list[Any] = []
    if isinstance(frames, list):
        names = data.get("names") if isinstance(data, dict) else None
        rows = [frame_weights(path, f, names, i) for i, f in enumerate(frames)]
        times = [f.get("time", f.get("timestamp")) for f in frames]
        used = {n: None for row in rows for n in row}
        curves = {n: [row.get(n, 0.0) for row in rows] for n in used}
        count = len(rows)
    elif isinstance(data, dict):
        curves = {k: v for k, v in data.items() if isinstance(v, list)}
        check_names(curves, str(path))
        count = max(map(len, curves.values()), default=0)
        if any(len(v) != count for v in curves.values()):
            raise HeadcastError(f"{path}: its curves differ in length; export it again")
    else:
        raise HeadcastError(f"{path}: no recording of ARKit weights; give names and frames, or named frames")
    if count == 0 or not curves:
        raise HeadcastError(f"{path}: holds no frame of ARKit weights (jawOpen, ...); export it again")
    finite = {n: [number(path, n, w, i) for i, w in enumerate(v)] for n, v in curves.items()}
    return Motion.from_curves(rate_from_times(path, data, times), count, finite, str(path))


def _read_json(path: Path) -> Any:
    """Read a JSON file of moderate size.

    Raises:
        HeadcastError: unreadable or too large.
    """
    check_readable(path, "JSON")
    if path.stat().st_size > MOST_BYTES:
        raise HeadcastError(f"{path}: too large for a recording of weights; cut it into parts")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as e:
        raise HeadcastError(f"{path}: not a readable JSON file ({e}); export it again") from e


def frame_weights(path: Path, frame: Any, names: Any, index: int) -> dict[str, Any]:
    """Return one frame's weights by name."""
    where = f"{path}: frame {index + 1}"
    if not isinstance(frame, dict):
        raise HeadcastError(f"{where}: is no object of weights; export it again")
    inner = frame.get("weights", frame.get("blendshapes"))
    if isinstance(inner, list):
        if not isinstance(names, list) or len(names) != len(inner):
            raise HeadcastError(f"{where}: {len(inner)} weights without as many 'names'; export it again")
        inner = {str(n): w for n, w in zip(names, inner, strict=True)}
    elif inner is None:
        inner = {k: v for k, v in frame.items() if k not in BESIDE}
    if not isinstance(inner, dict):
        raise HeadcastError(f"{where}: its weights are neither a list nor named; export it again")
    if frame.get("rotation"):
        raise HeadcastError(f"{where}: has a head rotation, whose meaning is not known; remove 'rotation'")
    named = {n: w for n, w in inner.items() if n not in IGNORED}
    check_names(named, where)
    return named


def number(path: Path, name: str, value: Any, index: int) -> float:
    """Check and return a finite weight."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or abs(value) > LARGEST:
        raise HeadcastError(
            f"{path}: frame {index + 1}: {name} is {str(value)[:20]}; give a weight from 0 to 1"
        )
    return float(value)


def rate_from_times(path: Path, data: Any, times: list[Any]) -> float:
    """Return frames per second as stated, or from the times."""
    meta = data.get("metadata") if isinstance(data, dict) else None
    said = data.get("fps") if isinstance(data, dict) else None
    said = meta.get("fps") if said is None and isinstance(meta, dict) else said
    if said is not None:
        if isinstance(said, bool) or not isinstance(said, int | float) or not 1 <= said <= 1000:
            raise HeadcastError(f"{path}: fps is {str(said)[:20]}; give frames per second")
        return float(said)
    known = [t for t in times if isinstance(t, int | float) and math.isfinite(t)]
    if len(known) == len(times) and len(known) > 1 and known[-1] > known[0]:
        rate = (len(known) - 1) / (known[-1] - known[0])
        if 1 <= rate <= 1000:
            return round(rate, 3)
    return FPS
