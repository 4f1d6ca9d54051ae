"""Load MediaPipe and its bundled graphs without their chatter."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from headcast.errors import HeadcastError
from headcast.files import quiet_stderr

__all__ = ["quiet_mediapipe"]


@contextmanager
def quiet_mediapipe() -> Iterator[Any]:
    """Yield ``mediapipe.solutions``; while open, what C++ code writes to standard error is dropped.

    Raises:
        HeadcastError: MediaPipe cannot be imported.
    """
    for name, value in (
        ("GLOG_minloglevel", "3"),
        ("TF_CPP_MIN_LOG_LEVEL", "3"),
        ("MEDIAPIPE_DISABLE_GPU", "1"),
    ):
        os.environ.setdefault(name, value)
    with quiet_stderr(), warnings.catch_warnings(), plots_later():
        warnings.simplefilter("ignore")
        try:
            import mediapipe
        except ImportError as e:
            raise HeadcastError(
                f"MediaPipe cannot be loaded ({e}); install mediapipe==0.10.21 and, where libGL is missing, "
                "opencv-contrib-python-headless in the place of opencv-contrib-python"
            ) from e
        yield mediapipe.solutions  # type: ignore[attr-defined]


class Later(ModuleType):
    """Stand for a module until one of its attributes is read."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def plots_later() -> Iterator[None]:
    """Import matplotlib at its first use while open.

    MediaPipe wants it for plots that are never made here; it takes more than half of MediaPipe's start."""
    names = ("matplotlib", "matplotlib.pyplot")
    if names[0] in sys.modules:
        yield
        return
    whole, pyplot = (Later(n) for n in names)
    whole.__dict__["pyplot"] = pyplot
    sys.modules.update({names[0]: whole, names[1]: pyplot})
    try:
        yield
    finally:
        for name, stand_in in zip(names, (whole, pyplot), strict=True):
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
