"""Reports of a worker process: lines of JSON."""

from __future__ import annotations

import json
import time
from typing import Any, TextIO

__all__ = ["Reporter"]

REPORT_S = 0.15  # seconds between two reports of progress, at least


class Reporter:
    """Write a job's reports to the process that supervises it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.last = stream, 0.0

    def send(self, **facts: Any) -> None:
        """Write one line of facts."""
        self.stream.write(json.dumps(facts, ensure_ascii=True) + "\n")
        self.stream.flush()

    def image(self, name: str) -> None:
        """Say that an image of this name is ready in the job's folder."""
        self.send(image=name)

    def progress(self, fraction: float, step: str) -> None:
        """Report the fraction done (0..1) and the current step, not too often."""
        if fraction >= 1 or time.monotonic() - self.last > REPORT_S:
            self.last = time.monotonic()
            self.send(fraction=round(fraction, 4), step=step)
