"""Whose files and folders are: what only this user can have written, and the folder that is theirs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["PRIVATE_PREFIX", "home_folder", "is_own", "is_private"]

PRIVATE_PREFIX = "headcast-"
"""First part of the names of this user's folders among the system's temporary files."""

NOWHERE = Path(os.devnull) / "home"


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

    Where that cannot be, or is another user's, a folder that nothing can be read from or written to.
    """
    try:
        return Path.home()
    except RuntimeError:
        pass
    try:
        folder = Path(tempfile.gettempdir()) / f"{PRIVATE_PREFIX}{os.geteuid()}"
        folder.mkdir(0o700, exist_ok=True)
        return folder if is_own(folder.lstat()) and is_private(folder) else NOWHERE
    except OSError:
        return NOWHERE
