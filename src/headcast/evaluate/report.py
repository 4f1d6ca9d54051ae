"""The result of a protocol: rows of figures by method and item, sets, groups, what was skipped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import UInt8

from headcast.metrics.figure import Figure

__all__ = ["FEW", "Cell", "Report", "Row", "summarize_values"]

Row = dict[str, float]
"""Values by the key of their figure; NaN and missing keys don't count."""

FEW = 5
"""Groups of fewer items are counted, not averaged."""


@dataclass(frozen=True)
class Cell:
    """One figure of one method over ``count`` values; ``tail``: where the worst tenth of them begins."""

    mean: float
    median: float
    tail: float
    count: int


@dataclass
class Report:
    """Everything that is written down at the end.

    Attributes:
        protocol: its name.
        figures: what the keys of rows and sets mean, in the order of the table.
        rows: method → item → its rows (one a frame or view).
        sets: method → figure → (value, count) of figures that only a whole set has (FID, KID, FVD).
        groups: group → items.
        skipped: item → why it was left out.
        settings: what was asked for. notes: what the reader should know, one sentence each.
        sheet: lines of labelled images; all images of a line have one size.
        main: figures of the tables by group and item; empty: those of ``written.MAIN``.
    """

    protocol: str
    figures: dict[str, Figure]
    rows: dict[str, dict[str, list[Row]]] = field(default_factory=dict)
    sets: dict[str, dict[str, tuple[float, int]]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    sheet: list[list[tuple[str, UInt8[np.ndarray, "h w 3"]]]] = field(default_factory=list)
    main: tuple[str, ...] = ()

    def add(self, subject: str, item: str, rows: Sequence[Row]) -> None:
        """Add rows of one method on one item."""
        self.rows.setdefault(subject, {})[item] = list(rows)

    def cells(self, subject: str, items: Iterable[str] | None = None) -> dict[str, Cell]:
        """Aggregate every figure that a method has on these items (None: all)."""
        found = self.rows.get(subject, {})
        rows = [r for i in (found if items is None else items) for r in found.get(i, [])]
        made = {k: summarize_values([r[k] for r in rows if k in r], f) for k, f in self.figures.items()}
        return {k: c for k, c in made.items() if c is not None}

    def items(self) -> list[str]:
        """List all items that any method has, in the order in which they were added."""
        return list(dict.fromkeys(i for found in self.rows.values() for i in found))


def summarize_values(values: Sequence[float], figure: Figure) -> Cell | None:
    """Return mean, median and bad tail (10th percentile if high is good, else 90th); None without values."""
    v = np.array([x for x in values if np.isfinite(x)], np.float64)
    if not len(v):
        return None
    tail = np.percentile(v, 10 if figure.better == "high" else 90)
    return Cell(float(v.mean()), float(np.median(v)), float(tail), len(v))
