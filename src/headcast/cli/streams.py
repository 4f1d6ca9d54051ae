"""Standard streams that are closed, full or of a small alphabet; the log's lines on standard error."""

from __future__ import annotations

import io
import logging
import os
import sys

from headcast.cli.output import print_note

__all__ = ["LogLines", "secure_streams"]


class LossyStream(io.TextIOWrapper):
    """A text stream that drops what cannot be written: diagnostics end no work."""

    def write(self, text: str) -> int:
        """Write text, or drop it where that fails."""
        try:
            return super().write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        """Flush, or drop what is buffered."""
        try:
            super().flush()
        except (OSError, ValueError):
            return


class LogLines(logging.Handler):
    """Print the log of this package as lines like all others of the command."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message of one record."""
        print_note(record.getMessage())


def secure_streams() -> None:
    """Make the standard streams of this process safe to write to.

    Closed ones become the null device, so that no file takes their number and receives what libraries write
    to standard error. Characters that a stream's encoding lacks are escaped.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    error = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if isinstance(error, io.TextIOWrapper):
        error = LossyStream(error.buffer, error.encoding, "backslashreplace", line_buffering=True)
    sys.stderr = error
