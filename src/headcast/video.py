"""Read clips: upright frames at a constant rate, one shot, with a reference to the sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from headcast.containers import first_audio, main_video, open_media
from headcast.errors import HeadcastError
from headcast.files import check_readable, content_kind
from headcast.shots import is_likely_cut, longest_shot, runs_by_length, signature
from headcast.video_colour import colour_note, frame_to_srgb
from headcast.video_layout import Deinterlacer, DisplayTurn, display_turn
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
        visited: what ``read_video``'s ``visit`` returned for each frame; None when the frames are in memory.
    """

    frames: UInt8[np.ndarray, "t h w 3"] | LazyFrames
    fps: float
    times: Float[np.ndarray, "t"]
    audio: AudioSource | None
    name: str
    notes: tuple[str, ...] = ()
    scale: float = 1.0
    visited: tuple[Any, ...] | None = None


Visit = Callable[[UInt8[np.ndarray, "h w 3"], bool], Any]
"""Called with every decoded frame in order, and whether a new shot may begin with it."""


def read_video(
    path: str | Path,
    max_frames: int | None = None,
    *,
    max_side: int = MAX_SIDE,
    one_shot: bool = True,
    visit: Visit | None = None,
    is_wanted: WantedShot | None = None,
) -> Clip:
    """Read a clip, or the first ``max_frames`` frames of it. Of a clip with cuts the longest shot is kept.

    A varying frame rate is made constant at the median rate by taking the nearest frame in time.

    Args:
        visit: what to do with every frame while a clip too large for memory is read, so that it need not be
            decoded again for that; see ``Clip.visited``.
        is_wanted: of a clip with cuts, the longest shot for which it holds is kept.

    Raises:
        HeadcastError: missing, no video, damaged before its first second, a still image.
    """
    path = Path(path)
    check_readable(path, "video")
    if content_kind(path) == "image" and not is_animation(path):
        raise HeadcastError(f"{path}: a still image, not a video; give it as a photo")
    scan = scan_video(path, max_frames, max_side, visit)
    notes = list(scan.notes)
    shot = slice(0, len(scan.times))
    if one_shot:
        shot, kind = choose_shot(scan, is_wanted)
        if shot != slice(0, len(scan.times)):
            a, b = scan.times[shot.start], scan.times[shot.stop - 1]
            notes.append(f"the clip has cuts; {kind}, {a:.2f} s to {b:.2f} s, is used")
    times = np.asarray(scan.times[shot], dtype=np.float64)
    index, fps, even = constant_rate(times, scan.rate)
    if not even:
        notes.append(f"the frame rate varies; taken at {fps:.3g} frames per second")
    index = index + shot.start
    return Clip(
        frames=LazyFrames(path, index, scan.shape, max_side)
        if scan.frames is None
        else gather_frames(scan.frames, index),
        fps=fps,
        times=times[index - shot.start],
        audio=AudioSource(path, float(times[0]), len(index) / fps) if scan.has_audio else None,
        name=str(path),
        notes=tuple(notes),
        scale=scan.scale,
        visited=None if scan.visited is None else tuple(scan.visited[i] for i in index),
    )


def choose_shot(scan: Scan, is_wanted: WantedShot | None) -> tuple[slice, str]:
    """Return the longest shot that is wanted, else the longest of all, and what it is, in words."""
    runs = runs_by_length(np.stack(scan.signatures))
    if is_wanted is not None and len(runs) > 1:
        for run in runs:
            if is_wanted(scan, run):
                return run, "the longest shot" if run == runs[0] else "the longest shot with a face"
    return runs[0], "the longest shot"


def is_animation(path: Path) -> bool:
    """Whether a file of an image type is a GIF, which may hold many frames."""
    with path.open("rb") as f:
        return f.read(4) == b"GIF8"


def gather_frames(frames: list[np.ndarray], index: Int[np.ndarray, "t"]) -> UInt8[np.ndarray, "t h w 3"]:
    """Stack the frames of ascending indices, dropping each from the list, so that memory holds them once."""
    out = np.empty((len(index), *frames[index[0]].shape), np.uint8)
    for k, i in enumerate(index):
        out[k] = frames[i]
        if k + 1 == len(index) or index[k + 1] != i:
            frames[i] = out[:0, 0]
    return out


@dataclass
class Scan:
    """Result of one pass over a file.

    ``frames`` is None when they did not fit in memory; only then were they visited.
    """

    frames: list[UInt8[np.ndarray, "h w 3"]] | None
    visited: list[Any] | None
    times: list[float]
    signatures: list[Float[np.ndarray, "n"]]
    shape: tuple[int, int]
    scale: float
    rate: float
    has_audio: bool
    notes: list[str]


WantedShot = Callable[[Scan, slice], bool]
"""Whether a shot, given as a slice of a scan's frames, shows what is looked for."""


def scan_video(path: Path, max_frames: int | None, max_side: int, visit: Visit | None = None) -> Scan:
    """Decode a whole file once, up to the limits of frames, time and memory."""
    reader = Reader(path, max_side)
    buffer = FrameBuffer(visit)
    times: list[float] = []
    signatures: list[np.ndarray] = []
    shape = (0, 0)
    for frame, time in reader:
        if times and frame.shape[:2] != shape:
            reader.notes.append("the frame size changes; only the part before is used")
            break
        shape = (frame.shape[0], frame.shape[1])
        times.append(time)
        signatures.append(signature(frame))
        buffer.add(frame, len(times) > 1 and is_likely_cut(*signatures[-2:]))
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
        frames=buffer.frames,
        visited=buffer.visited,
        times=times,
        signatures=signatures,
        shape=shape,
        scale=reader.scale,
        rate=reader.rate,
        has_audio=reader.has_audio,
        notes=reader.notes,
    )


class FrameBuffer:
    """Keep frames in memory; when they are too many, visit those kept, drop them, visit all later ones."""

    def __init__(self, visit: Visit | None) -> None:
        self.visit = visit
        self.frames: list[np.ndarray] | None = []
        self.visited: list[Any] | None = None
        self.cuts: list[bool] = []

    def add(self, frame: UInt8[np.ndarray, "h w 3"], new_shot: bool) -> None:
        """Take the next frame."""
        if self.frames is None:
            if self.visit is not None and self.visited is not None:
                self.visited.append(self.visit(frame, new_shot))
            return
        self.frames.append(frame)
        self.cuts.append(new_shot)
        if len(self.frames) * frame.nbytes > MAX_BYTES:
            kept, self.frames = self.frames, None
            if self.visit is not None:
                self.visited = [self.visit(f, cut) for f, cut in zip(kept, self.cuts, strict=True)]


def iter_frames(
    path: str | Path, *, max_side: int = MAX_SIDE
) -> Iterator[tuple[UInt8[np.ndarray, "h w 3"], float]]:
    """Yield upright frames with their times in seconds, without keeping them."""
    path = Path(path)
    check_readable(path, "video")
    yield from Reader(path, max_side)


class Reader:
    """Iterate over (frame, seconds) of a file; afterwards ``damaged`` says whether it ended early.

    Frames are whole (deinterlaced), upright, of square pixels, in sRGB; their times are those of the file.
    """

    def __init__(self, path: Path, max_side: int) -> None:
        self.path, self.max_side = path, max_side
        self.damaged, self.scale = False, 1.0
        self.notes: list[str] = []
        self.container = open_media(path)
        try:
            self.stream = main_video(self.container, path)
        except HeadcastError:
            self.container.close()
            raise
        self.turn: DisplayTurn | None = None
        self.has_audio = first_audio(self.container) is not None
        self.rate = float(self.stream.average_rate or self.stream.base_rate or 25)
        self.seconds: float | None = None
        if self.stream.duration and self.stream.time_base:
            self.seconds = float(self.stream.duration * self.stream.time_base)
        elif self.container.duration and not self.has_audio:
            self.seconds = self.container.duration / 1e6

    def __iter__(self) -> Iterator[tuple[UInt8[np.ndarray, "h w 3"], float]]:
        first: float | None = None
        last = -1 / self.rate
        try:
            for frame in self.decode():
                time = frame.time if frame.time is not None else last + 1 / self.rate
                if first is None:
                    first = time
                elif time <= last:
                    time = last + 0.5 / self.rate
                last = time
                yield self.upright(frame), time
            if self.seconds and first is not None:
                self.damaged |= last - first + 2 / self.rate + 0.5 < 0.9 * self.seconds
        finally:
            self.close()

    def decode(self) -> Iterator[av.VideoFrame]:
        """Yield whole frames as decoded, up to the end or to the first damage."""
        import av.error

        decoded, deinterlacer = self.container.decode(self.stream), Deinterlacer()
        while True:
            try:
                frame = next(decoded, None)
            except (av.error.FFmpegError, ValueError):
                self.damaged = True
                break
            if frame is None:
                break
            if self.turn is None:
                self.inspect(frame)
            if self.container.format.name == "avi":  # which counts frames in the order of decoding
                frame.pts = frame.dts
            yield from deinterlacer.frames(frame)
        yield from deinterlacer.rest()

    def inspect(self, frame: av.VideoFrame) -> None:
        """Read the display matrix of the first frame and note what is special about the video."""
        matrix = frame.side_data.get("DISPLAYMATRIX")
        self.turn = display_turn(None if matrix is None else bytes(matrix))
        interlaced = "the video is interlaced; deinterlaced" if frame.interlaced_frame else None
        self.notes += [note for note in (self.turn.note, interlaced, colour_note(frame)) if note]

    def upright(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
        """Return a frame as sRGB with square pixels, downsampled, turned by its display matrix."""
        w, h = frame.width, frame.height
        aspect = self.stream.sample_aspect_ratio
        stretch = float(aspect) if aspect and 0.2 < float(aspect) < 5 else 1.0
        self.scale = min(1.0, self.max_side / max(w * stretch, h))
        target = (max(1, round(w * stretch * self.scale)), max(1, round(h * self.scale)))
        return (self.turn or DisplayTurn()).apply(frame_to_srgb(frame, target))

    def close(self) -> None:
        """Close the file and its decoder."""
        self.container.close()


class ConstantRate(NamedTuple):
    """Frame indices at a constant rate, the rate, and whether it was constant already."""

    frames: Int[np.ndarray, "n"]
    fps: float
    was_constant: bool


def constant_rate(times: Float[np.ndarray, "t"], nominal: float) -> ConstantRate:
    """Choose frames at a constant rate by their times; ``nominal`` is the rate that the file names."""
    n = len(times)
    if n < 3:
        return ConstantRate(np.arange(n), nominal, True)
    gaps = np.diff(times)
    gap = float(np.median(gaps))
    mean = float((times[-1] - times[0]) / (n - 1))
    drift = np.abs(times - times[0] - np.arange(n) * mean).max()
    if drift < 0.75 * gap:  # rounded time stamps stay within a frame of an even grid
        fps = 1 / mean
        nominal_drift = abs(1 / nominal - mean) * (n - 1)
        return ConstantRate(np.arange(n), nominal if nominal_drift < 0.5 * gap else fps, True)
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
