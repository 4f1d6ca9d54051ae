"""Ctrl-C, SIGTERM and a closed terminal end every command alike: cleaned up, one line, 128 + the signal."""

from __future__ import annotations

import contextlib
import signal
from types import FrameType

__all__ = ["Interrupted", "check_interrupted", "install_handlers"]

_came: list[int] = []


class Interrupted(KeyboardInterrupt):
    """Raised where the process was when a signal came.

    Attributes:
        number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def install_handlers() -> None:
    """Raise ``Interrupted`` in the main thread for every signal that asks the process to end.

    Signals that the parent chose to ignore (nohup, a shell's background jobs) stay ignored.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, _interrupt)


def check_interrupted() -> None:
    """Raise ``Interrupted`` again if a signal came: a library may have swallowed the exception of the first.

    (Exceptions in destructors and in callbacks from C are printed or dropped, and the work goes on.)
    """
    if _came:
        raise Interrupted(_came[0])


def _interrupt(number: int, _: FrameType | None) -> None:
    _came.append(number)
    raise Interrupted(number)
