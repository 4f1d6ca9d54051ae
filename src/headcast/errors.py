"""The one exception type for what the user can mend."""

from __future__ import annotations

__all__ = ["HeadcastError"]


class HeadcastError(Exception):
    """Something the user can mend: invalid input, a missing file, an unwritable place.

    The message is one line that names the file and the remedy. The command line prints it
    and exits with code 2; every other exception is a bug and keeps its traceback.
    """
