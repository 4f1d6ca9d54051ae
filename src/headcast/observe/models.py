"""Loading MediaPipe and its bundled graphs without their chatter."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from headcast.errors import HeadcastError

__all__ = ["quiet_mediapipe"]


@contextmanager
def quiet_mediapipe() -> Iterator[Any]:
    """Gives ``mediapipe.solutions``; while open, what C++ code writes to standard error is dropped.

    Raises:
        HeadcastError: MediaPipe cannot be imported.
    """
    for name, value in (
        ("GLOG_minloglevel", "3"),
        ("TF_CPP_MIN_LOG_LEVEL", "3"),
        ("MEDIAPIPE_DISABLE_GPU", "1"),
    ):
        os.environ.setdefault(name, value)
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import mediapipe
        except ImportError as e:
            raise HeadcastError(
                f"MediaPipe cannot be loaded ({e}); install mediapipe==0.10.21 and, where libGL is missing, "
                "opencv-contrib-python-headless in the place of opencv-contrib-python"
            ) from e
        yield mediapipe.solutions  # type: ignore[attr-defined]


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Points file descriptor 2 to nowhere. Python's own sys.stderr is flushed before and works after."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
