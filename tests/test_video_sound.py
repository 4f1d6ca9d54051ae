"""Sound keeps its times in every output: late starts, pauses, copied and re-encoded codecs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from headcast.video import read_video
from headcast.video_out import AudioSource, write_video

av = pytest.importorskip("av", reason="the light core has no video codecs")

RATE = 48000
BEEPS = (1.2, 1.5, 2.4)  # seconds at which tones of 60 ms begin
FRAMES = [np.full((64, 64, 3), 40 + k % 50, np.uint8) for k in range(90)]


def beeps(start: float, end: float, delay: float = 0.0) -> np.ndarray:
    """Mono samples from start to end: silence with tones."""
    t = np.arange(round(start * RATE), round(end * RATE)) / RATE - delay
    on = np.any([(t >= b) & (t < b + 0.06) for b in BEEPS], axis=0)
    return (0.5 * on * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)


def write_clip(
    path: Path,
    codec: str,
    parts: tuple[tuple[float, float], ...],
    video_start: float = 0.0,
    layout: str = "mono",
) -> Path:
    """A clip of 3 s whose sound has these parts (seconds from, to), all times later by ``video_start``."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=30, options={"crf": "40", "preset": "ultrafast"})
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        sound = out.add_stream(codec, rate=RATE)
        sound.codec_context.layout = layout
        packets = []
        for k, rgb in enumerate(FRAMES):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = k + round(30 * video_start), Fraction(1, 30)
            packets += video.encode(frame)
        packets += video.encode(None)
        resample = av.AudioResampler(
            sound.codec_context.format, layout, RATE, sound.codec_context.frame_size or 960
        )
        for start, end in parts:
            x = beeps(start, end)
            for k in range(0, len(x), 960):
                frame = av.AudioFrame.from_ndarray(x[None, k : k + 960], "fltp", "mono")
                frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
                frame.pts = round((start + video_start) * RATE) + k
                for piece in resample.resample(frame):
                    packets += sound.encode(piece)
        for piece in resample.resample(None):
            packets += sound.encode(piece)
        packets += sound.encode(None)
        for packet in sorted(packets, key=lambda p: float(p.dts * p.time_base)):
            out.mux(packet)
    return path


def onsets(path: Path) -> list[float]:
    """Times at which tones begin, by the frames' own time stamps, less the first video frame's."""
    with av.open(str(path)) as c:
        first = next(c.decode(video=0)).time
    times, levels = [], []
    with av.open(str(path)) as c:
        for frame in c.decode(audio=0):
            x = np.abs(frame.to_ndarray().astype(np.float64).reshape(-1, frame.samples)).max(0)
            times.append(frame.time + np.arange(frame.samples) / frame.sample_rate)
            levels.append(x)
    t, x = np.concatenate(times), np.concatenate(levels)
    loud = t[x > 0.25 * x.max()]
    starts = loud[np.r_[True, np.diff(loud) > 0.1]]
    return [float(s - first) for s in starts]


CASES = [
    ("late.mp4", "aac", ((1.001, 3.0),), 0.0),
    ("late.ts", "aac", ((1.001, 3.0),), 2.0),
    ("pause.mp4", "libmp3lame", ((1.0, 1.7), (2.2, 3.0)), 2.0),
    ("late.mkv", "libopus", ((1.001, 3.0),), 0.0),
    ("pause.mkv", "libopus", ((0.0, 1.7), (2.2, 3.0)), 2.0),
    ("pause.mkv", "pcm_s16le", ((1.0, 1.7), (2.2, 3.0)), 0.0),
    ("pause.ts", "ac3", ((1.0, 1.7), (2.2, 3.0)), 2.0),
    ("late.mkv", "flac", ((1.001, 3.0),), 0.0),
]


@pytest.mark.parametrize(("name", "codec", "parts", "video_start"), CASES)
def test_sound_keeps_its_times(
    tmp_path: Path, name: str, codec: str, parts: tuple[tuple[float, float], ...], video_start: float
) -> None:
    source = write_clip(tmp_path / name, codec, parts, video_start)
    assert onsets(source) == pytest.approx(BEEPS, abs=0.005)
    clip = read_video(source, one_shot=False)
    write_video(tmp_path / "out.mp4", clip.frames, clip.fps, clip)
    assert onsets(tmp_path / "out.mp4") == pytest.approx(BEEPS, abs=0.02)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mkv", "libopus")])
def test_a_part_of_the_sound_keeps_its_times(tmp_path: Path, name: str, codec: str) -> None:
    source = write_clip(tmp_path / name, codec, ((0.0, 3.0),))
    write_video(tmp_path / "out.mp4", FRAMES[:36], 30, AudioSource(source, 1.3, 1.2))
    assert onsets(tmp_path / "out.mp4") == pytest.approx([BEEPS[1] - 1.3, BEEPS[2] - 1.3], abs=0.02)


def test_sound_after_the_end_is_left_out(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mkv", "libopus", ((1.001, 3.0),))
    write_video(tmp_path / "out.mp4", FRAMES[:15], 30, AudioSource(source, 0.0, 0.5))
    assert read_video(tmp_path / "out.mp4").times[-1] == pytest.approx(14 / 30, abs=1e-3)
