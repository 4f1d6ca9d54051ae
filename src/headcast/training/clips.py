"""Real clips as training data: folders of frames as in VFHQ, or videos, analysed as they are read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8

from headcast.errors import HeadcastError
from headcast.training.folders import VideoFolder

__all__ = ["open_clips", "understood_clip"]

TRIES = 8
"""Clips that are tried until one can be analysed."""

T = TypeVar("T")


@cache
def open_clips(folder: str, frames: int, stride: int, seed: int) -> VideoFolder:
    """Open a folder of clips, once a process.

    Args:
        frames: of a window. stride: from one of them to the next.

    Raises:
        HeadcastError: there is none that is long enough.
    """
    return VideoFolder(Path(folder), frames, stride, seed)


def understood_clip(
    clips: VideoFolder,
    number: int,
    understand: Callable[[UInt8[np.ndarray, "t h w 3"]], T],
    what: str = "face",
    tries: int = TRIES,
) -> T:
    """Read and analyse one window of frames; a pure function of the folder's seed and ``number``.

    Args:
        understand: converts frames to training data; after a ``HeadcastError`` the next clip is tried.
        what: is missing then, for the message.

    Raises:
        HeadcastError: none of ``tries`` clips can be analysed; the last reason is given.
    """
    reason = ""
    for k in range(tries):
        try:
            return understand(clips[number * tries + k])
        except HeadcastError as e:
            reason = str(e)
    raise HeadcastError(f"{clips.root}: no {what} in {tries} clips one after the other ({reason})")
