"""Find the faces of photos in a helper process while this one still loads its libraries.

torch takes a second to load, and finding a face needs none of it. The helper's
results equal this process's own; when it fails for whatever reason, this one observes the photos itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headcast.errors import HeadcastError
from headcast.files import private_folder
from headcast.observe.detection import Detection

if TYPE_CHECKING:
    from headcast.observe.photo import PhotoFace

__all__ = ["begin", "end", "find_face", "take_results"]

TIMEOUT = 60.0  # seconds until the helper is given up


class Helper:
    """Run the helper process: its request and the folder of its results."""

    def __init__(self, photos: Sequence[Path], face: int | None) -> None:
        self.question = question(photos, face)
        self.folder = private_folder()
        command = [sys.executable, "-m", "headcast.observe.ahead", self.folder.name, str(face or 0)]
        self.process = subprocess.Popen(
            [*command, *self.question[0]],
            stdin=subprocess.PIPE,  # closed by the system when this process ends, however it ends
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def answers(self) -> list[PhotoFace] | None:
        """Wait for the helper and return its results; None when it failed or ran out of time."""
        try:
            if self.process.wait(TIMEOUT):
                return None
            return [read_result(Path(self.folder.name) / f"{i}.npz") for i in range(len(self.question[0]))]
        except (subprocess.TimeoutExpired, OSError, ValueError, KeyError):
            return None

    def close(self) -> None:
        """Kill the process and delete its folder."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.folder.cleanup()


_helpers: list[Helper] = []


def begin(photos: Sequence[Path], face: int | None = None) -> None:
    """Start finding the faces of photos in a helper process; do nothing with a single processor."""
    if (os.cpu_count() or 1) > 1 and sys.executable and all(p.is_file() for p in photos):
        try:
            _helpers.append(Helper(photos, face))
        except OSError:
            return


def take_results(photos: Sequence[Path], face: int | None) -> list[PhotoFace] | None:
    """Return a helper's results for exactly these photos, or None: then the caller observes them itself."""
    for helper in _helpers:
        if helper.question == question(photos, face):
            results = helper.answers()
            end()
            return results
    return None


def end() -> None:
    """Kill every helper process that was begun."""
    while _helpers:
        _helpers.pop().close()


def question(photos: Sequence[Path], face: int | None) -> tuple[tuple[str, ...], int]:
    """Return the key of a request: absolute paths and the face's number."""
    return tuple(str(Path(p).absolute()) for p in photos), face or 0


def find_face(photo: Path, face: int | None) -> PhotoFace:
    """Detect one photo's face.

    Raises:
        HeadcastError: see ``pick_face`` and ``load_image``.
    """
    from headcast.image import load_image
    from headcast.observe.landmarks import FaceDetector
    from headcast.observe.photo import find_photo_face

    image = load_image(photo)
    with FaceDetector() as detector:
        return find_photo_face(detector, image, face)


def write(path: Path, result: PhotoFace) -> None:
    """Write one photo's detection to a .npz file."""
    turns, detection, note = result
    numbers = np.array([detection.score, detection.yaw, turns], np.float64)
    np.savez(
        path,
        points=detection.points,
        box=np.array(detection.box, np.float64),
        note=np.array(note or ""),
        numbers=numbers,
        blendshapes=np.zeros(0) if detection.blendshapes is None else detection.blendshapes,
    )


def read_result(path: Path) -> PhotoFace:
    """Read the .npz file that ``write`` made."""
    from headcast.observe.photo import PhotoFace

    with np.load(path, allow_pickle=False) as file:
        x0, y0, x1, y1 = file["box"].tolist()
        score, yaw, turns = file["numbers"].tolist()
        scores = file["blendshapes"] if file["blendshapes"].size else None
        detection = Detection(
            points=file["points"], box=(x0, y0, x1, y1), score=score, yaw=yaw, blendshapes=scores
        )
        return PhotoFace(int(turns), detection, str(file["note"]) or None)


def main(arguments: Sequence[str]) -> int:
    """Run as the helper process: folder of the results, face (0: the largest), photos."""
    folder, face, *photos = arguments
    try:
        for i, photo in enumerate(photos):
            write(Path(folder) / f"{i}.npz", find_face(Path(photo), int(face) or None))
    except HeadcastError:
        return 1
    return 0


def end_with_parent(folder: Path) -> None:
    """Wait until the process that started this one closes its end of the pipe; remove the results, end."""
    with contextlib.suppress(OSError):
        os.read(0, 1)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, args=(Path(sys.argv[1]),), daemon=True).start()
    sys.exit(main(sys.argv[1:]))
