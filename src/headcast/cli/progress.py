"""A progress bar with the time left, on standard error, for what takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Bar"]

PATIENCE = 1.0  # seconds before a bar appears


class Bar:
    """Called with the share done (0..1) and what is being done; shows nothing where nobody watches."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.progress: Progress | None = None
        self.task: TaskID | None = None

    def __call__(self, share: float, what: str) -> None:
        """Told of progress."""
        if self.progress is None and sys.stderr.isatty() and time.monotonic() - self.start > PATIENCE:
            self.show()
        if self.progress is not None and self.task is not None:
            self.progress.update(self.task, completed=share, description=what)

    def show(self) -> None:
        """Puts the bar on the screen."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"))
        self.progress = Progress(
            *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
        )
        self.progress.start()
        self.task = self.progress.add_task("", total=1.0)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.progress is not None:
            self.progress.stop()
