"""Whose files and folders are: what only this user can have written, and the folder that is theirs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from headcast.errors import HeadcastError

__all__ = ["PRIVATE_PREFIX", "home_folder", "is_own", "is_private"]

PRIVATE_PREFIX = "headcast-"
"""First part of the names of this user's folders among the system's temporary files."""


def is_own(status: os.stat_result) -> bool:
    """Return whether this user owns a file; true on systems without such owners."""
    return os.name != "posix" or status.st_uid == os.geteuid()


def is_private(path: Path) -> bool:
    """Return whether nobody but this user and root can have written a file, or can change a folder.

    Raises:
        OSError: it cannot be examined.
    """
    status = path.stat()
    return os.name != "posix" or (status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022)


def home_folder() -> Path:
    """Return the user's home folder; where none is known, a private one among the temporary files.

    Raises:
        HeadcastError: there is no home and that folder is not this user's.
    """
    try:
        return Path.home()
    except RuntimeError:
        folder = Path(tempfile.gettempdir()) / f"{PRIVATE_PREFIX}{os.geteuid()}"
    try:
        folder.mkdir(0o700, exist_ok=True)
        if is_own(folder.lstat()) and is_private(folder):
            return folder
    except OSError as e:
        raise HeadcastError(f"{folder}: cannot be created ({e.strerror}), and HOME is not set; set it") from e
    raise HeadcastError(f"{folder}: is another user's, and HOME is not set; set HOME to a folder of yours")
