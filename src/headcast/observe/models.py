"""Loading MediaPipe and its bundled graphs without their chatter."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from headcast.errors import HeadcastError
from headcast.files import quiet_stderr

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
