"""Clips in and out: rate, turn, sound, cuts, damage."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headcast.errors import HeadcastError
from headcast.shots import find_cuts, longest_shot, signature
from headcast.video import Clip, LazyFrames, constant_rate, iter_frames, read_video
from headcast.video_out import AudioSource, write_video

av = pytest.importorskip("av", reason="the light core has no video codecs")


def scene(t: int, kind: int = 0, h: int = 96, w: int = 128, light: float = 1.0) -> np.ndarray:
    """Frame ``t`` of a made-up shot: a bright disk that wanders and turns over a smooth background."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    rng = np.random.default_rng(kind)
    a, b = rng.uniform(40, 200, (2, 3))
    k = rng.uniform(-1, 1, 2)
    ramp = ((k[0] * x / w + k[1] * y / h) * 0.5 + 0.5).clip(0, 1)[..., None]
    out = a * ramp + b * (1 - ramp)
    cx, cy = w / 2 + 0.2 * w * np.sin(t / 7), h / 2 + 0.1 * h * np.cos(t / 5)
    disk = np.hypot(x - cx, (y - cy) * 0.8) < 0.28 * h
    out[disk] = rng.uniform(90, 240, 3) + 30 * np.sin((x[disk] + 3 * t) / 6)[:, None]
    return (out * light).clip(0, 255).astype(np.uint8)


def write_sound(path: Path, codec: str = "aac", seconds: float = 2.0, rate: int = 44100) -> Path:
    """A tone, louder with time."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate)
        stream.codec_context.layout = "mono"
        n = int(seconds * rate)
        x = 0.4 * np.linspace(0, 1, n) * np.sin(np.arange(n) * 2 * np.pi * 440 / rate)
        size = stream.codec_context.frame_size or 1024
        resample = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        for k in range(0, n, size):
            frame = av.AudioFrame.from_ndarray(x[None, k : k + size].astype(np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, k, Fraction(1, rate)
            for part in resample.resample(frame):
                out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return path


def sound_of(path: Path) -> tuple[str, np.ndarray, int]:
    """Codec, samples and rate of a file's sound."""
    with av.open(str(path)) as c:
        s = c.streams.audio[0]
        parts = [f.to_ndarray().astype(np.float64).mean(0) for f in c.decode(s)]
        return s.codec_context.name, np.concatenate(parts), s.rate


def frame_times(path: Path) -> list[float]:
    """Times of all frames of a file."""
    with av.open(str(path)) as c:
        return [float(f.time) for f in c.decode(video=0)]


@pytest.mark.parametrize("fps", [25.0, 29.97, 12.5])
@pytest.mark.parametrize("size", [(96, 128), (97, 129)])
def test_round_trip(tmp_path: Path, fps: float, size: tuple[int, int]) -> None:
    frames = [scene(t, 1, *size) for t in range(17)]
    notes = write_video(tmp_path / "a.mp4", iter(frames), fps, metadata={"comment": "synthetic"})
    clip = read_video(tmp_path / "a.mp4")
    assert len(clip.frames) == len(frames)
    assert clip.frames[0].shape == frames[0].shape
    assert clip.fps == pytest.approx(fps, rel=1e-3)
    assert clip.times == pytest.approx(np.arange(17) / fps, abs=2e-3)
    assert clip.audio is None
    assert bool(notes) == (size[0] % 2 == 1)
    error = np.stack(list(clip.frames)).astype(float) - np.stack(frames)
    assert np.sqrt((error**2).mean()) < 9
    assert np.abs(error.mean((0, 1, 2))).max() < 3
    with av.open(str(tmp_path / "a.mp4")) as c:
        assert c.metadata["comment"] == "synthetic"
        assert c.streams.video[0].frames == len(frames)


def test_saturated_colours_survive(tmp_path: Path) -> None:
    wanted = [(230, 20, 20), (20, 220, 30), (30, 40, 230), (240, 240, 20), (255, 255, 255), (0, 0, 0)]
    frames = [np.full((64, 64, 3), c, np.uint8) for c in wanted for _ in range(3)]
    write_video(tmp_path / "a.mp4", frames, 10)
    clip = read_video(tmp_path / "a.mp4", one_shot=False)
    for k, c in enumerate(wanted):
        assert np.abs(clip.frames[3 * k + 1][32, 32].astype(int) - c).max() <= 5


def test_max_frames_and_iteration(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [scene(t) for t in range(12)], 25)
    clip = read_video(tmp_path / "a.mp4", max_frames=5)
    assert len(clip.frames) == 5
    streamed = list(iter_frames(tmp_path / "a.mp4"))
    assert len(streamed) == 12
    assert np.array_equal(streamed[4][0], clip.frames[4])
    assert streamed[4][1] == pytest.approx(0.16)


def test_long_clips_are_decoded_on_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", [scene(t) for t in range(30)], 25)
    whole = read_video(tmp_path / "a.mp4").frames
    monkeypatch.setattr("headcast.video.MAX_BYTES", 5 * whole[0].nbytes)
    lazy = read_video(tmp_path / "a.mp4").frames
    assert isinstance(lazy, LazyFrames)
    assert len(lazy) == 30
    assert lazy.shape == np.asarray(whole).shape
    for k in (0, 7, 7, 29, 3, -1):
        assert np.array_equal(lazy[k], whole[k])
    assert np.array_equal(lazy[4:9:2], whole[4:9:2])
    assert np.array_equal(np.stack(list(lazy)), whole)
    with pytest.raises(IndexError):
        lazy[30]


def patch_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Writes a display matrix into the picture track's header of an MP4 file."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4
    at = start + 40
    values = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    data[at : at + 36] = b"".join((v & 0xFFFFFFFF).to_bytes(4, "big") for v in values)
    path.write_bytes(data)


@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_display_matrix(tmp_path: Path, matrix: tuple[int, int, int, int], turns: int) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, [scene(t) for t in range(5)], 25)
    plain = read_video(path).frames
    patch_matrix(path, *matrix)
    turned = read_video(path).frames
    assert np.array_equal(turned[2], np.rot90(plain[2], turns))


def test_varying_rate_becomes_constant(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    ticks = np.cumsum([0, *([40] * 10), 200, *([40] * 10), 80, 80, *([40] * 8)])
    with av.open(str(path), "w") as out:
        s = out.add_stream("libx264", rate=25)
        s.width, s.height, s.pix_fmt = 128, 96, "yuv420p"
        s.codec_context.time_base = Fraction(1, 1000)
        for k, t in enumerate(ticks):
            f = av.VideoFrame.from_ndarray(scene(k), format="rgb24").reformat(format="yuv420p")
            f.pts, f.time_base = int(t), Fraction(1, 1000)
            out.mux(s.encode(f))
        out.mux(s.encode(None))
    clip = read_video(path)
    assert clip.fps == pytest.approx(25, rel=0.01)
    assert len(clip.frames) == round(ticks[-1] / 40) + 1
    assert any("frame rate varies" in n for n in clip.notes)
    grid = np.arange(len(clip.times)) / clip.fps
    assert np.abs(clip.times - clip.times[0] - grid).max() <= 0.11
    assert (np.diff(clip.times) >= 0).all()


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(2), (96, 256)), (Fraction(1, 2), (96, 64)), (None, (96, 128))]
)
@pytest.mark.parametrize("start", [0, 3])
def test_pixels_become_square_and_times_stay(
    tmp_path: Path, aspect: Fraction | None, size: tuple[int, int], start: int
) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        s = out.add_stream("libx264", rate=25)
        s.width, s.height, s.pix_fmt = 128, 96, "yuv420p"
        if aspect:
            s.codec_context.sample_aspect_ratio = aspect
        for k in range(10):
            f = av.VideoFrame.from_ndarray(scene(k), format="rgb24").reformat(format="yuv420p")
            f.pts, f.time_base = k + 25 * start, Fraction(1, 25)
            out.mux(s.encode(f))
        out.mux(s.encode(None))
    clip = read_video(tmp_path / "a.mp4")
    assert clip.frames.shape[1:3] == size
    assert clip.times == pytest.approx(start + np.arange(10) / 25, abs=1e-3)
    assert clip.notes == ()
    patch_matrix(tmp_path / "a.mp4", 0, 1, -1, 0)
    assert read_video(tmp_path / "a.mp4").frames.shape[1:3] == size[::-1]


@pytest.mark.parametrize("start", [-5.0, 0.0, 100.0])
def test_a_rate_a_little_off_does_not_drift(start: float) -> None:
    times = start + np.arange(3000) / 29.8
    _, fps, even = constant_rate(times, 30.0)
    assert even
    assert abs(3000 / fps - 3000 / 29.8) < 0.02


def test_rounded_times_are_constant() -> None:
    times = np.round(np.arange(100) / 29.97, 2)
    index, fps, even = constant_rate(times, 29.97)
    assert even
    assert fps == pytest.approx(29.97)
    assert np.array_equal(index, np.arange(100))


@pytest.mark.parametrize(("codec", "suffix", "copied"), [("aac", "m4a", True), ("pcm_s16le", "wav", False)])
def test_sound_is_kept(tmp_path: Path, codec: str, suffix: str, copied: bool) -> None:
    source = write_sound(tmp_path / f"a.{suffix}", codec)
    notes = write_video(tmp_path / "b.mp4", [scene(t) for t in range(30)], 25, audio_from=source)
    assert bool(notes) != copied
    name, samples, rate = sound_of(tmp_path / "b.mp4")
    assert name == "aac"
    assert abs(len(samples) / rate - 1.2) < 0.06  # as long as the pictures, within two packets
    _, before, _ = sound_of(source)
    part = slice(int(0.5 * rate), int(1.0 * rate))
    loud = np.abs(before[part]).mean() / (32768 if codec.startswith("pcm") else 1)
    assert np.abs(samples[part]).mean() == pytest.approx(loud, rel=0.1)
    assert len(frame_times(tmp_path / "b.mp4")) == 30


def test_sound_of_a_shot_starts_with_it(tmp_path: Path) -> None:
    source = write_sound(tmp_path / "a.m4a")
    write_video(
        tmp_path / "b.mp4", [scene(t) for t in range(20)], 25, audio_from=AudioSource(source, 1.0, 0.8)
    )
    _, samples, rate = sound_of(tmp_path / "b.mp4")
    _, before, _ = sound_of(source)
    a = np.abs(samples[int(0.3 * rate) : int(0.5 * rate)]).mean()
    b = np.abs(before[int(1.3 * rate) : int(1.5 * rate)]).mean()
    assert a == pytest.approx(b, rel=0.1)


def test_clip_carries_its_sound(tmp_path: Path) -> None:
    source = write_sound(tmp_path / "a.m4a")
    write_video(tmp_path / "b.mp4", [scene(t) for t in range(30)], 25, audio_from=source)
    clip = read_video(tmp_path / "b.mp4")
    assert clip.audio is not None
    write_video(tmp_path / "c.mp4", clip.frames, clip.fps, audio_from=clip)
    assert len(sound_of(tmp_path / "c.mp4")[1]) > 40000
    silent = Clip(frames=clip.frames, fps=clip.fps, times=clip.times, audio=None, name=clip.name)
    write_video(tmp_path / "d.mp4", silent.frames, silent.fps, audio_from=silent)
    with av.open(str(tmp_path / "d.mp4")) as c:
        assert not c.streams.audio


def flicker(n: int, seed: int) -> np.ndarray:
    """Lamp brightness over time."""
    return 1 - 0.15 * np.random.default_rng(seed).random(n)


@pytest.mark.parametrize("seed", range(4))
def test_cuts_are_found_and_motion_is_none(seed: int) -> None:
    lengths = [25, 60, 18]
    light = flicker(sum(lengths), seed)
    frames = [scene(t, 10 * seed + k) for k, n in enumerate(lengths) for t in range(n)]
    frames = [(f * b).astype(np.uint8) for f, b in zip(frames, light, strict=True)]
    assert longest_shot(frames) == slice(25, 85)
    assert longest_shot(frames[25:85]) == slice(0, 60)


def test_a_flash_is_no_cut() -> None:
    frames = [scene(t, 3) for t in range(40)]
    frames[20] = np.full_like(frames[20], 250)
    assert find_cuts(np.stack([signature(f) for f in frames])) == []


def test_longest_shot_is_used_and_said(tmp_path: Path) -> None:
    frames = [scene(t, 1) for t in range(15)] + [scene(t, 5) for t in range(35)]
    write_video(tmp_path / "a.mp4", frames, 25)
    clip = read_video(tmp_path / "a.mp4")
    assert len(clip.frames) == 35
    assert clip.times[0] == pytest.approx(0.6)
    assert any("longest shot" in n for n in clip.notes)
    assert len(read_video(tmp_path / "a.mp4", one_shot=False).frames) == 50


def test_animated_picture_as_video(tmp_path: Path) -> None:
    frames = [Image.fromarray(scene(t)) for t in range(6)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    clip = read_video(tmp_path / "a.gif")
    assert len(clip.frames) >= 6
    assert clip.fps == pytest.approx(10, rel=0.05)


def make_bad(kind: str, folder: Path) -> Path:
    """A path that is not a usable video."""
    path = folder / f"{kind}.mp4"
    good = folder / "good.mp4"
    write_video(good, [scene(t) for t in range(60)], 25)
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("no video at all\n" * 20)
    elif kind == "truncated":
        path.write_bytes(good.read_bytes()[:2000])
    elif kind == "sound":
        write_sound(path)
    elif kind == "still":
        Image.fromarray(scene(0)).save(path, format="PNG")
    return path


BAD = {
    "missing": "no such file",
    "folder": "is a folder",
    "empty": "is empty",
    "text": "is a text file",
    "truncated": "not a video",
    "sound": "no video stream",
    "still": "still image",
}


@pytest.mark.parametrize(("kind", "words"), BAD.items())
def test_bad_videos_are_refused_in_one_line(tmp_path: Path, kind: str, words: str) -> None:
    path = make_bad(kind, tmp_path)
    with pytest.raises(HeadcastError) as e:
        read_video(path)
    assert words in str(e.value)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)


def test_damaged_clip_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as out:  # unlike MP4, readable without its end
        s = out.add_stream("libx264", rate=25)
        s.width, s.height, s.pix_fmt = 128, 96, "yuv420p"
        for t in range(100):
            out.mux(s.encode(av.VideoFrame.from_ndarray(scene(t), format="rgb24")))
        out.mux(s.encode(None))
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "b.mkv").write_bytes(data[: int(0.6 * len(data))])
    clip = read_video(tmp_path / "b.mkv")
    assert 25 <= len(clip.frames) < 100
    assert any("damaged" in n for n in clip.notes)
    (tmp_path / "c.mkv").write_bytes(data[: int(0.08 * len(data))])
    with pytest.raises(HeadcastError):
        read_video(tmp_path / "c.mkv")


def test_failed_writing_leaves_nothing(tmp_path: Path) -> None:
    def frames() -> object:
        yield scene(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", frames(), 25)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="frame 1"):
        write_video(tmp_path / "a.mp4", [scene(0), scene(0, h=64)], 25)
    with pytest.raises(HeadcastError, match="no frame"):
        write_video(tmp_path / "a.mp4", [], 25)
    assert list(tmp_path.iterdir()) == []
