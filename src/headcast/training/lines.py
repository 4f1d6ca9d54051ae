"""Progress as lines on standard error, where no terminal watches."""

from __future__ import annotations

import sys
import time

__all__ = ["Lines"]


class Lines:
    """Called after each step with the share done (0..1) and words; writes a line every so many seconds."""

    def __init__(self, every: float) -> None:
        self.every = every
        self.start = self.last = time.monotonic()

    def __call__(self, share: float, what: str) -> None:
        """Told of progress."""
        now = time.monotonic()
        if now - self.last < self.every and share < 1:
            return
        self.last = now
        left = (now - self.start) * (1 - share) / share if share else 0.0
        sys.stderr.write(f"{100 * share:3.0f} %, {left / 60:.1f} minutes left: {what}\n")
