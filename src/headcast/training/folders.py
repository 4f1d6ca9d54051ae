"""Folders of pictures and of clips as training data: item i is a pure function of i and a seed.

What cannot be read is skipped and listed: files that are no pictures when the folder is opened, damaged ones
when they are met (the next one takes their place). Reading needs Pillow, of video files PyAV.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from headcast.errors import HeadcastError
from headcast.image import load_image
from headcast.training.order import item_of, window_of

__all__ = ["PICTURES", "VIDEOS", "ImageFolder", "VideoFolder"]

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif"})
VIDEOS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})


class ImageFolder:
    """Pictures below a folder.

    Attributes:
        paths: what may be read, in alphabetical order.
        skipped: path to reason, for what can't be read; it grows while pictures are read.
    """

    def __init__(self, root: Path, seed: int = 0, max_side: int = 4096, pattern: str = "*") -> None:
        """Lists the folder, its folders included; ``pattern``: only names like this (``*_rgb.png``).

        Raises:
            HeadcastError: it is missing or holds no picture.
        """
        self.root, self.seed, self.max_side = Path(root), seed, max_side
        self.skipped: dict[Path, str] = {}
        self.paths = [p for p in listed(self.root, PICTURES, pattern) if usable(p, self.skipped)]
        if not self.paths:
            raise HeadcastError(f"{root}: holds no readable picture{because(self.skipped)}")

    def __len__(self) -> int:
        """Pictures, damaged ones not yet met included."""
        return len(self.paths)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """The picture at place ``index`` of the endless order (sRGB), any index from 0."""
        first = item_of(index, len(self), self.seed)
        for k in range(len(self)):
            path = self.paths[(first + k) % len(self)]
            try:
                return load_image(path, self.max_side).rgb
            except HeadcastError as e:
                self.skipped[path] = str(e)
        raise HeadcastError(f"{self.root}: no picture can be read{because(self.skipped)}")


class VideoFolder:
    """Windows of consecutive frames from clips: folders of frames (as VFHQ keeps them) and video files.

    A folder whose pictures lie directly in it is a clip, its frames in the order of their names.

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
        """Lists the folder.

        Args:
            stride: every so many frames one is taken.
            pattern: only names like this, ``*_v00_rgb.png`` for the first view of ``headcast synth --clip``.

        Raises:
            HeadcastError: it is missing or holds no clip that is long enough.
        """
        self.root, self.seed, self.max_side = Path(root), seed, max_side
        self.frames, self.stride, self.pattern = frames, stride, pattern
        self.skipped: dict[Path, str] = {}
        self.clips: dict[Path, int] = {}
        pictures = listed(self.root, PICTURES | VIDEOS, pattern)
        for path in dict.fromkeys(p if p.suffix.lower() in VIDEOS else p.parent for p in pictures):
            self._admit(path)
        self.names = sorted(self.clips)
        if not self.names:
            raise HeadcastError(f"{root}: holds no clip of {self.span} frames{because(self.skipped)}")

    @property
    def span(self) -> int:
        """Frames from the first to the last of a window."""
        return (self.frames - 1) * self.stride + 1

    def _admit(self, path: Path) -> None:
        try:
            count = len(frames_in(path, self.pattern)) if path.is_dir() else video_length(path)
        except HeadcastError as e:
            self.skipped[path] = str(e)
            return
        if count < self.span:
            self.skipped[path] = f"{path}: {count} frames, fewer than {self.span}"
        else:
            self.clips[path] = count

    def __len__(self) -> int:
        """Clips."""
        return len(self.names)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "t h w 3"]:
        """The window at place ``index`` of the endless order; it begins elsewhere in each round."""
        first = item_of(index, len(self), self.seed)
        for k in range(len(self)):
            path = self.names[(first + k) % len(self)]
            start = window_of(index, self.clips[path], self.span, self.seed)
            try:
                return self._window(path, range(start, start + self.span, self.stride))
            except HeadcastError as e:
                self.skipped[path] = str(e)
        raise HeadcastError(f"{self.root}: no clip can be read{because(self.skipped)}")

    def _window(self, path: Path, which: range) -> UInt8[np.ndarray, "t h w 3"]:
        if path.is_dir():
            names = frames_in(path, self.pattern)
            frames = [load_image(names[i], self.max_side).rgb for i in which]
            if len({f.shape for f in frames}) > 1:
                raise HeadcastError(f"{path}: its frames differ in size")
            return np.stack(frames)
        from headcast.video import iter_frames

        kept = []
        for i, (frame, _) in enumerate(iter_frames(path, max_side=self.max_side)):
            if i in which:
                kept.append(frame)
            if len(kept) == len(which):
                return np.stack(kept)
        raise HeadcastError(f"{path}: ends after {len(kept)} of {len(which)} frames")


def listed(root: Path, suffixes: frozenset[str], pattern: str) -> list[Path]:
    """Files below a folder by their endings and names, hidden ones left out, in alphabetical order."""
    if not root.is_dir():
        raise HeadcastError(f"{root}: no such folder; check the name")
    found = (p for p in root.rglob(pattern) if p.suffix.lower() in suffixes)
    return sorted(p for p in found if not any(x.startswith(".") for x in p.relative_to(root).parts))


def usable(path: Path, skipped: dict[Path, str]) -> bool:
    """Whether a file begins like a picture; else the reason goes into ``skipped``. Pixels aren't decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as im:
            im.size  # noqa: B018 - the header was read
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as e:
        skipped[path] = f"{path}: not a readable picture ({type(e).__name__})"
        return False
    return True


def frames_in(folder: Path, pattern: str) -> list[Path]:
    """The pictures directly in a folder, in the order of their names."""
    found = (p for p in folder.glob(pattern) if p.suffix.lower() in PICTURES)
    return sorted(p for p in found if not p.name.startswith("."))


def video_length(path: Path) -> int:
    """Frames of a video file by its header, else by counting packets; nothing is decoded.

    Raises:
        HeadcastError: no video.
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


def because(skipped: dict[Path, str]) -> str:
    """The first reason, and how many more there are."""
    if not skipped:
        return ""
    more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
    return f" ({next(iter(skipped.values()))}{more})"
