"""How long jobs report progress."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "ignore_progress", "subrange"]

Progress = Callable[[float, str], None]
"""Called with the fraction done (0..1) and a few words on the current step."""


def ignore_progress(fraction: float, step: str) -> None:
    """Drop a progress report: stands in where the caller gave no ``Progress``."""


def subrange(progress: Progress | None, start: float, end: float) -> Progress | None:
    """Map a step's own 0..1 to ``start``..``end`` of the whole job; None stays None."""
    if progress is None:
        return None
    return lambda fraction, step: progress(start + (end - start) * fraction, step)
