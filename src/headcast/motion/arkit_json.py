"""Motion from JSON files of ARKit weights, as LAM, Audio2Face, MediaPipe and scripts write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from headcast.errors import HeadcastError
from headcast.head.names import check_names
from headcast.motion.clip import Motion
from headcast.motion.timecode import Timecode
from headcast.motion.timing import RowTimes, hold_lost, lost_notes, parse_moment, row_times, schedule_rows
from headcast.parsing import load_json, short_reason

__all__ = ["read_arkit_json"]

FPS = 30.0
LARGEST = 10.0
MOST_BYTES = 1 << 28
IGNORED = ("_neutral",)
"""MediaPipe's first score, which is no expression."""
TIMES = ("time", "timestamp", "timeCode", "timecode")
"""Keys of a time: a time code, or a number in seconds or finer units: their distance says which."""
MILLISECONDS = ("timestampMs", "timestamp_ms", "timeMs", "time_ms")
WEIGHTS = ("weights", "blendshapes", "blendShapes", "faceBlendshapes", "face_blendshapes")
NAMES = ("names", "facsNames", "blendshape_names", "blendShapeNames")
RATES = ("fps", "exportFps", "frameRate", "frame_rate")
BESIDE = (*TIMES, *MILLISECONDS, "rotation", "frame", "index")
"""What a frame may hold beside its weights; a rotation must be empty."""

Weights = dict[str, Any]


class Stream(NamedTuple):
    """What a file holds: for every frame its weights, None where the face was lost, and its time."""

    frames: list[Weights | None]
    times: RowTimes


def read_arkit_json(path: str | Path) -> Motion:
    """Read a JSON recording, in UTF-8 or UTF-16, in any of these forms:

    - ``{"names": [...], "frames": [{"weights": [...], "time": seconds}, ...]}``: weights in that order;
    - ``[{"time": seconds, "blendshapes": {name: weight}}, ...]`` or ``{"frames": [...]}`` of the same, or of
      plain ``{name: weight}``;
    - MediaPipe's results: the same with ``"faceBlendshapes"``, a list of faces and their ``categories``,
      each with a ``categoryName`` and a ``score``; the first face counts;
    - ``{"facsNames": [...], "weightMat": [[...], ...], "exportFps": rate}``: Audio2Face;
    - ``{name: [weight, ...], ...}``: a curve for each name.

    Frames lie at their times: seconds, milliseconds (known by their distance, or by ``timestampMs``) or time
    codes. The frame rate is ``fps``, ``exportFps`` or ``metadata.fps``, else that of the times, else 30.
    Where the face was lost (weights that are null or empty) the weights before are held; ``Motion.notes``
    counts such frames.

    Raises:
        HeadcastError: unreadable, of another form, an unknown name, a weight that is no number, no face.
    """
    path = Path(path)
    data = load_json(path, "export it again", MOST_BYTES)
    stream = read_stream(path, data)
    if not stream.frames or stream.frames.count({}) == len(stream.frames):
        raise HeadcastError(f"{path}: holds no frame of ARKit weights (jawOpen, ...); export it again")
    lost = stream.frames.count(None)
    if lost == len(stream.frames):
        raise HeadcastError(f"{path}: no frame shows a face; record it again")
    schedule = schedule_rows(stream.times.seconds, stated_rate(path, data), FPS, str(path))
    curves = weight_curves(path, [stream.frames[i] for i in schedule.order])
    motion = Motion.from_curves(schedule.fps, len(stream.frames), curves, str(path))
    notes = (*lost_notes(lost, len(stream.frames), "frames"), *schedule.notes)
    motion = replace(motion, notes=tuple(f"{path.name}: {n}" for n in notes))
    return motion if schedule.at is None else motion.sampled(torch.from_numpy(schedule.at), schedule.fps)


def read_stream(path: Path, data: Any) -> Stream:
    """Read frames and times of a file, whatever its form."""
    top = {"frames": data} if isinstance(data, list) else data
    if not isinstance(top, dict):
        raise HeadcastError(f"{path}: no recording of ARKit weights; give names and frames, or named frames")
    frames = first_of(top, ("frames", "weightMat"))
    if not isinstance(frames, list):
        return read_curves(path, top)
    meta = top.get("metadata")
    names = first_of(top, NAMES) or (first_of(meta, NAMES) if isinstance(meta, dict) else None)
    rows = [frame_weights(path, f, names, i) for i, f in enumerate(frames)]
    return Stream(rows, frame_times(path, [f if isinstance(f, dict) else {} for f in frames]))


def first_of(data: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """Return the value of the first key that is there; None: there is none."""
    return next((data[k] for k in keys if k in data), None)


def read_curves(path: Path, data: Weights) -> Stream:
    """Read a file of one curve for each name."""
    curves = {k: v for k, v in data.items() if isinstance(v, list)}
    clock = [k for k in curves if k in (*TIMES, *MILLISECONDS)][:1]
    times = [{k: t} for k in clock for t in curves.pop(k)]
    check_names(curves, str(path))
    count = max(map(len, curves.values()), default=0)
    if any(len(v) != count for v in curves.values()) or len(times) not in (0, count):
        raise HeadcastError(f"{path}: its curves differ in length; export it again")
    frames = [{n: v[i] for n, v in curves.items()} for i in range(count)]
    faces = [f if any(w is not None for w in f.values()) else None for f in frames]
    return Stream(faces, frame_times(path, times or [{}] * count))


def frame_weights(path: Path, frame: Any, names: Any, index: int) -> Weights | None:
    """Return one frame's weights by name; None: they are null or empty, the face was lost."""
    where = f"{path}: frame {index + 1}"
    if frame is None or frame == [] or frame == {}:
        return None
    if not isinstance(frame, dict | list):
        raise HeadcastError(f"{where}: is no object of weights; export it again")
    inner: Any = frame
    if isinstance(frame, dict):
        if frame.get("rotation"):
            raise HeadcastError(
                f"{where}: has a head rotation, whose meaning is not known; remove 'rotation'"
            )
        held = [k for k in WEIGHTS if k in frame]
        inner = frame[held[0]] if held else {k: v for k, v in frame.items() if k not in BESIDE}
    inner = mediapipe_weights(inner)
    if not inner:
        return None
    if isinstance(inner, list):
        if not isinstance(names, list) or len(names) != len(inner):
            raise HeadcastError(f"{where}: {len(inner)} weights without as many 'names'; export it again")
        inner = {str(n): w for n, w in zip(names, inner, strict=True)}
    if not isinstance(inner, dict):
        raise HeadcastError(f"{where}: its weights are neither a list nor named; export it again")
    named = {n: w for n, w in inner.items() if n not in IGNORED}
    check_names(named, where)
    return None if named and all(w is None for w in named.values()) else named


def mediapipe_weights(weights: Any) -> Any:
    """Return the first face's scores by name, of weights in MediaPipe's form; others as they are."""
    while isinstance(weights, list) and weights and isinstance(weights[0], list):
        weights = weights[0]
    if isinstance(weights, list) and weights and isinstance(weights[0], dict) and "categories" in weights[0]:
        weights = weights[0]
    if isinstance(weights, dict) and isinstance(weights.get("categories"), list):
        weights = weights["categories"]
    if not (isinstance(weights, list) and weights and all(isinstance(w, dict) for w in weights)):
        return weights
    return {str(first_of(w, ("categoryName", "category_name"))): w.get("score") for w in weights}


def frame_times(path: Path, frames: list[Weights]) -> RowTimes:
    """Return the times of frames: all time codes or all numbers."""
    moments: list[Timecode | float | None] = []
    scale = 1e-3 if any(k in f for f in frames for k in MILLISECONDS) else None
    for i, frame in enumerate(frames):
        value = first_of(frame, (*MILLISECONDS, *TIMES))
        try:
            is_time = value is None or (isinstance(value, int | float | str) and not isinstance(value, bool))
            moment = parse_moment(str("" if value is None else value)) if is_time else math.nan
        except ValueError:
            moment = math.nan
        known = next((m for m in moments if m is not None), moment)
        if moment is not None and (moment != moment or type(moment) is not type(known)):
            raise HeadcastError(
                f"{path}: frame {i + 1}: its time is {short_reason(value)[:20]}; give seconds"
            )
        moments.append(moment)
    if scale is None:
        return row_times(moments)
    return RowTimes([m * scale if isinstance(m, float) else None for m in moments], None)


def weight_curves(path: Path, frames: Sequence[Weights | None]) -> dict[str, list[float]]:
    """Return a curve for every name that any frame has: absent weights are zero, lost ones held."""
    used = {n: None for f in frames if f is not None for n in f}
    return {
        n: hold_lost([None if f is None else number(path, n, f.get(n, 0.0), i) for i, f in enumerate(frames)])
        for n in used
    }


def number(path: Path, name: str, value: Any, index: int) -> float | None:
    """Check and return a finite weight; None: it was not measured."""
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) <= LARGEST:
        raise HeadcastError(
            f"{path}: frame {index + 1}: {name} is {short_reason(value)[:20]}; give a weight from 0 to 1"
        )
    return float(value)


def stated_rate(path: Path, data: Any) -> float | None:
    """Return frames per second as the file states them; None: it does not."""
    if not isinstance(data, dict):
        return None
    meta = data.get("metadata")
    stated = first_of(data, RATES)
    stated = first_of(meta, RATES) if stated is None and isinstance(meta, dict) else stated
    if stated is None:
        return None
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not 1 <= stated <= 1000:
        raise HeadcastError(f"{path}: fps is {short_reason(stated)[:20]}; give frames per second")
    return float(stated)
