"""Photos are looked at in a process of their own while this one still loads its libraries.

MediaPipe and torch take a second each to load, and neither needs the other. What the helping process finds is
what this one would; when it fails for whatever reason, this one looks for itself and tells the user.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headcast.errors import HeadcastError
from headcast.observe.seen import Detection, Masks

__all__ = ["Look", "begin", "end", "look", "taken"]

Look = tuple[Detection, str | None, Masks]
"""The face, what the user should know of the choice, and the masks."""

MASKS = ("person", "skin", "hair", "clothes", "glasses")
PATIENCE = 60.0  # seconds


class Helper:
    """The process, what it was asked, and the folder it answers in."""

    def __init__(self, photos: Sequence[Path], face: int | None) -> None:
        self.question = question(photos, face)
        self.folder = tempfile.TemporaryDirectory(prefix="headcast")
        command = [sys.executable, "-m", "headcast.observe.ahead", self.folder.name, str(face or 0)]
        self.process = subprocess.Popen(
            [*command, *self.question[0]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def answers(self) -> list[Look] | None:
        """What it found, once it is done."""
        try:
            if self.process.wait(PATIENCE):
                return None
            return [read(Path(self.folder.name) / f"{i}.npz") for i in range(len(self.question[0]))]
        except (subprocess.TimeoutExpired, OSError, ValueError, KeyError):
            return None

    def close(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


_helpers: list[Helper] = []


def begin(photos: Sequence[Path], face: int | None = None) -> None:
    """Starts looking at photos; does nothing where there is one processor only."""
    if (os.cpu_count() or 1) > 1 and sys.executable and all(p.is_file() for p in photos):
        try:
            _helpers.append(Helper(photos, face))
        except OSError:
            return


def taken(photos: Sequence[Path], face: int | None) -> list[Look] | None:
    """What was found, when these very photos were asked for; None: look for yourself."""
    for helper in _helpers:
        if helper.question == question(photos, face):
            found = helper.answers()
            end()
            return found
    return None


def end() -> None:
    """Ends every process begun."""
    while _helpers:
        _helpers.pop().close()


def question(photos: Sequence[Path], face: int | None) -> tuple[tuple[str, ...], int]:
    """What tells one question from another."""
    return tuple(str(Path(p).absolute()) for p in photos), face or 0


def look(photo: Path, face: int | None) -> Look:
    """One photo's face and masks.

    Raises:
        HeadcastError: see ``pick_face`` and ``load_image``.
    """
    from headcast.image import load_image
    from headcast.observe.landmarks import FaceDetector, pick_face
    from headcast.observe.masks import segment

    rgb = load_image(photo).rgb
    with FaceDetector() as detector:
        detection, note = pick_face(detector.detect(rgb), face, photo.name)
    return detection, note, segment(rgb, detection)


def write(path: Path, seen: Look) -> None:
    """Keeps a look in a file."""
    detection, note, masks = seen
    numbers = np.array([detection.score, detection.yaw], np.float64)
    np.savez(
        path,
        points=detection.points,
        box=np.array(detection.box, np.float64),
        note=np.array(note or ""),
        numbers=numbers,
        **{k: getattr(masks, k) for k in MASKS},
    )


def read(path: Path) -> Look:
    """The reverse of ``write``."""
    with np.load(path, allow_pickle=False) as file:
        x0, y0, x1, y1 = file["box"].tolist()
        score, yaw = file["numbers"].tolist()
        detection = Detection(file["points"], (x0, y0, x1, y1), score, yaw)
        return detection, str(file["note"]) or None, Masks(**{k: file[k] for k in MASKS})


def main(arguments: Sequence[str]) -> int:
    """The helping process: folder for the answers, face (0: the largest), photos."""
    folder, face, *photos = arguments
    try:
        for i, photo in enumerate(photos):
            write(Path(folder) / f"{i}.npz", look(Path(photo), int(face) or None))
    except HeadcastError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
