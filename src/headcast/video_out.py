"""Write clips: H.264 in MP4 with the sound of another file, atomically."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from headcast.containers import file_url, first_audio, open_media
from headcast.errors import HeadcastError
from headcast.files import atomic_path

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet, VideoFrame, VideoStream
    from av.container import InputContainer, OutputContainer
    from av.filter import Graph

__all__ = ["AudioSource", "write_video"]

COPIED = ("aac", "mp3", "mp3float")  # what every player takes from an MP4
ENCODERS = ("libx264", "libopenh264", "h264", "mpeg4")
BT709, LIMITED = 1, 1
MAX_DRIFT = 0.015  # seconds between sound and its time stamps before samples are dropped or silence is added


@dataclass(frozen=True)
class AudioSource:
    """The sound of a file from ``start`` on, for ``duration`` seconds (None: to the end)."""

    path: Path
    start: float = 0.0
    duration: float | None = None


@runtime_checkable
class HasAudio(Protocol):
    """A ``Clip``, or anything else with an ``audio`` source."""

    @property
    def audio(self) -> AudioSource | None: ...


def write_video(
    path: str | Path,
    frames: Iterable[UInt8[np.ndarray, "h w 3"]],
    fps: float,
    audio_from: HasAudio | AudioSource | str | Path | None = None,
    metadata: dict[str, str] | None = None,
    *,
    quality: int = 16,
) -> tuple[str, ...]:
    """Write sRGB frames as H.264 (BT.709, constant quality; lower is better) with the sound of another clip.

    Exactly the frames given are written, at their own size. Sizes even in both directions become 4:2:0, which
    plays everywhere; odd ones 4:4:4, which browsers and VLC play but some television sets do not.

    Args:
        metadata: container entries, for example ``comment``.

    Returns:
        Notes for the user, one sentence each.

    Raises:
        HeadcastError: no frame given, or the place cannot be written.
    """
    import av

    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise HeadcastError(f"{path}: there is no frame to write; the clip is empty")
    notes: list[str] = []
    with atomic_path(path) as temporary, av.open(file_url(temporary), "w", format="mp4") as out:
        out.metadata.update(metadata or {})
        video = add_video(out, first.shape[1], first.shape[0], fps, quality, notes)
        source = audio_source(audio_from)
        sound = None if source is None else audio_packets(source, out, notes)
        pending = next(sound, None) if sound else None
        count = 0
        for count, frame in enumerate(chain(first, iterator), 1):
            for packet in video.encode(to_frame(frame, first.shape, count - 1, video)):
                out.mux(packet)
            while pending is not None and pending[0] <= count / fps:
                out.mux(pending[1])
                pending = next(sound, None) if sound else None
        for packet in video.encode(None):
            out.mux(packet)
        while pending is not None and pending[0] < count / fps:
            out.mux(pending[1])
            pending = next(sound, None) if sound else None
    return tuple(notes)


def chain(first: np.ndarray, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the first frame, then the others."""
    yield first
    yield from rest


def add_video(
    out: OutputContainer, width: int, height: int, fps: float, quality: int, notes: list[str]
) -> VideoStream:
    """Add a video stream with the best encoder that this build of FFmpeg has."""
    import av
    import av.error

    even = width % 2 == 0 and height % 2 == 0
    rate = Fraction(fps).limit_denominator(1001)
    for name in ENCODERS:
        try:
            stream = out.add_stream(name, rate=rate)
            break
        except (av.error.FFmpegError, ValueError):
            continue
    else:
        raise HeadcastError("this build of PyAV has no H.264 or MPEG-4 encoder; install av from PyPI")
    assert isinstance(stream, av.VideoStream)
    context = stream.codec_context
    context.width, context.height = width, height
    context.pix_fmt = "yuv420p" if even or name != "libx264" else "yuv444p"
    context.time_base = 1 / rate
    context.thread_count = 0
    if name == "libx264":
        context.options = {"crf": str(quality), "preset": "medium"}
    else:
        notes.append(f"written with {name}, of lower quality, since libx264 is missing")
        context.bit_rate = int(0.3 * width * height * fps)
    if context.pix_fmt == "yuv444p":
        notes.append(f"{width}x{height} is odd, so the video is 4:4:4; some television sets cannot play it")
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = LIMITED
    return stream


def to_frame(
    rgb: UInt8[np.ndarray, "h w 3"], shape: tuple[int, ...], index: int, stream: VideoStream
) -> VideoFrame:
    """Convert one image to the encoder's pixel format, with its time stamp."""
    import av
    from av.video.reformatter import ColorRange, Colorspace

    if rgb.shape != shape or rgb.dtype != np.uint8:
        raise ValueError(f"frame {index} is {rgb.dtype} {rgb.shape}, the first was uint8 {shape}")
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    frame = frame.reformat(
        format=stream.codec_context.pix_fmt, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
    frame.pts, frame.time_base = index, stream.codec_context.time_base
    return frame


def audio_source(sound: HasAudio | AudioSource | str | Path | None) -> AudioSource | None:
    """Return the audio source of a clip, a file or a source; None: silent."""
    if sound is None or isinstance(sound, AudioSource):
        return sound
    if isinstance(sound, str | Path):
        return AudioSource(Path(sound))
    return sound.audio


def audio_packets(
    source: AudioSource, out: OutputContainer, notes: list[str]
) -> Iterator[tuple[float, Packet]]:
    """Yield (seconds, packet) of the sound in order; copied where MP4 players take the codec, else as AAC."""
    try:
        container = open_media(source.path)
    except HeadcastError:
        notes.append(f"the sound of {source.path} cannot be read; the video is silent")
        return iter(())
    stream = first_audio(container)
    if stream is None:
        container.close()
        return iter(())
    if stream.codec_context.name in COPIED:
        return copy_packets(container, stream, out.add_stream_from_template(stream), source)
    target = out.add_stream("aac", rate=stream.rate or 48000)
    target.codec_context.layout = "stereo" if stream.channels > 1 else "mono"
    notes.append("the sound is re-encoded as AAC")
    return encode_packets(container, stream, target, source)


def copy_packets(
    container: InputContainer, stream: AudioStream, target: AudioStream, source: AudioSource
) -> Iterator[tuple[float, Packet]]:
    """Yield the packets of the requested part, stream-copied."""
    import av.error

    last = None
    with container:
        try:
            for packet in container.demux(stream):
                if packet.dts is None or packet.pts is None or packet.time_base is None:
                    continue
                time = float(packet.pts * packet.time_base) - source.start
                if time < -0.01:
                    continue
                if source.duration is not None and time >= source.duration:
                    break
                shift = round(source.start / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                if last is not None and packet.dts <= last:  # the muxer refuses steps back in time
                    continue
                last = packet.dts
                packet.stream = target
                yield time, packet
        except (av.error.FFmpegError, ValueError):
            return


def encode_packets(
    container: InputContainer, stream: AudioStream, target: AudioStream, source: AudioSource
) -> Iterator[tuple[float, Packet]]:
    """Yield the packets of the requested part, re-encoded at their times."""
    import av.error

    resampler = TimedResampler(target)
    with container:
        try:
            for frame in container.decode(stream):
                time = (frame.time or 0.0) - source.start
                if time + frame.samples / frame.sample_rate <= 0:
                    continue
                if source.duration is not None and time >= source.duration:
                    break
                for piece in resampler.resample(frame, time):
                    yield from with_times(target.encode(piece))
        except (av.error.FFmpegError, ValueError):
            pass
    for piece in resampler.rest():
        yield from with_times(target.encode(piece))
    yield from with_times(target.encode(None))


class TimedResampler:
    """Convert sound to an encoder's rate and layout, with silence where its time stamps leave a pause.

    The result starts at 0: sound that starts later begins with silence, what lies before is cut off.
    """

    def __init__(self, target: AudioStream) -> None:
        self.target = target
        self.graph: Graph | None = None

    def resample(self, frame: AudioFrame, time: float) -> Iterator[AudioFrame]:
        """Take a decoded frame that starts at a time in seconds; yield what is ready for the encoder."""
        if self.graph is None:
            self.graph = self.filter_for(frame)
        frame.time_base = Fraction(1, frame.sample_rate)
        frame.pts = round(time * frame.sample_rate)
        self.graph.push(frame)
        yield from self.ready()

    def filter_for(self, frame: AudioFrame) -> Graph:
        """Build the filter graph for frames like this one."""
        from av.filter import Graph

        graph, context = Graph(), self.target.codec_context
        rate, layout = context.sample_rate, context.layout.name
        nodes = [
            graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format,
                layout=frame.layout,
                time_base=Fraction(1, frame.sample_rate),
            ),
            graph.add("aresample", f"{rate}:async=1000:min_hard_comp={MAX_DRIFT}:first_pts=0"),
            graph.add("aformat", f"sample_fmts=fltp:channel_layouts={layout}"),
            graph.add("abuffersink"),
        ]
        for node, following in pairwise(nodes):
            node.link_to(following)
        graph.configure()
        return graph

    def ready(self) -> Iterator[AudioFrame]:
        """Yield the frames that the filter has finished."""
        import av
        import av.error

        while self.graph is not None:
            try:
                piece = self.graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(piece, av.AudioFrame)
            yield piece

    def rest(self) -> Iterator[AudioFrame]:
        """Yield what the filter still holds, at the end."""
        if self.graph is not None:
            self.graph.push(None)
            yield from self.ready()


def with_times(packets: list[Packet]) -> Iterator[tuple[float, Packet]]:
    """Yield packets with their times in seconds."""
    for packet in packets:
        yield float((packet.pts or 0) * (packet.time_base or 0)), packet
