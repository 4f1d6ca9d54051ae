"""When a run ends: its time is over, Ctrl-C, or the machine is withdrawn (SIGTERM)."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

__all__ = ["Stop"]

MARGIN = 1.3
"""Time reserved for the end, over the longest step and writing so far."""


class Stop:
    """End of a run, checked after each step.

    The first Ctrl-C or SIGTERM requests a regular end, a second one ends the run at once.

    Attributes:
        signal: the signal that came, 0 for none.
        writing: longest time that writing everything took so far, seconds.
    """

    def __init__(self, minutes: float | None) -> None:
        self.start = time.monotonic()
        self.limit = None if minutes is None else 60 * minutes
        self.signal = 0
        self.writing = 1.0
        self.longest = 0.0
        self.last = self.start
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self.handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def handle(self, number: int, _: FrameType | None) -> None:
        """Handle a signal: the second one interrupts."""
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number

    @property
    def elapsed(self) -> float:
        """Time since the run began, seconds."""
        return time.monotonic() - self.start

    @property
    def fraction(self) -> float:
        """Fraction of the time that has passed; 0 without a limit."""
        return 0.0 if self.limit is None else min(self.elapsed / self.limit, 1.0)

    def note_step(self) -> None:
        """Note that a step has ended (the first one, with its warm-up, is not counted)."""
        now = time.monotonic()
        if self.last != self.start:
            self.longest = max(now - self.last, 0.9 * self.longest)
        self.last = now

    def note_writing(self, since: float) -> None:
        """Note that files were written since that moment of ``elapsed``."""
        self.writing = max(self.writing, self.elapsed - since)
        self.last = time.monotonic()

    def due(self) -> bool:
        """Return whether to end now, so that the weights are written when the time is over."""
        if self.signal:
            return True
        return self.limit is not None and self.elapsed + MARGIN * (self.longest + self.writing) > self.limit
