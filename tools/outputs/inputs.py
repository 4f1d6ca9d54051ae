"""What goes in: photos, and drivers that are made here, so that they are the same before and after."""

from __future__ import annotations

import json
import math
import shutil
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

__all__ = ["LONDON", "PORTRAITS", "demo", "write_inputs"]

PORTRAITS = ("g0039", "g0133", "g0240", "g0323", "g0355")
"""Of ``portraits_pd``, split train: dark skin, cropped hair, glasses; wide curls; dark skin, bald; a beard;
straight black hair to the chin, bangs."""
LONDON = ("L001_neutral", "L001_smile")
"""Two photos of one person, 1350 pixels, split train."""
FACE = (170, 30, 150, 180)
"""Left, top, width, height of the demo photo's face, pixels."""
FRAMES, SIDE, RATE = 10, 320, 25


def demo() -> Path:
    """The photo of ``make demo``: the astronaut of scikit-image, in the public domain."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the demo photo comes with scikit-image: pip install scikit-image")
    return Path(spec.origin).parent / "data/astronaut.png"


def write_inputs(folder: Path, photos: list[Path]) -> None:
    """Copies photos by plain names (files name their photo) and writes the drivers; keeps what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (demo(), *photos):
        if not (folder / path.name).is_file():
            shutil.copyfile(path, folder / path.name)
    livelink(folder / "take.csv")
    curves(folder / "take.json")
    if not (folder / "stills.mp4").is_file():
        stills(folder / "stills.mp4")


def livelink(path: Path) -> None:
    """A Live Link Face recording: jaw, lids, brows, a turn of the head."""
    names = ("JawOpen", "EyeBlinkLeft", "EyeBlinkRight", "MouthSmileLeft", "BrowInnerUp", "EyeLookOutLeft")
    lines = [",".join(("Timecode", "BlendshapeCount", *names, "HeadYaw", "HeadPitch", "HeadRoll"))]
    for t in range(FRAMES):
        wave = [0.5 - 0.5 * math.cos(2 * math.pi * t / FRAMES * (k + 1) / 2) for k in range(len(names))]
        turn = [0.3 * math.sin(t / 2), 0.1 * math.cos(t / 2), 0.05 * math.sin(t)]
        numbers = ",".join(f"{x:.6f}" for x in (*wave, *turn))
        lines.append(f"00:00:01:{t:02d}.000,61,{numbers}")
    path.write_text("\n".join(lines) + "\n")


def curves(path: Path) -> None:
    """ARKit weights as named curves."""
    names = ("jawOpen", "mouthPucker", "mouthSmileLeft", "mouthSmileRight", "noseSneerLeft", "tongueOut")
    data = {
        name: [round(0.4 - 0.4 * math.cos(t * (k + 2) / 3), 6) for t in range(FRAMES)]
        for k, name in enumerate(names)
    }
    path.write_text(json.dumps({"fps": RATE, **data}))


def stills(path: Path) -> None:
    """A video: the demo photo's head, turned, moved and scaled a little from frame to frame."""
    import av

    photo = cv2.cvtColor(cv2.imread(str(demo())), cv2.COLOR_BGR2RGB)
    x, y, w, h = FACE
    with av.open(str(path), "w", format="mp4") as out:
        # other presets read memory that x264 has not written: no two processes give the same bytes
        video = out.add_stream("libx264", RATE, options={"crf": "12", "preset": "ultrafast", "threads": "1"})
        video.width = video.height = SIDE
        video.pix_fmt = "yuv420p"
        for t in range(FRAMES):
            angle, zoom = 5 * math.sin(t / 2), 1.05 * (1 + 0.05 * math.cos(t / 3))
            turn = cv2.getRotationMatrix2D((x + w / 2, y + h / 2), angle, zoom)
            turn[:, 2] += SIDE / 2 - np.array([x + w / 2 - 4 * math.sin(t / 3), y + h / 2])
            still = cv2.warpAffine(photo, turn, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderValue=(160,) * 3)
            out.mux(video.encode(av.VideoFrame.from_ndarray(still, "rgb24")))
        out.mux(video.encode(None))
