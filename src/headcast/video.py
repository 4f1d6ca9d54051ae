"""Read clips: upright frames at a constant rate, one shot, with a reference to the sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from headcast.errors import HeadcastError
from headcast.files import check_readable, what_is
from headcast.shots import longest_run, longest_shot, signature
from headcast.video_out import AudioSource, write_video

if TYPE_CHECKING:
    import av

__all__ = ["AudioSource", "Clip", "LazyFrames", "iter_frames", "longest_shot", "read_video", "write_video"]

MAX_BYTES = 600_000_000  # of frames held in memory; longer clips are decoded again on demand
MAX_SECONDS = 600.0
MAX_SIDE = 1920
MIN_SECONDS = 1.0  # of a damaged clip, to be worth using


@dataclass(frozen=True)
class Clip:
    """One shot of a video at a constant frame rate.

    Attributes:
        frames: (T, H, W, 3) sRGB, upright: an array, or a sequence with the same indexing, iteration and
            length that decodes on demand when the clip is too large for memory.
        fps: frames per second.
        times: (T,) seconds at which the frames were taken, from the start of the file.
        audio: where the sound of this shot is, None when the file has none.
        name: the file, for messages.
        notes: what the user should know, one sentence each.
        scale: size of the frames divided by the size stored in the file.
    """

    frames: UInt8[np.ndarray, "t h w 3"] | LazyFrames
    fps: float
    times: Float[np.ndarray, "t"]
    audio: AudioSource | None
    name: str
    notes: tuple[str, ...] = ()
    scale: float = 1.0


def read_video(
    path: str | Path, max_frames: int | None = None, *, max_side: int = MAX_SIDE, one_shot: bool = True
) -> Clip:
    """Read a clip, or the first ``max_frames`` frames of it. Of a clip with cuts the longest shot is kept.

    A varying frame rate is made constant at the median rate by taking the nearest frame in time.

    Raises:
        HeadcastError: missing, no video, damaged before its first second, a still image.
    """
    path = Path(path)
    check_readable(path, "video")
    scan = scan_video(path, max_frames, max_side)
    notes = list(scan.notes)
    shot = longest_run(np.stack(scan.signatures)) if one_shot else slice(0, len(scan.times))
    if shot != slice(0, len(scan.times)):
        a, b = scan.times[shot.start], scan.times[shot.stop - 1]
        notes.append(f"the clip has cuts; the longest shot, {a:.2f} s to {b:.2f} s, is used")
    times = np.asarray(scan.times[shot], dtype=np.float64)
    index, fps, even = constant_rate(times, scan.rate)
    if not even:
        notes.append(f"the frame rate varies; taken at {fps:.3g} frames per second")
    index = index + shot.start
    if scan.frames is not None:
        keep = np.array_equal(index, np.arange(len(scan.frames)))
        frames = np.stack(scan.frames) if keep else np.stack([scan.frames[i] for i in index])
    else:
        frames = LazyFrames(path, index, scan.shape, max_side)
    audio = AudioSource(path, float(times[0]), len(index) / fps) if scan.has_audio else None
    return Clip(
        frames=frames,
        fps=fps,
        times=times[index - shot.start],
        audio=audio,
        name=str(path),
        notes=tuple(notes),
        scale=scan.scale,
    )


@dataclass
class Scan:
    """Result of one pass over a file. ``frames`` is None when they did not fit in memory."""

    frames: list[UInt8[np.ndarray, "h w 3"]] | None
    times: list[float]
    signatures: list[Float[np.ndarray, "n"]]
    shape: tuple[int, int]
    scale: float
    rate: float
    has_audio: bool
    notes: list[str]


def scan_video(path: Path, max_frames: int | None, max_side: int) -> Scan:
    """Decode a whole file once, up to the limits of frames, time and memory."""
    frames: list[np.ndarray] | None = []
    times: list[float] = []
    signatures: list[np.ndarray] = []
    reader = Reader(path, max_side)
    shape = (0, 0)
    for frame, time in reader:
        if times and frame.shape[:2] != shape:
            reader.notes.append("the frame size changes; only the part before is used")
            break
        shape = (frame.shape[0], frame.shape[1])
        times.append(time)
        signatures.append(signature(frame))
        if frames is not None:
            frames.append(frame)
            if len(frames) * frame.nbytes > MAX_BYTES:
                frames = None
        if max_frames is not None and len(times) >= max_frames:
            break
        if time - times[0] >= MAX_SECONDS:
            reader.notes.append(f"only the first {MAX_SECONDS:.0f} s are used")
            break
    reader.close()
    if not times:
        raise HeadcastError(f"{path}: the video has no frame that can be read; save or download it again")
    if len(times) == 1 and max_frames != 1:
        raise HeadcastError(f"{path}: a still image, not a video; give it as a photo")
    seconds = times[-1] - times[0]
    if reader.damaged and seconds < MIN_SECONDS:
        raise HeadcastError(f"{path}: the video is damaged after {seconds:.1f} s; save or download it again")
    if reader.damaged:
        reader.notes.append(f"the video is damaged; the first {seconds:.1f} s are used")
    return Scan(
        frames=frames,
        times=times,
        signatures=signatures,
        shape=shape,
        scale=reader.scale,
        rate=reader.rate,
        has_audio=reader.has_audio,
        notes=reader.notes,
    )


def iter_frames(
    path: str | Path, *, max_side: int = MAX_SIDE
) -> Iterator[tuple[UInt8[np.ndarray, "h w 3"], float]]:
    """Yield upright frames with their times in seconds, without keeping them."""
    path = Path(path)
    check_readable(path, "video")
    yield from Reader(path, max_side)


class Reader:
    """Iterate over (frame, seconds) of a file; afterwards ``damaged`` says whether it ended early."""

    def __init__(self, path: Path, max_side: int) -> None:
        import av
        import av.error

        self.path, self.max_side = path, max_side
        self.damaged, self.scale = False, 1.0
        self.notes: list[str] = []
        try:
            self.container = av.open(str(path), metadata_errors="ignore")
        except (av.error.FFmpegError, ValueError) as e:
            raise HeadcastError(f"{path}: {what_is(path)}, not a video that can be read; use MP4") from e
        if not self.container.streams.video:
            self.container.close()
            raise HeadcastError(f"{path}: has no video stream, only others; give a video with a face")
        self.stream = self.container.streams.video[0]
        self.stream.thread_type = "AUTO"
        self.has_audio = bool(self.container.streams.audio)
        self.rate = float(self.stream.average_rate or self.stream.base_rate or 25)
        self.seconds: float | None = None
        if self.stream.duration and self.stream.time_base:
            self.seconds = float(self.stream.duration * self.stream.time_base)
        elif self.container.duration and not self.has_audio:
            self.seconds = self.container.duration / 1e6

    def __iter__(self) -> Iterator[tuple[UInt8[np.ndarray, "h w 3"], float]]:
        import av.error

        last, count = -1.0, 0
        decoded = self.container.decode(self.stream)
        try:
            while True:
                try:
                    frame = next(decoded)
                except StopIteration:
                    break
                except (av.error.FFmpegError, ValueError):
                    self.damaged = True
                    break
                time = frame.time if frame.time is not None else count / self.rate
                if time <= last:
                    time = last + 0.5 / self.rate
                last, count = time, count + 1
                yield self.upright(frame), time
            if self.seconds and count and last + 2 / self.rate + 0.5 < 0.9 * self.seconds:
                self.damaged = True
        finally:
            self.close()

    def upright(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
        """Return a frame as an array with square pixels, downsampled and rotated by its display matrix."""
        w, h = frame.width, frame.height
        aspect = self.stream.sample_aspect_ratio
        stretch = float(aspect) if aspect and 0.2 < float(aspect) < 5 else 1.0
        self.scale = min(1.0, self.max_side / max(w * stretch, h))
        target = (max(1, round(w * stretch * self.scale)), max(1, round(h * self.scale)))
        if target != (w, h):
            import av.video.reformatter as reformatter

            frame = frame.reformat(*target, format="rgb24", interpolation=reformatter.Interpolation.AREA)
        x = frame.to_ndarray(format="rgb24")
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(x, turns)) if turns else x

    def close(self) -> None:
        """Close the file and its decoder."""
        self.container.close()


class ConstantRate(NamedTuple):
    """Frame indices at a constant rate, the rate, and whether it was constant already."""

    frames: Int[np.ndarray, "n"]
    fps: float
    was_constant: bool


def constant_rate(times: Float[np.ndarray, "t"], nominal: float) -> ConstantRate:
    """Return the frame indices of a constant rate, the rate, and whether it was constant already."""
    n = len(times)
    if n < 3:
        return ConstantRate(np.arange(n), nominal, True)
    gaps = np.diff(times)
    gap = float(np.median(gaps))
    mean = float((times[-1] - times[0]) / (n - 1))
    drift = np.abs(times - times[0] - np.arange(n) * mean).max()
    if drift < 0.75 * gap:  # rounded time stamps stay within a frame of an even grid
        fps = 1 / mean
        return ConstantRate(np.arange(n), nominal if abs(nominal - fps) < 0.02 * fps else fps, True)
    count = max(1, round((times[-1] - times[0]) / gap) + 1)
    grid = times[0] + np.arange(count) * gap
    right = np.clip(np.searchsorted(times, grid), 1, n - 1)
    index = np.where(grid - times[right - 1] <= times[right] - grid, right - 1, right)
    return ConstantRate(index, 1 / gap, False)


class LazyFrames:
    """Selected frames of a file, decoded on demand. Going forward is cheap; going back starts over."""

    def __init__(
        self, path: Path, index: Int[np.ndarray, "n"], shape: tuple[int, int], max_side: int
    ) -> None:
        self.path, self.index, self.max_side = path, index, max_side
        self.shape = (len(index), *shape, 3)
        self.position = -1
        self.current: UInt8[np.ndarray, "h w 3"] | None = None
        self.decoding: Iterator[tuple[UInt8[np.ndarray, "h w 3"], float]] = iter(())

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        for k in range(len(self)):
            yield self.frame(k)

    def __getitem__(self, k: Any) -> UInt8[np.ndarray, "*s 3"]:
        if isinstance(k, int | np.integer):
            return self.frame(range(len(self))[int(k)])
        indices = np.arange(len(self))[k]
        return np.stack([self.frame(int(i)) for i in indices])

    def frame(self, k: int) -> UInt8[np.ndarray, "h w 3"]:
        """Decode frame ``k``; raise HeadcastError when the file changed meanwhile."""
        target = int(self.index[k])
        if self.current is None or target < self.position:
            self.decoding, self.position = iter(Reader(self.path, self.max_side)), -1
        while self.position < target:
            item = next(self.decoding, None)
            if item is None:
                raise HeadcastError(f"{self.path}: the video changed while it was read; start again")
            self.current, self.position = item[0], self.position + 1
        assert self.current is not None
        return self.current
