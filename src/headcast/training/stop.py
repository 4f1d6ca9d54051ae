"""When a run ends: its time is over, Ctrl-C, or the machine is taken away (SIGTERM)."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

__all__ = ["Stop"]

MARGIN = 1.3
"""Writing at the end is given this much of what a step and a writing took so far."""


class Stop:
    """Asked after each step. The first Ctrl-C or SIGTERM asks the run to end well, a second one ends it.

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
                self.before[number] = signal.signal(number, self.hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def hear(self, number: int, _: FrameType | None) -> None:
        """A signal came."""
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.start

    @property
    def share(self) -> float:
        """Share of the time that is over; 0 without a limit."""
        return 0.0 if self.limit is None else min(self.elapsed / self.limit, 1.0)

    def stepped(self) -> None:
        """A step has ended (the first one, with its warming up, is not counted)."""
        now = time.monotonic()
        if self.last != self.start:
            self.longest = max(now - self.last, 0.9 * self.longest)
        self.last = now

    def wrote(self, since: float) -> None:
        """Something was written since that moment of ``elapsed``."""
        self.writing = max(self.writing, self.elapsed - since)
        self.last = time.monotonic()

    def due(self) -> bool:
        """Whether to end now, so that the weights are written when the time is over."""
        if self.signal:
            return True
        return self.limit is not None and self.elapsed + MARGIN * (self.longest + self.writing) > self.limit
