"""Every bad input: one clear line, exit code 2, nothing half-written."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.command import Run


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def no_face(folder: Path, photo: Path) -> Path:
    from headcast.image import save_png

    y, x = np.mgrid[:300, :400]
    save_png(folder / "x.png", np.stack([x % 256, y % 256, (x + y) % 256], -1).astype(np.uint8))
    return folder / "x.png"


def small_face(folder: Path, photo: Path) -> Path:
    import cv2

    from headcast.image import load_image, save_png

    rgb = load_image(photo).rgb
    save_png(folder / "x.png", cv2.resize(rgb, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA))
    return folder / "x.png"


def missing(folder: Path, photo: Path) -> Path:
    return folder / "x.jpg"


def a_folder(folder: Path, photo: Path) -> Path:
    (folder / "x.jpg").mkdir()
    return folder / "x.jpg"


def truncated(folder: Path, photo: Path) -> Path:
    data = photo.read_bytes()
    path = folder / f"x{photo.suffix}"
    path.write_bytes(data[: len(data) // 4])
    return path


def empty(folder: Path, photo: Path) -> Path:
    (folder / "x.jpg").touch()
    return folder / "x.jpg"


def text(folder: Path, photo: Path) -> Path:
    (folder / "x.jpg").write_text("this is no picture\n" * 30)
    return folder / "x.jpg"


def bomb(folder: Path, photo: Path) -> Path:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**6)))
    (folder / "x.png").write_bytes(data + chunk(b"IEND", b""))
    return folder / "x.png"


def empty_video(folder: Path, photo: Path) -> Path:
    from headcast.video import write_video

    rng = np.random.default_rng(0)
    frames = [np.kron(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), np.ones((20, 20, 1), np.uint8))] * 8
    write_video(folder / "x.mp4", frames, 10.0)
    return folder / "x.mp4"


def text_video(folder: Path, photo: Path) -> Path:
    (folder / "x.mp4").write_text("no video either")
    return folder / "x.mp4"


INPUTS: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "no face": (no_face, "no face"),
    "small face": (small_face, "48"),
    "missing": (missing, "x.jpg"),
    "a folder": (a_folder, "folder"),
    "truncated": (truncated, "x."),
    "empty": (empty, "empty"),
    "text": (text, "x.jpg"),
    "bomb": (bomb, "x.png"),
    "video without a face": (empty_video, "no face"),
    "text as video": (text_video, "x.mp4"),
}


@pytest.mark.parametrize("case", INPUTS)
def test_bad_source(case: str, run: Run, tmp_path: Path, demo_photo: Path) -> None:
    make, words = INPUTS[case]
    source = make(tmp_path, demo_photo)
    before = set(tmp_path.iterdir())
    code, out, err = run("create", source, "-o", tmp_path / "me.avatar")
    assert code == 2, err
    assert err.startswith("headcast: ") and err.count("\n") == 1 and words in err and source.name in err
    assert set(tmp_path.iterdir()) == before and out == ""


def test_one_bad_photo_among_several(run: Run, tmp_path: Path, demo_photo: Path) -> None:
    code, _, err = run("create", demo_photo, text(tmp_path, demo_photo), "-o", tmp_path / "me.avatar")
    assert code == 2 and "x.jpg" in err and not (tmp_path / "me.avatar").exists()


def test_photos_and_video_mixed(run: Run, tmp_path: Path, demo_photo: Path) -> None:
    code, _, err = run("create", demo_photo, empty_video(tmp_path, demo_photo), "-o", tmp_path / "me.avatar")
    assert code == 2 and "not both" in err


def test_a_profile_is_refused(run: Run, tmp_path: Path, avatar_file: Path) -> None:
    assert (
        run("render", avatar_file, "--yaw", 78, "--background", "grey", "-o", tmp_path / "side.png")[0] == 0
    )
    code, _, err = run("create", tmp_path / "side.png", "-o", tmp_path / "me.avatar")
    assert code == 2 and "side.png" in err and not (tmp_path / "me.avatar").exists()


@pytest.mark.parametrize("command", ["create", "animate", "render"])
def test_unwritable_output(
    command: str, run: Run, tmp_path: Path, demo_photo: Path, avatar_file: Path
) -> None:
    (tmp_path / "file").touch()
    arguments = {
        "create": (demo_photo, "-o", tmp_path / "file" / "me.avatar"),
        "animate": (avatar_file, "--preset", "speech", "-o", tmp_path / "file" / "absent" / "out.mp4"),
        "render": (avatar_file, "-o", tmp_path / "file" / "out.png"),
    }[command]
    start = time.monotonic()
    code, _, err = run(command, *arguments)
    assert code == 2 and err.count("\n") == 1 and str(arguments[-1]) in err
    assert time.monotonic() - start < 5, "told before the work is done"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def repacked(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """A copy of an avatar with changed members."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, change(info.filename, old.read(info)))
    return target


def test_corrupted_avatars(run: Run, tmp_path: Path, avatar_file: Path) -> None:
    data = avatar_file.read_bytes()
    wrecks = {
        "cut.avatar": data[: len(data) // 2],
        "empty.avatar": b"",
        "text.avatar": b"hello",
        "flipped.avatar": data[:2000] + bytes(200) + data[2200:],
        "other.avatar": b"PK\x05\x06" + bytes(18),
    }
    for name, wreck in wrecks.items():
        path = tmp_path / name
        path.write_bytes(wreck)
        code, _, err = run("render", path, "-o", tmp_path / "out.png")
        assert code == 2 and err.count("\n") == 1 and name in err, (name, err)
    assert not (tmp_path / "out.png").exists()


def test_an_avatar_of_a_newer_version(run: Run, tmp_path: Path, avatar_file: Path) -> None:
    import json

    def newer(name: str, data: bytes) -> bytes:
        if not name.endswith(".json"):
            return data
        content = json.loads(data)
        for key in [k for k in content if "version" in k]:
            content[key] = 9999
        return json.dumps(content).encode()

    path = repacked(avatar_file, tmp_path / "newer.avatar", newer)
    code, _, err = run("info", path)
    assert code == 2 and "newer" in err.replace("newer.avatar", "") and err.count("\n") == 1


def test_an_interrupt_leaves_nothing(tmp_path: Path, demo_photo: Path) -> None:
    """Ctrl-C at several moments of a real process."""
    for delay in (0.7, 2.2):
        work = subprocess.Popen(
            [sys.executable, "-m", "headcast", "create", str(demo_photo), "-o", str(tmp_path / "me.avatar")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        time.sleep(delay)
        os.kill(work.pid, signal.SIGINT)
        _, err = work.communicate(timeout=60)
        finished = work.returncode == 0
        assert finished or work.returncode in (130, -signal.SIGINT), err
        left = {p.name for p in tmp_path.iterdir()}
        assert left <= ({"me.avatar", "me.avatar.run.json"}), left
        if not finished and work.returncode == 130:
            assert err.count("\n") == 1 and "interrupted" in err
