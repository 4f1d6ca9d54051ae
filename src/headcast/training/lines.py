"""Progress as lines on standard error, where no terminal watches."""

from __future__ import annotations

import sys
import time

__all__ = ["Lines"]


class Lines:
    """Progress callback that writes a line every ``every`` seconds."""

    def __init__(self, every: float) -> None:
        self.every = every
        self.start = self.last = time.monotonic()

    def __call__(self, fraction: float, what: str) -> None:
        """Report progress: the fraction done (0..1), and a message."""
        now = time.monotonic()
        if now - self.last < self.every and fraction < 1:
            return
        self.last = now
        left = (now - self.start) * (1 - fraction) / fraction if fraction else 0.0
        sys.stderr.write(f"{100 * fraction:3.0f} %, {left / 60:.1f} minutes left: {what}\n")
