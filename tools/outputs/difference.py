"""Two recorded items: how far apart, and where."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from outputs.store import Item

__all__ = ["Difference", "difference"]

CHUNK = 1 << 22
"""Numbers that are compared at a time: textures of 4096 pixels are large as float64."""


@dataclass(frozen=True)
class Difference:
    """Result of a comparison.

    Attributes:
        largest: largest difference of two numbers, |a - b| / max(1, |a|); inf where a name is on one side
            only, where shapes or words differ.
        where: the name, and the index or the two values.
        parts: names that differ by more than the tolerance.
        excused: names that do, and may.
    """

    largest: float
    where: str
    parts: tuple[str, ...]
    excused: tuple[str, ...]


def difference(
    before: Item, after: Item, tolerance: float, excuse: Callable[[str], bool] = lambda name: False
) -> Difference:
    """Compares all arrays and values; those of an excused name may differ."""
    largest, where, parts, excused = 0.0, "", [], []
    for kind, a, b in (("array", before.arrays, after.arrays), ("value", before.values, after.values)):
        for name in sorted(a.keys() | b.keys()):
            if name not in a or name not in b:
                far, place = math.inf, f"{kind} {'only after' if name not in a else 'only before'}"
            elif kind == "array":
                far, place = apart(a[name], b[name])
            else:
                far, place = unlike(a[name], b[name])
            if far > tolerance and excuse(name):
                excused.append(name)
                continue
            if far > tolerance:
                parts.append(name)
            if far > largest:
                largest, where = far, f"{name}: {place}"
    return Difference(largest, where, tuple(parts), tuple(excused))


def apart(a: np.ndarray, b: np.ndarray) -> tuple[float, str]:
    """Largest difference of two arrays, and its index."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return math.inf, f"{a.dtype}{list(a.shape)} became {b.dtype}{list(b.shape)}"
    if a.dtype.kind not in "fiub":
        same = np.array_equal(a, b)
        return (0.0, "") if same else (math.inf, "differs")
    one, other = a.reshape(-1), b.reshape(-1)
    largest, at = 0.0, 0
    for start in range(0, len(one), CHUNK):
        x, y = (v[start : start + CHUNK].astype(np.float64) for v in (one, other))
        same = (x == y) | (np.isnan(x) & np.isnan(y))
        if same.all():
            continue
        with np.errstate(invalid="ignore"):
            far = np.where(same, 0.0, np.abs(x - y) / np.maximum(1.0, np.abs(x)))
        far = np.where(np.isnan(far), math.inf, far)
        k = int(far.argmax())
        if far[k] > largest:
            largest, at = float(far[k]), start + k
    index = ", ".join(str(int(i)) for i in np.unravel_index(at, a.shape)) if largest else ""
    return largest, f"[{index}] {one[at]} became {other[at]}" if largest else ""


def unlike(a: Any, b: Any) -> tuple[float, str]:
    """Difference of two values: numbers by size, everything else by being the same."""
    if is_number(a) and is_number(b):
        if a == b or (math.isnan(a) and math.isnan(b)):
            return 0.0, ""
        far = abs(a - b) / max(1.0, abs(a))
        return (math.inf if math.isnan(far) else far), f"{a} became {b}"
    return (0.0, "") if a == b and type(a) is type(b) else (math.inf, f"{a!r:.80} became {b!r:.80}")


def is_number(value: Any) -> bool:
    """Whether it is an int or a float, no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)
