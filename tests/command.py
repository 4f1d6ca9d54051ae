"""What the fixture ``run`` gives."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Run"]

Run = Callable[..., tuple[int, str, str]]
"""Arguments of the command line to exit code, standard output, standard error."""
