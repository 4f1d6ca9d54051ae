"""Folders of images and of clips as training data: item i is a pure function of i and a seed.

What cannot be read is skipped and listed: files that are no images when the folder is opened, damaged ones
when they are read (the next one takes their place). Reading needs Pillow, of video files PyAV.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from headcast.errors import HeadcastError
from headcast.files import VIDEO_SUFFIXES, check_readable
from headcast.image import load_image
from headcast.parsing import parsing
from headcast.training.order import item_of, window_of

__all__ = ["IMAGE_SUFFIXES", "ImageFolder", "VideoFolder"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif"})


class ImageFolder:
    """Images in a folder and its subfolders.

    Attributes:
        paths: of the images, in alphabetical order.
        skipped: path to reason, for what can't be read; it grows while images are read.
    """

    def __init__(self, root: Path, seed: int = 0, max_side: int = 4096, pattern: str = "*") -> None:
        """List the folder and its subfolders; ``pattern``: only names like this (``*_rgb.png``).

        Raises:
            HeadcastError: it is missing or holds no image.
        """
        self.root, self.seed, self.max_side = Path(root), seed, max_side
        self.skipped: dict[Path, str] = {}
        self.paths = [
            p for p in list_files(self.root, IMAGE_SUFFIXES, pattern) if check_image_header(p, self.skipped)
        ]
        if not self.paths:
            raise HeadcastError(f"{root}: holds no readable image{first_reason(self.skipped)}")

    def __len__(self) -> int:
        """Return the number of images, damaged ones not yet read included."""
        return len(self.paths)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Read the image at position ``index`` (from 0) of the endless order, sRGB."""
        first = item_of(index, len(self), self.seed)
        for k in range(len(self)):
            path = self.paths[(first + k) % len(self)]
            try:
                return load_image(path, self.max_side).rgb
            except HeadcastError as e:
                self.skipped[path] = str(e)
        raise HeadcastError(f"{self.root}: no image can be read{first_reason(self.skipped)}")


class VideoFolder:
    """Windows of consecutive frames from clips: folders of frames (as VFHQ keeps them) and video files.

    A folder with images directly in it is a clip, its frames in the order of their names.

    Attributes:
        clips: path to number of frames.
        skipped: path to reason.
    """

    def __init__(
        self,
        root: Path,
        frames: int,
        stride: int = 1,
        seed: int = 0,
        max_side: int = 1920,
        pattern: str = "*",
    ) -> None:
        """List the folder and its clips.

        Args:
            stride: from one frame of a window to the next.
            pattern: only names like this, ``*_v00_rgb.png`` for the first view of ``headcast synth --clip``.

        Raises:
            HeadcastError: it is missing or holds no clip that is long enough.
        """
        self.root, self.seed, self.max_side = Path(root), seed, max_side
        self.frames, self.stride, self.pattern = frames, stride, pattern
        self.skipped: dict[Path, str] = {}
        self.clips: dict[Path, int] = {}
        files = list_files(self.root, IMAGE_SUFFIXES | VIDEO_SUFFIXES, pattern)
        for path in dict.fromkeys(p if p.suffix.lower() in VIDEO_SUFFIXES else p.parent for p in files):
            self._admit(path)
        self.names = sorted(self.clips)
        if not self.names:
            raise HeadcastError(f"{root}: holds no clip of {self.span} frames{first_reason(self.skipped)}")

    @property
    def span(self) -> int:
        """Number of frames from the first to the last of a window, both included."""
        return (self.frames - 1) * self.stride + 1

    def _admit(self, path: Path) -> None:
        try:
            count = len(list_frames(path, self.pattern)) if path.is_dir() else video_length(path)
        except HeadcastError as e:
            self.skipped[path] = str(e)
            return
        if count < self.span:
            self.skipped[path] = f"{path}: {count} frames, fewer than {self.span}"
        else:
            self.clips[path] = count

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.names)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "t h w 3"]:
        """Read the window at position ``index`` of the endless order; it begins elsewhere in each epoch."""
        first = item_of(index, len(self), self.seed)
        for k in range(len(self)):
            path = self.names[(first + k) % len(self)]
            start = window_of(index, self.clips[path], self.span, self.seed)
            try:
                return self._window(path, range(start, start + self.span, self.stride))
            except HeadcastError as e:
                self.skipped[path] = str(e)
        raise HeadcastError(f"{self.root}: no clip can be read{first_reason(self.skipped)}")

    def _window(self, path: Path, which: range) -> UInt8[np.ndarray, "t h w 3"]:
        if path.is_dir():
            names = list_frames(path, self.pattern)
            frames = [load_image(names[i], self.max_side).rgb for i in which]
            if len({f.shape for f in frames}) > 1:
                raise HeadcastError(f"{path}: its frames differ in size")
            return np.stack(frames)
        from headcast.video import iter_frames

        window = []
        for i, (frame, _) in enumerate(iter_frames(path, max_side=self.max_side)):
            if i in which:
                window.append(frame)
            if len(window) == len(which):
                return np.stack(window)
        raise HeadcastError(f"{path}: ends after {len(window)} of {len(which)} frames")


def list_files(root: Path, suffixes: frozenset[str], pattern: str) -> list[Path]:
    """List files below a folder by suffix and name pattern, without hidden ones, in alphabetical order."""
    if not root.is_dir():
        raise HeadcastError(f"{root}: no such folder; check the name")
    matches = (p for p in root.rglob(pattern) if p.suffix.lower() in suffixes)
    return sorted(p for p in matches if not any(x.startswith(".") for x in p.relative_to(root).parts))


def check_image_header(path: Path, skipped: dict[Path, str]) -> bool:
    """Check that a file has an image header, else note the reason in ``skipped``. Pixels aren't decoded."""
    from PIL import Image

    try:
        check_readable(path, "image")
        with parsing(path, "not a readable image", "save it again or remove it"), Image.open(path) as im:
            im.size  # noqa: B018 - the header was read
    except HeadcastError as e:
        skipped[path] = str(e)
        return False
    return True


def list_frames(folder: Path, pattern: str) -> list[Path]:
    """List the images directly in a folder, in the order of their names."""
    matches = (p for p in folder.glob(pattern) if p.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(p for p in matches if not p.name.startswith("."))


def video_length(path: Path) -> int:
    """Count the frames of a video file by its header, else by counting packets; nothing is decoded.

    Raises:
        HeadcastError: it is no video.
    """
    import av.error

    from headcast.video import Reader

    reader = Reader(path, 64)
    try:
        packets = reader.container.demux(reader.stream)
        return reader.stream.frames or sum(1 for p in packets if p.size)
    except (av.error.FFmpegError, ValueError) as e:
        raise HeadcastError(f"{path}: the video is damaged ({e})") from e
    finally:
        reader.close()


def first_reason(skipped: dict[Path, str]) -> str:
    """Format the first reason, and how many more there are, for a message."""
    if not skipped:
        return ""
    more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
    return f" ({next(iter(skipped.values()))}{more})"
