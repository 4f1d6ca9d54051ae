"""A progress bar with the time left, on standard error, for jobs that take longer than a second."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from headcast.cli.output import escape_controls, print_note
from headcast.cli.signals import check_interrupted
from headcast.cli.style import style

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Bar"]

DELAY_S = 1.0  # seconds before a bar appears


class Bar:
    """A ``headcast.progress.Progress`` that shows a bar on a terminal and nothing elsewhere."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.step = ""
        self.progress: Progress | None = None
        self.task: TaskID | None = None

    def __call__(self, fraction: float, step: str) -> None:
        """Update the bar: fraction done (0..1) and a few words on the current step.

        Raises:
            Interrupted: a signal came that nothing has taken notice of.
        """
        check_interrupted()
        if style.verbose and step != self.step:
            print_note(f"{time.monotonic() - self.start:.1f} s, {100 * fraction:.0f} %: {step}")
        self.step = step
        if style.quiet:
            return
        if self.progress is None and sys.stderr.isatty() and time.monotonic() - self.start > DELAY_S:
            self.show()
        if self.progress is not None and self.task is not None:
            self.progress.update(self.task, completed=fraction, description=escape_controls(step))

    def show(self) -> None:
        """Start showing the bar on standard error."""
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
